"""Shape 16: a job over stored contexts, `linked_span`, in a trace of its own with all its links."""

import asyncio

import pytest
from flows import (
    TRACEPARENT,
    TRACEPARENT_IDS,
    expect,
    facts,
    ids,
    link_facts,
    linked,
    only,
    parent,
    send_raw,
    take,
)
from opentelemetry import baggage, context, trace
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags

import linkbus
from linkbus import Bus, Message, Tracing, UsageError, capture_context, linked_span
from linkbus.transports.memory import MemoryTransport

REMOTE = SpanContext(*TRACEPARENT_IDS, is_remote=True, trace_flags=TraceFlags(1))


def numbered(number):
    """Return a stored context of its own for each number."""
    return {"traceparent": f"00-{number + 1:032x}-{number + 1:016x}-01"}


def counts(span):
    """Return the three counts of a span: distinct, missing, invalid."""
    return tuple(facts(span)[f"linkbus.link.{name}"] for name in ("count", "missing", "invalid"))


@pytest.fixture
def spans(global_spans):
    """Record the spans of the global provider, which `linked_span` uses."""
    return global_spans


@pytest.fixture
def app(spans):
    """Give the application's tracer, of the same provider."""
    return spans.tracer_provider.get_tracer("application")


def test_over_rows(app, spans):
    """It is a root, linked to the span in which each row was stored; what it does is below."""
    rows = []
    for number in (1, 2):
        with app.start_as_current_span(f"POST /order/{number}"):
            rows.append(capture_context())
    with linked_span("nightly report", rows), app.start_as_current_span("query"):
        pass
    expect(
        spans,
        """
        A  POST /order/1   INTERNAL
        B  POST /order/2   INTERNAL
        C  nightly report  INTERNAL  {linkbus.link.count=2}  ⇢ A/POST /order/1  ⇢ B/POST /order/2
             query         INTERNAL
        """,
        attributes=["linkbus.link.count"],
    )


def test_inside_another_span(app, spans):
    """It is a root inside another span too, which becomes a link and is not counted."""
    with app.start_as_current_span("cron") as cron:
        with linked_span("nightly report", [TRACEPARENT]):
            pass
        assert trace.get_current_span() is cron
    job = only(spans, "nightly report")
    assert parent(job) is None
    assert linked(job) == [TRACEPARENT_IDS, ids(only(spans, "cron"))]
    assert link_facts(job) == [{}, {"linkbus.link.relation": "ambient"}]
    assert counts(job) == (1, 0, 0)
    assert facts(job)["linkbus.link.span_id"] == "b7ad6b7169203331"


async def test_everything_that_it_takes(spans):
    """A mapping, a traceparent, a `SpanContext`, a delivery and a message stand for contexts."""
    transport = MemoryTransport()
    async with Bus(transport) as bus, bus.consumer("orders") as consumer:
        await send_raw(transport.broker, b"", {"traceparent": numbered(5)["traceparent"]})
        (delivery,) = await take(consumer, 1)
        given = [
            numbered(1),
            numbered(2)["traceparent"],
            SpanContext(4, 4, is_remote=True, trace_flags=TraceFlags(1)),
            Message(b"", context=numbered(4)),
            delivery,
            {"TraceParent": numbered(6)["traceparent"], "other": 1},
        ]
        with linked_span("nightly report", given):
            pass
    job = only(spans, "nightly report")
    assert linked(job) == [(number, number) for number in (2, 3, 4, 5, 6, 7)]
    assert counts(job) == (6, 0, 0)


class Unreadable(dict):
    """A mapping that cannot be read."""

    def items(self):
        raise RuntimeError


class Undecided:
    """A value that is neither true nor false, as a data frame's missing one."""

    def __bool__(self):
        raise TypeError


@pytest.mark.parametrize("nothing", [None, {}, "", Message(b""), Message(b"", context={})])
def test_what_is_missing(spans, nothing):
    """What stands for no context is counted as missing, on entry and late."""
    with linked_span("nightly report", [nothing]) as span:
        span.link(nothing)
    assert counts(only(spans, "nightly report")) == (0, 2, 0)
    assert only(spans, "nightly report").links == ()


@pytest.mark.parametrize(
    "garbage",
    [
        "junk",
        42,
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        object(),
        [],
        float("nan"),
        Undecided(),
        {"traceparent": "junk"},
        {"traceparent": None},
        {"traceparent": b"\xff"},
        Unreadable(a=1),
        trace.INVALID_SPAN_CONTEXT,
        Message(b"", context={"traceparent": "junk"}),
        "\ud800",
    ],
    ids=repr,
)
def test_what_is_garbage(spans, garbage):
    """What is no context at all is counted as invalid, on entry and late, and never raises."""
    with linked_span("nightly report", [garbage, TRACEPARENT]) as span:
        span.link(garbage)
    assert counts(only(spans, "nightly report")) == (1, 0, 2)


