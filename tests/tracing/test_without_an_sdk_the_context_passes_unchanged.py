"""Shape 12: where nothing records, nothing is recorded, and contexts pass through unchanged."""

import os
import subprocess
import sys
from textwrap import dedent

import pytest
from flows import TRACEPARENT, expect, handle, nothing, process_batch, process_next, take
from opentelemetry import baggage, context, trace
from opentelemetry.trace import (
    NonRecordingSpan,
    NoOpTracerProvider,
    SpanContext,
    TraceFlags,
    use_span,
)

from linkbus import Bus, Headers, Message, Tracing
from linkbus.abc import Envelope
from linkbus.transports.memory import MemoryBroker, MemoryTransport

INCOMING = {"traceparent": TRACEPARENT, "tracestate": "vendor=1", "baggage": "tenant=a"}
BROKEN = Headers({"traceparent": "junk"})
AMBIENT = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
AMBIENT_HEADER = f"00-{1:032x}-{2:016x}-01"


@pytest.fixture
async def silent():
    """Open a bus that records nothing, and has a message from a stranger in `orders`."""
    transport = MemoryTransport()
    tracing = Tracing(tracer_provider=NoOpTracerProvider())
    async with Bus(transport, tracing=tracing) as bus:
        await transport.send("orders", [Envelope("id", b"order", None, Headers(INCOMING))])
        yield bus


async def test_between_two_that_record(provider, spans):
    """A service that records nothing stands between two that do, and the links lead across it."""
    broker = MemoryBroker()
    recording = Tracing(tracer_provider=provider)
    silent = Tracing(tracer_provider=NoOpTracerProvider())
    async with Bus(MemoryTransport(broker), tracing=recording) as bus:
        await bus.producer("orders").send(b"order")
    async with Bus(MemoryTransport(broker), tracing=silent) as bus:

        async def forward(delivery):
            await bus.producer("next").send(delivery.body)

        await handle(bus.consumer("orders"), forward)
    async with Bus(MemoryTransport(broker), tracing=recording) as bus:
        await handle(bus.consumer("next"), nothing)
    expect(
        spans,
        """
        A  send orders   PRODUCER
        B  process next  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        """,
    )


async def left(bus):
    """Return the headers of the next message that was sent on."""
    async with bus.consumer("next") as consumer:
        return dict((await process_next(consumer)).headers)


async def test_pushed(silent):
    """What a handler sends carries the context that came in, byte for byte."""

    async def forward(delivery):
        await silent.producer("next").send(delivery.body)

    await handle(silent.consumer("orders"), forward)
    assert await left(silent) == INCOMING


async def test_pulled(silent):
    """What a block sends carries the context that came in, and nothing is current after it."""
    async with silent.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        async with delivery:
            await silent.producer("next").send(b"")
    assert context.get_current() == {}
    assert await left(silent) == INCOMING


async def test_an_ambient_span_comes_first(silent):
    """A valid ambient context is passed on rather than the one that came in."""
    async with silent.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        with use_span(NonRecordingSpan(AMBIENT)):
            async with delivery:
                await silent.producer("next").send(b"")
            assert trace.get_current_span().get_span_context() == AMBIENT
    assert (await left(silent))["traceparent"] == AMBIENT_HEADER


async def test_from_a_batch(silent):
    """A batch passes on no context: it has many."""
    async with silent.consumer("orders") as consumer:
        batch = await anext(consumer.batches(max_messages=1, max_wait=0.0))
        async with batch:
            await silent.producer("next").send_batch([Message(b"")])
    assert await left(silent) == {}


async def test_a_created_message(silent):
    """A message made early carries what was current, and keeps it when it is sent."""
    with use_span(NonRecordingSpan(AMBIENT)):
        message = silent.producer("next").create(b"")
    await silent.producer("next").send(message)
    assert await left(silent) == {"traceparent": AMBIENT_HEADER}


@pytest.mark.parametrize("stored", [{"traceparent": TRACEPARENT}, {"traceparent": "junk"}])
async def test_a_stored_context(silent, stored):
    """A stored context is what leaves if it is valid; else what is current."""
    with use_span(NonRecordingSpan(AMBIENT)):
        await silent.producer("next").send_batch([Message(b"", context=stored)])
    good = stored["traceparent"] == TRACEPARENT
    assert await left(silent) == {"traceparent": TRACEPARENT if good else AMBIENT_HEADER}


@pytest.mark.parametrize("inbound", ["untrusted", "ignore"])
async def test_from_strangers(inbound):
    """A context that is not trusted is not passed on, and nor is its baggage."""
    transport = MemoryTransport()
    tracing = Tracing(tracer_provider=NoOpTracerProvider(), inbound=inbound)

    async def forward(delivery):
        assert baggage.get_all() == {}
        await bus.producer("next").send(b"")

    async with Bus(transport, tracing=tracing) as bus:
        await transport.send("orders", [Envelope("id", b"", None, Headers(INCOMING))])
        await handle(bus.consumer("orders"), forward)
        assert await left(bus) == {}


async def test_with_a_broken_context(silent):
    """A context that cannot be read is not passed on."""
    await silent.transport.send("bad", [Envelope("id", b"", None, BROKEN)])
    async with silent.consumer("bad") as consumer:
        (delivery,) = await take(consumer, 1)
        async with delivery:
            await silent.producer("next").send(b"")
    assert await left(silent) == {}


async def test_a_receive_makes_nothing(silent):
    """An explicit receive, and settling without a block, record nothing and work."""
    async with silent.consumer("orders") as consumer:
        (delivery,) = await consumer.receive(1, timeout=10.0)
        await delivery.ack()


async def test_a_batch_is_processed(silent):
    """A batch is processed where nothing records."""
    async with silent.consumer("orders") as consumer:
        batch = await process_batch(consumer, 1)
    assert [delivery.body for delivery in batch] == [b"order"]


PROGRAM = dedent(
    """
    import asyncio, sys, warnings
    import linkbus
    from linkbus.abc import Envelope
    from linkbus.transports.memory import MemoryTransport

    SETUP

    async def main():
        headers = {"traceparent": "TRACEPARENT", "tracestate": "vendor=1"}
        transport = MemoryTransport()
        async with linkbus.Bus(transport) as bus:
            envelope = Envelope("id", b"order", None, linkbus.Headers(headers))
            await transport.send("orders", [envelope])
            async with bus.consumer("orders") as consumer, bus.consumer("next") as after:
                async for delivery in consumer:
                    async with delivery:
                        with linkbus.linked_span("report", [delivery, None]) as span:
                            span.link(delivery)
                            await bus.producer("next").send(b"")
                    break
                async for delivery in after:
                    assert dict(delivery.headers) == headers, dict(delivery.headers)
                    break
        assert linkbus.capture_context() == {}

    asyncio.run(main())
    CHECK
    """
)


def run(setup, check, **environment):
    """Run the program in a process of its own, and return what it printed, errors included."""
    program = PROGRAM.replace("SETUP", setup).replace("CHECK", check)
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", "error", "-c", program.replace("TRACEPARENT", TRACEPARENT)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_api_alone():
    """With the API alone nothing is recorded, nothing is warned of, and no SDK is imported."""
    check = "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    assert run("", check) == (0, "[]\n")


def test_a_disabled_sdk():
    """With OTEL_SDK_DISABLED an SDK that is set up records nothing, and warns of nothing."""
    setup = dedent(
        """
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
        metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
        """
    )
    check = "print(exporter.get_finished_spans(), reader.get_metrics_data())"
    assert run(setup, check, OTEL_SDK_DISABLED="true") == (0, "() None\n")
