"""FastStream with its telemetry and linkbus find each other's contexts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from faststream.kafka import KafkaBroker
from faststream.kafka.opentelemetry import KafkaTelemetryMiddleware
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.opentelemetry import RabbitTelemetryMiddleware
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

import linkbus
from linkbus.testing import SpanRecorder
from tests.brokers.fixtures import Kafka, RabbitMQ
from tests.integration.direct_clients import provider, spans
from tests.integration.rabbitmq_opening import new_name

__all__ = ["provider", "spans"]

pytestmark = pytest.mark.broker


def kafka_broker(kafka: Kafka, provider: TracerProvider) -> KafkaBroker:
    """Make FastStream's broker, with its telemetry."""
    telemetry = KafkaTelemetryMiddleware(tracer_provider=provider)
    return KafkaBroker(kafka.bootstrap, middlewares=[telemetry], logger=None)


def rabbit_broker(rabbitmq: RabbitMQ, provider: TracerProvider) -> RabbitBroker:
    """Make FastStream's broker, with its telemetry."""
    telemetry = RabbitTelemetryMiddleware(tracer_provider=provider)
    return RabbitBroker(rabbitmq.url, middlewares=[telemetry], logger=None)


def fanout(name: str) -> RabbitExchange:
    """Name an exchange as linkbus declares it."""
    return RabbitExchange(name, type=ExchangeType.FANOUT, durable=True)


def ids_of(found: Iterable[ReadableSpan]) -> list[int]:
    """Return the ids of spans."""
    return [span.context.span_id for span in found]


def linked_by(*found: ReadableSpan) -> list[int]:
    """Return the ids of what spans link to."""
    return [link.context.span_id for span in found for link in span.links]


def parents_of(found: Iterable[ReadableSpan]) -> list[int]:
    """Return the ids of the spans that these are children of."""
    return [span.parent.span_id for span in found if span.parent is not None]


async def processed(consumer: linkbus.Consumer, count: int) -> None:
    """Process one message with linkbus, and so many in a batch."""
    async with await anext(consumer):
        pass
    batch = await anext(consumer.batches(max_messages=count, max_wait=10.0))
    async with batch:
        assert len(batch) == count


async def test_its_messages_on_kafka(
    kafka: Kafka, provider: TracerProvider, spans: SpanRecorder
) -> None:
    """What it published is linked to its create spans, of which its own batches have one."""
    topic = kafka.create_topic()
    tracing = linkbus.Tracing(tracer_provider=provider)
    async with (
        kafka_broker(kafka, provider) as faststream,
        linkbus.connect(f"kafka://{kafka.bootstrap}", tracing=tracing) as bus,
    ):
        for body in (b"1", b"2", b"3"):
            await faststream.publish(body, topic)
        await faststream.publish_batch(b"4", b"5", topic=topic)
        async with bus.consumer(topic) as consumer:
            await processed(consumer, 4)
    creates = spans.named(f"{topic} create")
    assert len(creates) == 4
    single, batch = spans.named(f"process {topic}")
    assert linked_by(single, batch) == ids_of(creates)
    assert dict(batch.links[-1].attributes or {})["linkbus.link.messages"] == 2
    assert (batch.attributes or {})["linkbus.link.missing"] == 0


async def test_its_messages_on_rabbitmq(
    rabbitmq: RabbitMQ, provider: TracerProvider, spans: SpanRecorder
) -> None:
    """So they are on RabbitMQ."""
    name = new_name()
    tracing = linkbus.Tracing(tracer_provider=provider)
    async with (
        linkbus.connect(rabbitmq.url, tracing=tracing) as bus,
        bus.consumer(name) as consumer,
        rabbit_broker(rabbitmq, provider) as faststream,
    ):
        for body in (b"1", b"2", b"3"):
            await faststream.publish(body, exchange=fanout(name))
        await processed(consumer, 2)
    assert len(creates := spans.named(f"{name}. create")) == 3
    assert linked_by(*spans.named(f"process {name}")) == ids_of(creates)


async def test_its_handlers_on_kafka(
    kafka: Kafka, provider: TracerProvider, spans: SpanRecorder
) -> None:
    """Its process span is a child of linkbus's send, and what it sends with linkbus of that."""
    topic, onward = kafka.create_topic(), kafka.create_topic()
    tracing = linkbus.Tracing(tracer_provider=provider)
    done = asyncio.Event()
    faststream = kafka_broker(kafka, provider)
    async with linkbus.connect(f"kafka://{kafka.bootstrap}", tracing=tracing) as bus:

        @faststream.subscriber(topic, auto_offset_reset="earliest")
        async def handle(body: bytes) -> None:
            await bus.producer(onward).send(body)
            done.set()

        await bus.producer(topic).send(b"order")
        async with faststream:
            await faststream.start()
            await done.wait()
    (process,) = spans.named(f"{topic} process")
    assert parents_of([process]) == ids_of(spans.named(f"send {topic}"))
    assert parents_of(spans.named(f"send {onward}")) == ids_of([process])


async def test_its_handlers_of_batches_on_kafka(
    kafka: Kafka, provider: TracerProvider, spans: SpanRecorder
) -> None:
    """It links a batch to linkbus's create spans, given the header by which it knows messages."""
    topic = kafka.create_topic()
    tracing = linkbus.Tracing(tracer_provider=provider)
    done = asyncio.Event()
    faststream = kafka_broker(kafka, provider)

    @faststream.subscriber(topic, batch=True, auto_offset_reset="earliest")
    async def handle(bodies: list[bytes]) -> None:
        assert len(bodies) == 2
        done.set()

    async with linkbus.connect(f"kafka://{kafka.bootstrap}", tracing=tracing) as bus:
        messages = [linkbus.Message(b"", headers={"correlation_id": name}) for name in "ab"]
        await bus.producer(topic).send_batch(messages)
    async with faststream:
        await faststream.start()
        await done.wait()
    assert linked_by(*spans.named(f"{topic} create")) == ids_of(spans.named(f"create {topic}"))


async def test_its_handlers_on_rabbitmq(
    rabbitmq: RabbitMQ, provider: TracerProvider, spans: SpanRecorder
) -> None:
    """Its process span is a child of linkbus's send on RabbitMQ too."""
    name = new_name()
    tracing = linkbus.Tracing(tracer_provider=provider)
    done = asyncio.Event()
    faststream = rabbit_broker(rabbitmq, provider)

    @faststream.subscriber(RabbitQueue(f"{name}.theirs", exclusive=True), fanout(name))
    async def handle(body: bytes) -> None:
        done.set()

    async with faststream:
        await faststream.start()
        async with linkbus.connect(rabbitmq.url, tracing=tracing) as bus:
            await bus.producer(name).send(b"order")
        await done.wait()
    assert parents_of(spans.named(f"{name}. process")) == ids_of(spans.named(f"send {name}"))
