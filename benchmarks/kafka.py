"""The cost of linkbus over aiokafka itself, on a real broker: 100 senders, then one consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

import linkbus
from benchmarks.measure import Budget, Clock, Result, Row, Work, measured
from benchmarks.providers import NO_SDK, SAMPLED, UNSAMPLED, recording
from linkbus.transports.kafka import KafkaTransport

SENDERS = 100
BATCH = 500
COMMIT_EVERY = 100
BODY = b"x" * 100

Headers = Sequence[tuple[str, bytes]]
_tracer = recording.get_tracer("by hand")


async def benchmark(bootstrap: str, topic: Callable[[], str], rounds: int) -> list[Result]:
    """Measure sending and consuming, message by message and in batches.

    Args:
        bootstrap: The broker, `host:port`.
        topic: Makes a topic that is used once.
        rounds: How often each row is measured.
    """
    bus = _Bus(bootstrap, topic)
    raw = _Raw(bootstrap, topic)
    send = [
        Row("aiokafka", raw.send(by_hand=False)),
        Row("linkbus, no SDK", bus.send(NO_SDK)),
        Row("linkbus, unsampled", bus.send(UNSAMPLED)),
        Row("linkbus, sampled", bus.send(SAMPLED)),
        Row("aiokafka, span by hand", raw.send(by_hand=True)),
    ]
    consume = [
        Row("aiokafka", raw.consume(by_hand=False)),
        Row("linkbus, no SDK", bus.consume(NO_SDK)),
        Row("linkbus, unsampled", bus.consume(UNSAMPLED)),
        Row("linkbus, sampled", bus.consume(SAMPLED)),
        Row("aiokafka, span by hand", raw.consume(by_hand=True)),
    ]
    batches = [
        Row("aiokafka", raw.send_batches()),
        Row("linkbus, no SDK", bus.send_batches(NO_SDK)),
    ]
    single = [_over("linkbus adds", 10.0), _times("spans, times by hand", 1.10)]
    return [
        await measured("kafka: send", 5_000, rounds, send, single),
        await measured("kafka: process", 5_000, rounds, consume, single),
        await measured("kafka: send in batches", 20_000, rounds, batches, [_over("adds", 4.0)]),
    ]


def _over(text: str, limit: float) -> Budget:
    return Budget(text, lambda t: t["linkbus, no SDK"] - t["aiokafka"], limit)


def _times(text: str, limit: float) -> Budget:
    return Budget(text, lambda t: t["linkbus, sampled"] / t["aiokafka, span by hand"], limit)


class _Bus:
    """The work, done with linkbus."""

    def __init__(self, bootstrap: str, topic: Callable[[], str]) -> None:
        self._bootstrap = bootstrap
        self._topic = topic

    def send(self, tracing: linkbus.Tracing) -> Work:
        async def work(messages: int) -> float:
            clock, producer = Clock(), None
            async with self._open(tracing) as bus:
                producer = bus.producer(await self._new_topic())
                await producer.send(BODY)
                with clock:
                    await _by_senders(messages, lambda: producer.send(BODY))
            return clock.seconds

        return work

    def send_batches(self, tracing: linkbus.Tracing) -> Work:
        async def work(messages: int) -> float:
            clock = Clock()
            async with self._open(tracing) as bus:
                producer = bus.producer(await self._new_topic())
                await producer.send(BODY)
                for _ in range(max(1, messages // BATCH)):
                    batch = [linkbus.Message(BODY) for _ in range(BATCH)]
                    with clock:
                        results = await producer.send_batch(batch)
                    assert all(r.status is linkbus.SendStatus.SENT for r in results)
            return clock.seconds

        return work

    def consume(self, tracing: linkbus.Tracing) -> Work:
        async def work(messages: int) -> float:
            clock, handled = Clock(), 0

            async def handle(delivery: linkbus.Delivery) -> None:
                nonlocal handled
                handled += 1
                if handled == messages:
                    running.cancel()

            async with self._open(tracing) as bus:
                topic = await self._new_topic()
                await bus.producer(topic).send_batch([linkbus.Message(BODY)] * messages)
                consumer = bus.consumer(topic, group=uuid4().hex, prefetch=500)
                async with consumer:
                    with clock, suppress(asyncio.CancelledError):
                        running = asyncio.create_task(consumer.run(handle))
                        await running
            assert handled == messages, "a message was lost"
            return clock.seconds

        return work

    async def _new_topic(self) -> str:
        return await asyncio.to_thread(self._topic)

    def _open(self, tracing: linkbus.Tracing) -> linkbus.Bus:
        return linkbus.Bus(KafkaTransport(self._bootstrap), tracing=tracing)


class _Raw:
    """The same work, done with aiokafka; with the same spans, attributes and links by hand."""

    def __init__(self, bootstrap: str, topic: Callable[[], str]) -> None:
        self._bootstrap = bootstrap
        self._topic = topic

    def send(self, *, by_hand: bool) -> Work:
        async def work(messages: int) -> float:
            clock = Clock()
            topic = await asyncio.to_thread(self._topic)
            async with self._producer() as producer:
                send = _traced(producer, topic) if by_hand else _plain(producer, topic)
                await send()
                with clock:
                    await _by_senders(messages, send)
            return clock.seconds

        return work

    def send_batches(self) -> Work:
        async def work(messages: int) -> float:
            clock = Clock()
            topic = await asyncio.to_thread(self._topic)
            async with self._producer() as producer:
                await producer.send_and_wait(topic, BODY)
                for _ in range(max(1, messages // BATCH)):
                    with clock:
                        await asyncio.gather(
                            *[await producer.send(topic, BODY) for _ in range(BATCH)]
                        )
            return clock.seconds

        return work

    def consume(self, *, by_hand: bool) -> Work:
        async def work(messages: int) -> float:
            clock, handled = Clock(), 0
            topic = await asyncio.to_thread(self._topic)
            headers = [("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")]
            async with self._producer() as producer:
                await asyncio.gather(
                    *[await producer.send(topic, BODY, headers=headers) for _ in range(messages)]
                )
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                group_id=uuid4().hex,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
            )
            await consumer.start()
            consumer.subscribe([topic])
            await consumer.getmany(timeout_ms=5000, max_records=1)
            await consumer.seek_to_beginning()
            with clock:
                while handled < messages:
                    got = await consumer.getmany(timeout_ms=1000, max_records=COMMIT_EVERY)
                    for records in got.values():
                        for record in records:
                            if by_hand:
                                _process(topic, record.headers, record.offset)
                            handled += 1
                    await consumer.commit()
            await consumer.stop()
            return clock.seconds

        return work

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True
        )
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()


def _plain(producer: AIOKafkaProducer, topic: str) -> Callable[[], Awaitable[object]]:
    async def send() -> object:
        return await producer.send_and_wait(topic, BODY)

    return send


def _traced(producer: AIOKafkaProducer, topic: str) -> Callable[[], Awaitable[object]]:
    async def send() -> None:
        with _tracer.start_as_current_span(
            f"send {topic}", kind=SpanKind.PRODUCER, attributes=_facts("send", topic)
        ):
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            headers = [(name, value.encode()) for name, value in carrier.items()]
            await producer.send_and_wait(topic, BODY, headers=headers)

    return send


def _process(topic: str, headers: Headers, offset: int) -> None:
    carrier = {name: value.decode() for name, value in headers}
    creation = trace.get_current_span(propagate.extract(carrier, Context())).get_span_context()
    link = Link(creation, {"messaging.message.id": "1" * 32, "linkbus.link.relation": "producer"})
    with _tracer.start_as_current_span(
        f"process {topic}",
        context=Context(),
        kind=SpanKind.CONSUMER,
        attributes={
            **_facts("process", topic),
            "messaging.consumer.group.name": "group",
            "messaging.destination.partition.id": "0",
            "messaging.kafka.offset": offset,
            "linkbus.delivery.attempt": 1,
            "linkbus.queue.wait_ms": 1.0,
            "linkbus.link.trace_id": trace.format_trace_id(creation.trace_id),
            "linkbus.link.span_id": trace.format_span_id(creation.span_id),
            "linkbus.outcome": "ack",
        },
        links=[link],
    ):
        pass


def _facts(operation: str, topic: str) -> dict[str, str | int]:
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.client.id": "linkbus",
        "messaging.message.id": "1" * 32,
        "messaging.message.body.size": len(BODY),
        "server.address": "127.0.0.1",
        "server.port": 9092,
    }


async def _by_senders(messages: int, send: Callable[[], Awaitable[object]]) -> None:
    """Send from `SENDERS` tasks at once."""

    async def sender() -> None:
        for _ in range(max(1, messages // SENDERS)):
            await send()

    await asyncio.gather(*[sender() for _ in range(SENDERS)])
