"""Shape 7: what a handler sends on is below its span, and carries that context alone."""

import pytest
from flows import TRACEPARENT, expect, handle, ids, only, process_next, send_raw, take
from opentelemetry.trace import NoOpTracerProvider

from linkbus import Bus, Headers, Message, Tracing
from linkbus.transports.memory import MemoryTransport


async def test_the_shape(bus, spans):
    """The next send is below the process span, and the next process span links to it."""

    async def forward(delivery):
        await bus.producer("next").send(delivery.body, headers=delivery.headers)

    await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders"), forward)
    async with bus.consumer("next") as consumer:
        await process_next(consumer)
    expect(
        spans,
        """
        A  send orders     PRODUCER
        B  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
             send next     PRODUCER
        C  process next    CONSUMER  ⇢ B/send next {linkbus.link.relation=producer}
        """,
    )


async def left(bus, message):
    """Send a message to `next`, and return the headers that arrive."""
    async with bus.consumer("next") as consumer:
        await bus.producer("next").send(message)
        return (await process_next(consumer)).headers


@pytest.mark.parametrize("name", ["traceparent", "Traceparent", "TRACEPARENT"])
async def test_a_copied_header(bus, spans, name):
    """A header copied in any case is replaced: one traceparent leaves, the new one."""
    copied = [(name, TRACEPARENT), ("tenant", "a"), ("TraceState", "a=b"), ("Baggage", "c=d")]
    headers = await left(bus, Message(b"", headers=copied))
    trace_id, span_id = ids(only(spans, "send next"))
    flags = only(spans, "send next").context.trace_flags
    assert list(headers.items()) == [
        ("tenant", "a"),
        ("traceparent", f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}"),
    ]


async def test_several_copied_headers(bus, spans):
    """However many were copied, one traceparent leaves."""
    copied = [("traceparent", TRACEPARENT), ("Traceparent", TRACEPARENT), ("traceparent", "x")]
    headers = await left(bus, Message(b"", headers=copied))
    assert [name for name in headers if name.lower() == "traceparent"] == ["traceparent"]


async def test_in_a_batch(bus, spans):
    """A copied header is replaced in a batch too."""
    async with bus.consumer("next") as consumer:
        await bus.producer("next").send_batch([Message(b"", headers={"Traceparent": TRACEPARENT})])
        delivery = await process_next(consumer)
    assert len(delivery.headers) == 1
    assert f"{only(spans, 'create next').context.span_id:016x}" in delivery.headers["traceparent"]


async def test_a_delivery_has_a_message_without_the_old_context(bus, spans, transport):
    """`delivery.message` has the headers but for those of the propagator, in any case."""
    given = {"TraceParent": TRACEPARENT, "tenant": "a", "baggage": "b=c", "linkbus": "{}"}
    await send_raw(transport.broker, b"order", given)
    async with bus.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        async with delivery:
            assert delivery.headers == Headers(given)
            assert delivery.message.headers == Headers({"tenant": "a"})
            assert delivery.message.context is None


async def test_without_a_context_to_send():
    """Where nothing records and nothing is current, no context leaves, and no copied one."""
    silent = Tracing(tracer_provider=NoOpTracerProvider())
    async with Bus(MemoryTransport(), tracing=silent) as bus:
        headers = await left(bus, Message(b"", headers={"Traceparent": TRACEPARENT, "a": "b"}))
    assert dict(headers) == {"a": "b"}
