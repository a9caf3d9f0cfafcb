"""Whatever a broker confirmed is processed, though it is killed while messages flow.

`LINKBUS_TEST_MESSAGES=20000 pytest -s` on this file makes a longer run, and prints its counts.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import suppress
from uuid import uuid4

import pytest

import linkbus
from tests.brokers.elasticmq import ElasticMQ, create_queue
from tests.brokers.kafka import KafkaBroker
from tests.brokers.process import BrokerProcess
from tests.brokers.rabbitmq import RabbitMQBroker
from tests.brokers.topics import create_topic

MESSAGES = int(os.environ.get("LINKBUS_TEST_MESSAGES", "1500"))
SENDERS = 20
LIMIT = 120 + MESSAGES // 50

pytestmark = [pytest.mark.broker, pytest.mark.timeout(LIMIT + 60)]


async def lost(url: str, name: str, broker: BrokerProcess, **options: object) -> int:
    """Send and process messages, kill the broker twice, and count what is missing at the end."""
    confirmed: set[bytes] = set()
    processed: Counter[bytes] = Counter()
    kill_at = [MESSAGES // 3, 2 * MESSAGES // 3]
    restarts: list[asyncio.Task[None]] = []
    everything = asyncio.Event()
    unsent = iter(range(MESSAGES))

    async def handle(delivery: linkbus.Delivery) -> None:
        processed[delivery.body] += 1
        if restarts and all(task.done() for task in restarts) and confirmed <= processed.keys():
            everything.set()

    def kill_and_start() -> None:
        broker.kill()
        broker.start()

    async def send(producer: linkbus.Producer) -> None:
        for number in unsent:
            body = b"%d" % number
            with suppress(linkbus.SendError):
                await producer.send(body, key=f"{number % 50}")
                confirmed.add(body)
            if kill_at and len(confirmed) >= kill_at[0]:
                del kill_at[0]
                restarts.append(asyncio.create_task(asyncio.to_thread(kill_and_start)))

    async with linkbus.connect(url, **options) as bus:
        consumer = bus.consumer(name, concurrency=16)
        producer = bus.producer(name)
        async with consumer:
            pass  # the group exists from here on
        await asyncio.to_thread(broker.wait_until_settled)
        running = asyncio.create_task(bus.consumer(name, concurrency=16).run(handle))
        async with asyncio.TaskGroup() as senders:
            for _ in range(SENDERS):
                senders.create_task(send(producer))
        await asyncio.gather(*restarts)
        assert len(restarts) == 2, "the broker was not killed while messages flowed"
        await producer.send(b"the last", key="last")
        with suppress(TimeoutError):
            await asyncio.wait_for(everything.wait(), LIMIT)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    missing = confirmed - processed.keys()
    twice = sum(count - 1 for count in processed.values())
    counts = f"{len(confirmed)} of {MESSAGES} confirmed, {len(missing)} of them not processed"
    print(f"{broker.name}: {counts}, {twice} duplicates")  # noqa: T201 - the result of a long run
    return len(missing)


async def test_kafka(kafka_to_kill: KafkaBroker):
    """Kafka, on three partitions."""
    topic = create_topic(kafka_to_kill.bootstrap, partitions=3)
    url = f"kafka://{kafka_to_kill.bootstrap}"
    assert await lost(url, topic, kafka_to_kill, heartbeat_interval=0.5) == 0


async def test_rabbitmq(rabbitmq_to_kill: RabbitMQBroker):
    """RabbitMQ, on a quorum queue."""
    assert await lost(rabbitmq_to_kill.url, f"orders-{uuid4()}", rabbitmq_to_kill) == 0


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
async def test_sqs(sqs_to_kill: ElasticMQ, monkeypatch: pytest.MonkeyPatch, *, fifo: bool):
    """SQS, on a queue of each kind."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    queue = create_queue(sqs_to_kill.endpoint, fifo=fifo)
    url = f"sqs://127.0.0.1:{sqs_to_kill.port}"
    options = {"region_name": "elasticmq", "visibility_timeout": 5.0, "fifo": fifo}
    assert await lost(url, queue, sqs_to_kill, **options) == 0
