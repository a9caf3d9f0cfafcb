"""The trace headers that other programs write are linked, one by one and in batches."""

import pytest
from flows import facts, linked, only, process_batch, process_next, send_envelope
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from linkbus import Bus, Headers, Tracing
from linkbus.transports.memory import MemoryTransport

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
IDS = (int(TRACE, 16), int(SPAN, 16))
SHORT_IDS = (int(TRACE[16:], 16), int(SPAN, 16))
OTHER = "1111111111111111"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
MULTI = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)]

W3C = TraceContextTextMapPropagator()
IN_FORCE = {
    "W3C": W3C,
    "B3 in one": B3SingleFormat(),
    "B3 in several": B3MultiFormat(),
    "W3C, then B3": CompositePropagator([W3C, B3SingleFormat()]),
    "B3, then W3C": CompositePropagator([B3MultiFormat(), W3C]),
}
OF_W3C = ["W3C", "W3C, then B3", "B3, then W3C"]
OF_B3 = ["B3 in one", "B3 in several", "W3C, then B3", "B3, then W3C"]

W3C_HEADERS = {
    "as bytes": [("traceparent", TRACEPARENT.encode())],
    "beside others that are repeated": [("a", "1"), ("traceparent", TRACEPARENT), ("a", "2")],
    "beside an empty tracestate": [("traceparent", TRACEPARENT), ("tracestate", "")],
    "beside a header without a value": [("a", None), ("traceparent", TRACEPARENT)],
    "with flags of a later version": [("traceparent", f"00-{TRACE}-{SPAN}-03")],
    "of a later version": [("traceparent", f"01-{TRACE}-{SPAN}-01-more")],
}
B3_HEADERS = {
    "b3": ([("b3", f"{TRACE}-{SPAN}-1")], IDS, 1),
    "b3, deferred": ([("b3", f"{TRACE}-{SPAN}")], IDS, 1),
    "b3, not sampled": ([("b3", f"{TRACE}-{SPAN}-0")], IDS, 0),
    "b3, debug, with a parent": ([("b3", f"{TRACE}-{SPAN}-d-{OTHER}")], IDS, 1),
    "b3 of 64 bits": ([("b3", f"{TRACE[16:]}-{SPAN}-1")], SHORT_IDS, 1),
    "b3 as bytes": ([("b3", f"{TRACE}-{SPAN}-1".encode())], IDS, 1),
    "X-B3-*": ([*MULTI, ("X-B3-Sampled", "1")], IDS, 1),
    "X-B3-*, not sampled": ([*MULTI, ("X-B3-Sampled", "0")], IDS, 0),
    "X-B3-*, deferred": (MULTI, IDS, 0),
    "X-B3-*, debug": ([*MULTI, ("X-B3-Flags", "1")], IDS, 1),
    "X-B3-* with a parent": ([*MULTI, ("X-B3-ParentSpanId", OTHER)], IDS, 0),
    "x-b3-* in lower case": ([(name.lower(), value) for name, value in MULTI], IDS, 0),
    "X-B3-* of 64 bits": ([("X-B3-TraceId", TRACE[16:]), ("X-B3-SpanId", SPAN)], SHORT_IDS, 0),
    "b3 and X-B3-*": ([*MULTI, ("b3", f"{TRACE}-{SPAN}-1")], IDS, 1),
}
BROKEN = {
    "two contexts": [("traceparent", TRACEPARENT), ("traceparent", f"00-{TRACE}-{OTHER}-01")],
    "the same, repeated": [("traceparent", TRACEPARENT), ("Traceparent", TRACEPARENT)],
    "the same ids, and other flags": [
        ("traceparent", TRACEPARENT),
        ("traceparent", f"00-{TRACE}-{SPAN}-00"),
    ],
}


def cases(given):
    """Make a parameter of each case, named as it is."""
    return pytest.mark.parametrize("headers", given.values(), ids=given.keys())


async def processed(provider, propagator, *messages, batch=False):
    """Process messages with these headers, with a bus that has this propagator in force."""
    transport = MemoryTransport()
    tracing = Tracing(tracer_provider=provider, propagator=IN_FORCE[propagator])
    async with Bus(transport, tracing=tracing) as bus, bus.consumer("orders") as consumer:
        for headers in messages:
            await send_envelope(transport, b"", Headers.received(headers))
        if batch:
            await process_batch(consumer, len(messages))
        else:
            await process_next(consumer)


@pytest.mark.parametrize("propagator", OF_W3C)
@cases(W3C_HEADERS)
async def test_of_w3c(provider, spans, propagator, headers):
    """A `traceparent` is linked as long as there is one, however often and however written."""
    await processed(provider, propagator, headers)
    process = only(spans, "process orders")
    assert linked(process) == [IDS]
    assert not {"linkbus.link.missing", "linkbus.link.invalid"} & set(facts(process))


@pytest.mark.parametrize("propagator", OF_B3)
@cases(B3_HEADERS)
async def test_of_b3(provider, spans, propagator, headers):
    """B3 is linked in both of its forms, whichever of them linkbus itself would write."""
    pairs, expected, sampled = headers
    await processed(provider, propagator, pairs)
    (link,) = only(spans, "process orders").links
    assert (link.context.trace_id, link.context.span_id) == expected
    assert link.context.trace_flags == sampled
    assert ("linkbus.link.sampled" in link.attributes) is not bool(sampled)


@pytest.mark.parametrize("propagator", OF_W3C)
@cases(BROKEN)
async def test_that_contradict_each_other(provider, spans, propagator, headers):
    """Of two contexts none is believed: who reads the first and who reads the last disagree."""
    await processed(provider, propagator, headers)
    process = only(spans, "process orders")
    assert process.links == ()
    assert facts(process)["linkbus.link.invalid"] == 1


async def test_of_two_formats_of_which_one_is_broken(provider, spans):
    """What a composite still finds beside a broken header is linked."""
    headers = [("traceparent", "junk"), ("b3", f"{TRACE}-{SPAN}-1")]
    await processed(provider, "W3C, then B3", headers)
    assert linked(only(spans, "process orders")) == [IDS]


async def test_in_a_batch(provider, spans):
    """In a batch every context is linked, and what is none is counted."""
    good = [*W3C_HEADERS.values(), [("b3", f"{TRACE}-{OTHER}-1")], *BROKEN.values(), []]
    await processed(provider, "W3C, then B3", *good, batch=True)
    process = only(spans, "process orders")
    assert linked(process) == [IDS, (IDS[0], int(OTHER, 16))]
    assert dict(process.links[0].attributes)["linkbus.link.messages"] == len(W3C_HEADERS)
    counts = [facts(process)[f"linkbus.link.{name}"] for name in ("count", "missing", "invalid")]
    assert counts == [2, 1, len(BROKEN)]


@pytest.mark.parametrize("propagator", ["B3 in one", "B3 in several"])
async def test_that_were_copied(provider, spans, propagator):
    """All headers of B3 that a handler copies are replaced: one context leaves, in one form."""
    copied = [*MULTI, ("X-B3-Flags", "1"), ("X-B3-ParentSpanId", OTHER), ("B3", "0"), ("a", "b")]
    tracing = Tracing(tracer_provider=provider, propagator=IN_FORCE[propagator])
    async with Bus(MemoryTransport(), tracing=tracing) as bus, bus.consumer("orders") as consumer:
        await bus.producer("orders").send(b"", headers=copied)
        delivery = await process_next(consumer)
    written = IN_FORCE[propagator].fields
    assert sorted(delivery.headers) == sorted({"a", *written})
    assert delivery.message.headers == Headers({"a": "b"})
