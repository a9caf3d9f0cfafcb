"""Contexts travel in the headers of the propagator in force: the bus's, else the global one."""

import pytest
from flows import TRACEPARENT, facts, ids, linked, only, process_next, send_raw
from opentelemetry import propagate
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from linkbus import Bus, Headers, Message, Tracing, capture_context, linked_span
from linkbus.transports.memory import MemoryTransport

TRACE, SPAN = TRACEPARENT.split("-")[1:3]
FORMATS = [
    (B3MultiFormat(), {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled"}),
    (B3SingleFormat(), {"b3"}),
]


@pytest.fixture
def global_propagator():
    """Set the global propagator, and set back what was there."""
    before = propagate.get_global_textmap()
    yield propagate.set_global_textmap
    propagate.set_global_textmap(before)


async def sent_and_processed(spans, tracing):
    """Send and process one message with a bus, and check its link; return its headers."""
    async with Bus(MemoryTransport(), tracing=tracing) as bus:
        await bus.producer("orders").send(b"order", headers={"tenant": "a"})
        async with bus.consumer("orders") as consumer:
            delivery = await process_next(consumer)
    assert linked(only(spans, "process orders")) == [ids(only(spans, "send orders"))]
    assert delivery.message.headers == Headers({"tenant": "a"})
    return set(delivery.headers) - {"tenant"}


@pytest.mark.parametrize(("propagator", "names"), FORMATS)
async def test_of_the_bus(provider, spans, propagator, names):
    """A bus's own propagator writes and reads its contexts."""
    tracing = Tracing(tracer_provider=provider, propagator=propagator)
    assert await sent_and_processed(spans, tracing) == names


@pytest.mark.parametrize(("propagator", "names"), FORMATS)
async def test_of_the_process(provider, spans, global_propagator, propagator, names):
    """The global propagator is honoured, also when it is set after the bus was made."""
    tracing = Tracing(tracer_provider=provider)
    bus = Bus(MemoryTransport(), tracing=tracing)
    producer = bus.producer("orders")
    global_propagator(propagator)
    async with bus, bus.consumer("orders") as consumer:
        await producer.send(b"order")
        delivery = await process_next(consumer)
    assert set(delivery.headers) == names
    assert linked(only(spans, "process orders")) == [ids(only(spans, "send orders"))]


async def test_two_at_once(provider, spans):
    """A composite writes all of its headers, and reads what is there."""
    both = CompositePropagator([TraceContextTextMapPropagator(), B3SingleFormat()])
    tracing = Tracing(tracer_provider=provider, propagator=both)
    assert await sent_and_processed(spans, tracing) == {"traceparent", "b3"}


@pytest.mark.parametrize(
    "headers",
    [
        {"b3": f"{TRACE}-{SPAN}-1"},
        {"B3": f"{TRACE}-{SPAN}-1"},
        {"b3": f"{TRACE}-{SPAN}"},
        {"b3": f"{TRACE}-{SPAN}-d-1111111111111111"},
    ],
)
async def test_of_strangers(provider, spans, headers):
    """A stranger's B3 header is linked, in any of its forms."""
    transport = MemoryTransport()
    tracing = Tracing(tracer_provider=provider, propagator=B3SingleFormat())
    async with Bus(transport, tracing=tracing) as bus:
        await send_raw(transport.broker, b"", headers)
        async with bus.consumer("orders") as consumer:
            await process_next(consumer)
    process = only(spans, "process orders")
    assert linked(process) == [(int(TRACE, 16), int(SPAN, 16))]
    assert process.links[0].context.trace_flags == 1


@pytest.mark.parametrize("value", ["0", "junk", "-", f"{'0' * 32}-{'0' * 16}-1", "é"])
async def test_a_broken_one(provider, spans, value):
    """A B3 header that yields no context is counted as invalid."""
    transport = MemoryTransport()
    tracing = Tracing(tracer_provider=provider, propagator=B3SingleFormat())
    async with Bus(transport, tracing=tracing) as bus:
        await send_raw(transport.broker, b"", {"b3": value, "traceparent": TRACEPARENT})
        async with bus.consumer("orders") as consumer:
            await process_next(consumer)
    process = only(spans, "process orders")
    assert process.links == ()
    assert facts(process)["linkbus.link.invalid"] == 1


def test_of_stored_contexts(global_spans, global_propagator):
    """What is captured is written, and what is stored is read, by the global propagator."""
    global_propagator(B3SingleFormat())
    tracer = global_spans.tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("GET /order") as span:
        stored = capture_context()
    assert set(stored) == {"b3"}
    message = Message(b"", context=stored)
    with linked_span("report", [stored, message, TRACEPARENT]):
        pass
    assert linked(only(global_spans, "report")) == [ids(span), (int(TRACE, 16), int(SPAN, 16))]
