"""The API as its users write it, for type checkers: mypy --strict and pyright; never run.

What is wrong has a `type: ignore` with the code that mypy must give: one that is not
needed is an error too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_type

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanContext

import linkbus
from linkbus import (
    Batch,
    Bus,
    Consumer,
    Delivery,
    Headers,
    LinkedSpan,
    Message,
    Producer,
    RetryPolicy,
    SendResult,
    SendStatus,
    Tracing,
)
from linkbus.abc import (
    Arrival,
    Capabilities,
    Envelope,
    Lost,
    Outcome,
    Receiver,
    Settlement,
    SettleResult,
    SettleStatus,
    Transport,
)
from linkbus.sampling import LinkedSampler
from linkbus.testing import SpanRecorder, assert_every_message_linked, assert_linked
from linkbus.transports.memory import MemoryBroker, MemoryTransport


def tested(recorder: SpanRecorder, exported: Sequence[ReadableSpan]) -> None:
    recorder.assert_linked("process orders", "send orders", relation="producer")
    recorder.assert_every_message_linked(in_flight="audit.*")
    for spans in (recorder, exported):
        assert_linked(spans, "process orders", exported[0], transitive=True)
        assert_every_message_linked(spans, in_flight=["audit", "mail"])
    ParentBased(LinkedSampler(ALWAYS_ON, batches="first"))
    LinkedSampler(ALWAYS_ON, batches="last")  # type: ignore[arg-type]


async def handle(delivery: Delivery) -> None:
    assert_type(delivery.body, bytes)
    assert_type(delivery.headers, Headers)
    assert_type(delivery.key, str | None)
    assert_type(delivery.key_bytes, bytes | None)
    assert_type(delivery.id, str | None)
    assert_type(delivery.source, str)
    assert_type(delivery.attempt, int)
    assert_type(delivery.sent_at, float | None)
    assert_type(delivery.message, Message)
    assert_type(delivery.raw, object)
    assert_type(await delivery.ack(), None)
    await delivery.release(1.5)
    await delivery.reject("why")
    raise linkbus.Retry(delay=2.0)


async def handle_batch(batch: Batch) -> None:
    assert_type(batch[0], Delivery)
    assert_type(batch[1:], Sequence[Delivery])
    assert_type(len(batch), int)
    for delivery in batch:
        assert_type(delivery, Delivery)
    raise linkbus.Reject("why")  # noqa: EM101 - as a user writes it


async def send(bus: Bus) -> None:
    producer = bus.producer("orders", create_spans=False)
    assert_type(producer, Producer)
    assert_type(producer.destination, str)
    result = await producer.send(b"x", key="42", headers={"tenant": "a"}, id="7")
    assert_type(result, SendResult)
    assert_type(result.status, SendStatus)
    assert_type(result.error, Exception | None)
    await producer.send(b"x", key=b"42", headers=[("a", "1"), ("a", b"2"), ("b", None)])
    await producer.send(b"x", headers={"n": 7, "when": 1.5})
    await producer.send(Message(b"x", context={"traceparent": "00"}))
    message = producer.create(b"x", key="42")
    assert_type(message, Message)
    assert_type(message.context, Mapping[str, str] | None)
    assert_type(await producer.send_batch([message]), list[SendResult])
    await producer.send_batch(message for _ in range(3))


async def receive(consumer: Consumer) -> None:
    async with consumer as entered:
        assert_type(entered, Consumer)
        async for delivery in consumer:
            async with delivery as inside:
                assert_type(inside, Delivery)
        assert_type(await consumer.receive(10, timeout=1.0), list[Delivery])
        assert_type(await consumer.receive(), list[Delivery])
        async for batch in consumer.batches(max_messages=500, max_wait=5.0, max_bytes=2**20):
            async with batch as several:
                assert_type(several, Batch)


async def serve(bus: Bus) -> None:
    policy = RetryPolicy(max_attempts=5, retry_on=(ValueError, OSError))
    consumer = bus.consumer(
        "orders",
        group="billing",
        concurrency=16,
        prefetch=100,
        retry=policy,
        dead_letter="orders.dead",
        relation="link",
        drain_timeout=15.0,
    )
    await consumer.run(handle)
    await consumer.run_batches(handle_batch, max_messages=500, max_wait=5.0)

    class Service:
        async def __call__(self, delivery: Delivery) -> None: ...

        async def method(self, delivery: Delivery) -> None: ...

    await consumer.run(Service())
    await consumer.run(Service().method)


async def connect() -> None:
    async with linkbus.connect("kafka://localhost:9092", send_timeout=5.0, acks="all") as bus:
        assert_type(bus, Bus)
        assert_type(bus.transport, Transport)
    async with Bus(MemoryTransport(MemoryBroker(lease=1.0)), tracing=Tracing(max_links=10)):
        pass


def link(rows: Sequence[Mapping[str, str] | None], other: SpanContext) -> None:
    assert_type(linkbus.capture_context(), dict[str, str])
    with linkbus.linked_span("nightly report", (row for row in rows)) as span:
        assert_type(span, LinkedSpan)
        span.link(other)


def read(headers: Headers) -> None:
    assert_type(headers["a"], str)
    assert_type(headers.get("a"), str | None)
    assert_type(headers.get_all("a"), list[str])
    assert_type(headers.get_bytes("a"), bytes)
    for name, value in headers.items():
        assert_type(name, str)
        assert_type(value, str)


def judge(error: linkbus.LinkbusError) -> bool:
    if isinstance(error, linkbus.SendError):
        assert_type(error.result, SendResult)
    if isinstance(error, linkbus.TransportError):
        return error.retryable
    return isinstance(error, linkbus.MessageError | linkbus.UsageError)


# A transport of one's own


class Mine(Transport):
    system = "mine"
    capabilities = Capabilities(ordering="queue", max_batch=10)

    async def open(self) -> None: ...

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        for envelope in batch:
            assert_type(envelope.id, str)
            assert_type(envelope.body, bytes)
            assert_type(envelope.key, str | None)
            assert_type(envelope.headers, Headers)
            assert_type(envelope.context, Mapping[str, str])
            assert_type(envelope.wire_headers, Headers)
        return [SendResult(SendStatus.SENT) for _ in batch]

    async def subscribe(self, source: str, group: str, *, prefetch: int, lost: Lost) -> Receiver:
        return MyReceiver(lost)

    async def aclose(self) -> None: ...


class MyReceiver(Receiver):
    def __init__(self, lost: Lost) -> None:
        self.lost = lost

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        arrival = Arrival(
            id="7",
            body=b"x",
            headers=Headers.received([(b"a", b"1")]),
            lease=30.0,
            receipt=object(),
            attributes={"messaging.kafka.offset": 1, "messaging.destination.partition.id": "0"},
        )
        self.lost([arrival], 15.0)
        return [arrival]

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        outcomes = [one.outcome is Outcome.ACK for one in settlements]
        return [SettleResult(SettleStatus.OK) for _ in outcomes]

    async def aclose(self) -> None: ...


class NotYet(Transport):
    """Lacks the methods of the contract."""

    system = "not yet"
    capabilities = Capabilities()


# What must not pass


def not_a_handler(delivery: Delivery) -> None: ...


async def not_for_deliveries(text: str) -> None: ...


async def wrong(bus: Bus, producer: Producer, consumer: Consumer, delivery: Delivery) -> None:
    await producer.send("text")  # type: ignore[call-overload]
    await producer.send(Message(b"x"), key="42")  # type: ignore[call-overload]
    await producer.send(b"x", "42")  # type: ignore[call-overload]
    await producer.send_batch([b"x"])  # type: ignore[list-item]
    Message("text")  # type: ignore[arg-type]
    Message(b"x", "42")  # type: ignore[call-arg]
    Message(b"x").body = b"y"  # type: ignore[misc]
    Headers({"a": "1"})["a"] = "2"  # type: ignore[index]
    await consumer.run(not_a_handler)  # type: ignore[arg-type]
    await consumer.run(not_for_deliveries)  # type: ignore[arg-type]
    await consumer.run(handle_batch)  # type: ignore[arg-type]
    await consumer.run_batches(handle_batch)  # type: ignore[call-arg]
    consumer.batches(500, 5.0)  # type: ignore[call-arg]
    await consumer.receive(10, 1.0)  # type: ignore[call-arg]
    bus.consumer("orders", "billing")  # type: ignore[call-arg]
    bus.consumer("orders", retry=5)  # type: ignore[arg-type]
    bus.consumer("orders", relation="sideways")  # type: ignore[arg-type]
    bus.producer("orders", False)  # type: ignore[call-arg]
    Bus(MemoryTransport)  # type: ignore[arg-type]
    Bus("memory://")  # type: ignore[arg-type]
    Tracing(relation="sideways")  # type: ignore[arg-type]
    Capabilities(True)  # type: ignore[call-arg]
    Capabilities(ordering="random")  # type: ignore[arg-type]
    Arrival(b"x")  # type: ignore[call-arg, arg-type]
    NotYet()  # type: ignore[abstract]
    delivery.body = b"y"  # type: ignore[misc]
    async with bus.producer("orders"):  # type: ignore[attr-defined]
        pass
