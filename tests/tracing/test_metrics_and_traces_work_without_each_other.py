"""The metrics: their names, units, buckets and attributes, with tracing on and off."""

import pytest
from flows import TRACEPARENT, handle, nothing, process_batch, send_raw, take
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracerProvider

import linkbus
from linkbus import Bus, Message, RetryPolicy, Tracing
from linkbus.abc import Envelope
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryTransport

BASE = {"messaging.system": "memory", "messaging.destination.name": "orders"}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


@pytest.fixture
def reader():
    """Read metrics."""
    return InMemoryMetricReader()


@pytest.fixture(params=[True, False], ids=["traced", "untraced"])
async def measured(request, reader, provider):
    """Open a bus that is measured, with tracing on, then off."""
    tracing = Tracing(
        tracer_provider=provider if request.param else NoOpTracerProvider(),
        meter_provider=MeterProvider([reader], shutdown_on_exit=False),
    )
    async with Bus(MemoryTransport(), tracing=tracing) as bus:
        yield bus


def read(reader):
    """Return each metric by its name."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    return {metric.name: metric for scope in scopes for metric in scope.metrics}


def points(reader, name):
    """Return the operation, the error type and the value or count of each point of a metric."""
    metric = read(reader).get(name)
    return sorted(
        (
            str(point.attributes["messaging.operation.name"]),
            str(point.attributes.get("error.type", "")),
            getattr(point, "value", None) or point.count,
        )
        for point in (metric.data.data_points if metric else ())
    )


async def test_one_message(measured, reader):
    """A message that is sent and handled is counted once, and each step is timed."""
    await measured.producer("orders").send(b"order")
    await handle(measured.consumer("orders", group="billing"), nothing)
    assert points(reader, "messaging.client.sent.messages") == [("send", "", 1)]
    assert points(reader, "messaging.client.consumed.messages") == [("receive", "", 1)]
    assert points(reader, "messaging.process.duration") == [("process", "", 1)]
    assert points(reader, "linkbus.queue.wait") == [("process", "", 1)]
    durations = points(reader, "messaging.client.operation.duration")
    assert durations == [("send", "", 1), ("settle", "", 1)]


async def test_names_units_and_attributes(measured, reader):
    """Units and buckets are the conventions', and so are the attributes."""
    await measured.producer("orders").send(b"order")
    await send_raw(measured.transport.broker, b"", {"traceparent": "junk"})
    await handle(measured.consumer("orders", group="billing"), nothing, 2)
    found = read(reader)
    assert {name: metric.unit for name, metric in found.items()} == {
        "messaging.client.operation.duration": "s",
        "messaging.process.duration": "s",
        "messaging.client.sent.messages": "{message}",
        "messaging.client.consumed.messages": "{message}",
        "linkbus.queue.wait": "s",
        "linkbus.context.invalid": "{message}",
    }
    for name in ("messaging.client.operation.duration", "messaging.process.duration"):
        assert found[name].data.data_points[0].explicit_bounds == SECONDS
    (process,) = found["messaging.process.duration"].data.data_points
    group = {"messaging.consumer.group.name": "billing"}
    operation = {"messaging.operation.name": "process"}
    assert dict(process.attributes).items() >= (BASE | group | operation).items()
    (sent,) = found["messaging.client.sent.messages"].data.data_points
    assert dict(sent.attributes).items() >= (BASE | {"messaging.operation.name": "send"}).items()
    (invalid,) = found["linkbus.context.invalid"].data.data_points
    assert invalid.value == 1


async def test_a_batch(measured, reader):
    """A batch is one operation on several messages; each that waited, or was bad, counts."""
    await measured.producer("orders").send_batch([Message(b"1"), Message(b"2")])
    await send_raw(measured.transport.broker, b"", {"traceparent": "junk"})
    async with measured.consumer("orders") as consumer:
        await process_batch(consumer, 3)
    assert points(reader, "messaging.client.sent.messages") == [("send", "", 2)]
    assert points(reader, "messaging.client.consumed.messages") == [("receive", "", 3)]
    assert points(reader, "messaging.process.duration") == [("process", "", 1)]
    assert points(reader, "linkbus.queue.wait") == [("process", "", 3)]
    assert points(reader, "linkbus.context.invalid") == [("process", "", 1)]