@pytest.mark.parametrize(
    "stranger", [{1: 2}, {"unknown": "x"}, {"baggage": "a=b"}, {"tracestate": "a=b"}], ids=repr
)
def test_what_has_no_context(spans, stranger):
    """A mapping without any header of the propagator's is missing a context, as a message is."""
    with linked_span("nightly report", [stranger, TRACEPARENT]) as span:
        span.link(stranger)
    assert counts(only(spans, "nightly report")) == (1, 2, 0)


def test_each_context_once(spans):
    """A context that comes again, on entry or late, is linked once."""
    with linked_span("nightly report", [TRACEPARENT, {"traceparent": TRACEPARENT}]) as span:
        span.link(REMOTE)
    job = only(spans, "nightly report")
    assert linked(job) == [TRACEPARENT_IDS]
    assert link_facts(job) == [{"linkbus.link.messages": 2}]
    assert counts(job) == (1, 0, 0)


def test_the_contexts_are_read_once_on_entry(spans):
    """A generator is read when the block is entered, and not before."""
    read = []

    def rows():
        read.append(True)
        yield TRACEPARENT

    span = linked_span("nightly report", rows())
    assert read == []
    with span:
        assert read == [True]
    assert counts(only(spans, "nightly report")) == (1, 0, 0)


def test_an_unsampled_context(spans):
    """A link to what was not sampled says so, given on entry or late."""
    unsampled = TRACEPARENT[:-2] + "00"
    late = SpanContext(1, 2, is_remote=True)
    with linked_span("nightly report", [unsampled]) as span:
        span.link(late)
    assert link_facts(only(spans, "nightly report")) == [{"linkbus.link.sampled": False}] * 2


async def test_a_delivery_of_a_stranger(spans):
    """A link to an untrusted message says so, given on entry or late."""
    transport = MemoryTransport()
    tracing = Tracing(inbound="untrusted")
    async with Bus(transport, tracing=tracing) as bus, bus.consumer("orders") as consumer:
        for number in (1, 2):
            await send_raw(transport.broker, b"", numbered(number))
        early, late = await take(consumer, 2)
        with linked_span("nightly report", [early]) as span:
            span.link(late)
    assert link_facts(only(spans, "nightly report")) == [{"linkbus.link.trusted": False}] * 2


def test_late_links(spans):
    """Links that are found while it runs are on it, counted and mirrored at its end."""
    with linked_span("nightly report") as span:
        for number in range(3):
            span.link(numbered(number))
    job = only(spans, "nightly report")
    assert len(job.links) == 3
    assert counts(job) == (3, 0, 0)
    assert facts(job)["linkbus.links"] == tuple(f"{n:032x}-{n:016x}" for n in (1, 2, 3))


def test_above_a_hundred(spans):
    """Above a hundred, on entry and late, links go to child spans, each once."""
    with linked_span("nightly report", map(numbered, range(150))) as span:
        for number in range(400):
            span.link(numbered(number))
    job, children = only(spans, "nightly report"), spans.named("nightly report links")
    assert [len(s.links) for s in children] == [50, 100, 100, 50]
    found = [pair for s in (job, *children) for pair in linked(s)]
    assert len(found) == len(set(found)) == 400
    assert all(parent(child) == ids(job) for child in children)
    assert all(child.end_time <= job.end_time for child in children)
    assert counts(job) == (400, 0, 0)
    assert len(facts(job)["linkbus.links"]) == 40


def test_with_an_exception(spans):
    """An exception that leaves the block is an error of the span, and goes on."""
    with pytest.raises(LookupError), linked_span("nightly report"):
        raise LookupError
    job = only(spans, "nightly report")
    assert job.status.status_code is StatusCode.ERROR
    assert facts(job)["error.type"] == "LookupError"
    assert [event.name for event in job.events] == ["exception"]


async def test_with_a_cancellation(spans):
    """Cancellation is no error of the span."""
    with pytest.raises(asyncio.CancelledError), linked_span("nightly report"):
        raise asyncio.CancelledError
    assert only(spans, "nightly report").status.status_code is StatusCode.UNSET


def test_its_attributes(spans):
    """The application may set attributes of its own."""
    with linked_span("nightly report") as span:
        span.set_attribute("rows", 7)
    assert facts(only(spans, "nightly report"))["rows"] == 7
    assert only(spans, "nightly report").kind.name == "INTERNAL"


def test_used_wrongly(spans):
    """It is entered once, and linked while it is open."""
    span = linked_span("nightly report")
    with pytest.raises(UsageError):
        span.link(TRACEPARENT)
    with span, pytest.raises(UsageError):
        span.__enter__()
    with pytest.raises(UsageError):
        span.link(TRACEPARENT)
    with pytest.raises(UsageError), span:
        pass
    assert len(spans.named("nightly report")) == 1


def test_what_is_captured(app):
    """What is captured is the current context, as text, without the baggage."""
    assert capture_context() == {}
    token = context.attach(baggage.set_baggage("tenant", "secret"))
    try:
        with app.start_as_current_span("GET /order") as span:
            stored = capture_context()
    finally:
        context.detach(token)
    found = span.get_span_context()
    expected = f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
    assert stored == {"traceparent": expected}
    assert linkbus.capture_context.__module__ == "linkbus"
