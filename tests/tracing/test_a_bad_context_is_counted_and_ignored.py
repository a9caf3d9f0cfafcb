"""Shape 10: whatever stands in the trace headers, the message is delivered."""

import pytest
from flows import (
    TRACEPARENT,
    TRACEPARENT_IDS,
    expect,
    facts,
    linked,
    only,
    process_batch,
    process_next,
)
from opentelemetry.trace import StatusCode

from linkbus import Headers
from linkbus.abc import Envelope

TRACE, SPAN = TRACEPARENT.split("-")[1:3]
ARABIC_ZERO = "\u0660"
OTHER = TRACEPARENT.replace("b7ad6b7169203331", "1111111111111111")

MISSING = {
    "no headers": [],
    "other headers": [("tenant", "a")],
    "baggage alone": [("baggage", "a=b")],
    "tracestate alone": [("tracestate", "a=b")],
    "a broken baggage": [("baggage", b"\xff\xfe")],
    "a huge baggage": [("Baggage", "a=" + "b" * 10_000)],
    "a header of another propagator": [("b3", f"{TRACE}-{SPAN}-1")],
}
INVALID = {
    "malformed": [("traceparent", "00-broken")],
    "empty": [("traceparent", "")],
    "no ids": [("traceparent", f"00-{'0' * 32}-{'0' * 16}-01")],
    "a forbidden version": [("traceparent", f"ff-{TRACE}-{SPAN}-01")],
    "too long for its version": [("traceparent", f"{TRACEPARENT}-more")],
    "upper case": [("traceparent", TRACEPARENT.upper())],
    "binary": [("traceparent", b"\x00\xff\xfe\x80")],
    "not ASCII": [("traceparent", "00-é")],
    "digits of another script": [("traceparent", f"00-{ARABIC_ZERO * 32}-{SPAN}-01")],
    "oversized": [("traceparent", TRACEPARENT + "-" + "0" * 100_000)],
    "repeated": [("traceparent", TRACEPARENT), ("traceparent", OTHER)],
    "repeated in another case": [("traceparent", TRACEPARENT), ("TraceParent", OTHER)],
    "broken in another case": [("TRACEPARENT", "junk")],
    "broken beside a good tracestate": [("traceparent", "junk"), ("tracestate", "a=b")],
}
VALID = {
    "as it should be": [("traceparent", TRACEPARENT)],
    "in another case": [("TraceParent", TRACEPARENT)],
    "given as bytes": [("traceparent", TRACEPARENT.encode())],
    "with a tracestate": [("traceparent", TRACEPARENT), ("tracestate", "a=b")],
    "with a broken tracestate": [("traceparent", TRACEPARENT), ("tracestate", "=;,")],
    "with a binary tracestate": [("traceparent", TRACEPARENT), ("tracestate", b"\xff")],
    "with a huge tracestate": [("traceparent", TRACEPARENT), ("tracestate", "a=" + "b" * 600)],
    "with two tracestates": [
        ("traceparent", TRACEPARENT),
        ("tracestate", "a=b"),
        ("tracestate", "c=d"),
    ],
    "with a broken baggage": [("traceparent", TRACEPARENT), ("baggage", b"\xff\xfe")],
    "with a huge baggage": [("traceparent", TRACEPARENT), ("baggage", "a=" + "b" * 10_000)],
}


async def test_nothing_and_junk_and_a_context(bus, spans, transport):
    """A message without a context, and one with a bad one, are roots that say which they are."""
    for headers in ({}, {"traceparent": "junk"}, {"traceparent": TRACEPARENT}):
        await transport.send("orders", [Envelope("id", b"", None, Headers(headers))])
    async with bus.consumer("orders") as consumer:
        for _ in range(3):
            await process_next(consumer)
    expect(
        spans,
        """
        A  process orders  CONSUMER  {linkbus.link.missing=1}
        B  process orders  CONSUMER  {linkbus.link.invalid=1}
        C  process orders  CONSUMER  ⇢ ? {linkbus.link.relation=producer}
        """,
        attributes=["linkbus.link.missing", "linkbus.link.invalid"],
    )


def counts(span):
    """Return the counts of bad contexts, as far as the span has them."""
    names = ("linkbus.link.missing", "linkbus.link.invalid")
    return {name: value for name, value in facts(span).items() if name in names}


async def received(bus, transport, headers):
    """Send a message with these headers, as a stranger does, and process it."""
    await transport.send("orders", [Envelope("id", b"order", None, Headers.received(headers))])
    async with bus.consumer("orders") as consumer:
        return await process_next(consumer)


async def batched(bus, transport, headers):
    """Send a message with these headers, as a stranger does, and process it in a batch."""
    await transport.send("orders", [Envelope("id", b"order", None, Headers.received(headers))])
    async with bus.consumer("orders") as consumer:
        return (await process_batch(consumer, 1))[0]


def cases(given):
    """Make a parameter of each case, named as it is."""
    return pytest.mark.parametrize("headers", given.values(), ids=given.keys())


@cases(MISSING)
async def test_none(bus, spans, transport, headers):
    """Without a context the process span is a root without links, which counts one missing."""
    delivery = await received(bus, transport, headers)
    assert delivery.headers == Headers.received(headers)
    process = only(spans, "process orders")
    assert (process.parent, process.links) == (None, ())
    assert counts(process) == {"linkbus.link.missing": 1}
    assert process.status.status_code is StatusCode.UNSET


@cases(INVALID)
async def test_a_broken_one(bus, spans, transport, headers):
    """With one that cannot be read it is a root without links, which counts one invalid."""
    delivery = await received(bus, transport, headers)
    assert delivery.headers == Headers.received(headers)
    assert delivery.body == b"order"
    process = only(spans, "process orders")
    assert (process.parent, process.links) == (None, ())
    assert counts(process) == {"linkbus.link.invalid": 1}
    assert process.status.status_code is StatusCode.UNSET


@cases(VALID)
async def test_a_good_one(bus, spans, transport, headers):
    """What is wrong beside a good traceparent does not break its link, and nothing is counted."""
    await received(bus, transport, headers)
    process = only(spans, "process orders")
    assert linked(process) == [TRACEPARENT_IDS]
    assert counts(process) == {}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], (0, 1, 0)),
        ([("traceparent", "x")], (0, 0, 1)),
        ([("traceparent", TRACEPARENT)], (1, 0, 0)),
    ],
)
async def test_in_a_batch(bus, spans, transport, headers, expected):
    """A batch has all three counts, zeros included."""
    await batched(bus, transport, headers)
    found = facts(only(spans, "process orders"))
    names = ("count", "missing", "invalid")
    assert tuple(found[f"linkbus.link.{name}"] for name in names) == expected


async def test_a_header_that_is_not_of_the_context(bus, spans, transport):
    """The header `linkbus` with anything in it is no context, and breaks nothing."""
    await received(bus, transport, [("linkbus", '{"origin":7}'), ("traceparent", TRACEPARENT)])
    assert linked(only(spans, "process orders")) == [TRACEPARENT_IDS]
