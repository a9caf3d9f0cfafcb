"""A destination for each round, made before the clock starts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

from benchmarks.contender import Place


async def prepared(transport: str, address: str) -> Place:
    """Make a destination that nobody used before."""
    return await _MAKERS[transport](address)


async def _on_memory(address: str) -> Place:
    return Place("memory", address, f"topic-{uuid4().hex[:12]}", "bench")


async def _on_kafka(address: str) -> Place:
    from tests.brokers.topics import create_topic  # noqa: PLC0415 - only where Kafka is

    topic = await asyncio.to_thread(create_topic, address)
    return Place("kafka", address, topic, topic)


async def _on_rabbitmq(address: str) -> Place:
    import aio_pika  # noqa: PLC0415 - only where RabbitMQ is

    place = Place("rabbitmq", address, f"exchange-{uuid4().hex[:12]}", "bench")
    async with await aio_pika.connect(address) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(
            place.destination, aio_pika.ExchangeType.FANOUT, durable=True
        )
        queue = await channel.declare_queue(
            f"{place.destination}.{place.group}",
            durable=True,
            arguments={"x-queue-type": "quorum"},
        )
        await queue.bind(exchange)
    return place


async def _on_sqs(address: str) -> Place:
    from tests.brokers.elasticmq import create_queue  # noqa: PLC0415 - only where SQS is

    queue = await asyncio.to_thread(create_queue, address)
    return Place("sqs", address, queue, "default")


_MAKERS: Mapping[str, Callable[[str], Awaitable[Place]]] = {
    "memory": _on_memory,
    "kafka": _on_kafka,
    "rabbitmq": _on_rabbitmq,
    "sqs": _on_sqs,
}