async def test_failures(measured, reader):
    """What failed has its error type; a message that waited for a retry waits once."""
    calls = []

    async def fail_once(delivery):
        calls.append(delivery)
        if len(calls) == 1:
            raise ValueError

    async def broken(destination, batch):
        raise linkbus.TransportError

    await measured.producer("orders").send(b"order")
    await handle(
        measured.consumer("orders", retry=RetryPolicy(initial_delay=0.0)), fail_once, count=2
    )
    measured.transport.send = broken
    with pytest.raises(linkbus.SendError):
        await measured.producer("orders").send(b"order")
    assert points(reader, "messaging.process.duration") == [
        ("process", "", 1),
        ("process", "ValueError", 1),
    ]
    assert points(reader, "messaging.client.sent.messages") == [
        ("send", "", 1),
        ("send", "linkbus.TransportError", 1),
    ]
    assert points(reader, "linkbus.queue.wait") == [("process", "", 1)]


async def test_each_message_of_a_batch_has_its_own_error(measured, reader):
    """Two that were sent and one that failed are counted apart; the operation failed once."""
    good = measured.transport.send

    async def refusing(destination, batch):
        sent = await good(destination, batch[:-1])
        return [*sent, linkbus.SendResult(linkbus.SendStatus.FAILED)]

    measured.transport.send = refusing
    await measured.producer("orders").send_batch([Message(b"1"), Message(b"2"), Message(b"3")])
    sent = points(reader, "messaging.client.sent.messages")
    assert sorted(sent) == [("send", "", 2), ("send", "failed", 1)]
    assert points(reader, "messaging.client.operation.duration") == [("send", "failed", 1)]


async def test_an_explicit_receive(measured, reader):
    """A receive of the application is timed, and so is a settlement without a block."""
    await measured.producer("orders").send(b"order")
    async with measured.consumer("orders") as consumer:
        (delivery,) = await consumer.receive(1, timeout=10.0)
        await delivery.ack()
    durations = points(reader, "messaging.client.operation.duration")
    assert durations == [("receive", "", 1), ("send", "", 1), ("settle", "", 1)]
    assert points(reader, "messaging.client.consumed.messages") == [("receive", "", 1)]


async def test_a_context_that_is_read_twice(measured, reader):
    """A bad context is counted once for its message, though it is looked at again."""
    await send_raw(measured.transport.broker, b"", {"traceparent": TRACEPARENT[:-3]})
    async with measured.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        async with delivery:
            linkbus.linked_span("report", [delivery, delivery]).__enter__().__exit__(
                None, None, None
            )
    assert points(reader, "linkbus.context.invalid") == [("process", "", 1)]


async def test_traces_without_metrics(provider):
    """Traces are made where nothing measures."""
    tracing = Tracing(tracer_provider=provider, meter_provider=NoOpMeterProvider())
    with SpanRecorder(provider) as spans:
        async with Bus(MemoryTransport(), tracing=tracing) as bus:
            await bus.transport.send("orders", [Envelope("id", b"")])
            await handle(bus.consumer("orders"), nothing)
    assert [span.name for span in spans.finished] == ["process orders"]


async def test_metrics_have_no_other_facts_of_a_connection():
    """What a transport knows of its connection is for spans, but for the server's name and port."""
    facts = {"server.address": "h", "server.port": 1, "network.peer.address": "x"}
    transport = MemoryTransport()
    transport.attributes = {**facts, "messaging.client.id": "c"}
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    async with Bus(transport, tracing=Tracing(meter_provider=meters)) as bus:
        await bus.producer("orders").send(b"order")
        await handle(bus.consumer("orders"), nothing)
    for metric in read(reader).values():
        for point in metric.data.data_points:
            assert point.attributes["server.address"] == "h"
            assert not {"network.peer.address", "messaging.client.id"} & point.attributes.keys()
