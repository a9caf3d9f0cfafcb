"""A printed tree shows traces, parents and links, and nothing that changes from run to run."""

from textwrap import dedent

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from linkbus.testing import SpanRecorder

ELSEWHERE = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


@pytest.fixture
def spans():
    """Record the spans of a provider of its own."""
    with SpanRecorder(TracerProvider(shutdown_on_exit=False)) as recorder:
        yield recorder


@pytest.fixture
def tracer(spans):
    """Return a tracer whose spans are recorded."""
    return spans.tracer_provider.get_tracer("test")


def printed(spans, text, **options):
    """Compare a printed tree."""
    assert spans.tree(**options) == dedent(text).strip()


def link(span, **attributes):
    """Return a link to a span."""
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    return Link(span.get_span_context(), named)


def test_nothing(spans):
    """Without spans there is no text."""
    assert spans.tree() == ""


def test_a_message_sent_and_processed(spans, tracer):
    """Two traces are joined by a link, with the values that stay and the names of the others."""
    with (
        tracer.start_as_current_span("GET /order"),
        tracer.start_as_current_span("send orders", kind=SpanKind.PRODUCER) as send,
    ):
        pass
    links = [link(send, messaging__message__id="4711", linkbus__link__relation="producer")]
    with tracer.start_as_current_span("process orders", kind=SpanKind.CONSUMER, links=links):
        pass
    printed(
        spans,
        """
        A  GET /order      INTERNAL
             send orders   PRODUCER
        B  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer,
                                      messaging.message.id}
        """,
        width=90,
    )


def test_order_is_that_of_starts(spans, tracer):
    """Traces and siblings stand in the order of their starts, not of their ends."""
    first = tracer.start_span("first")
    below = set_span_in_context(first)
    one, two = tracer.start_span("one", below), tracer.start_span("two", below)
    second = tracer.start_span("second")
    for span in (second, two, one, first):
        span.end()
    printed(
        spans,
        """
        A  first   INTERNAL
             one   INTERNAL
             two   INTERNAL
        B  second  INTERNAL
        """,
    )


def test_equal_names_in_a_trace_are_numbered(spans, tracer):
    """Spans of one name in one trace are numbered, and links say which of them is meant."""
    with tracer.start_as_current_span("GET /order"):
        creates = [tracer.start_span("create orders", kind=SpanKind.PRODUCER) for _ in range(2)]
        for create in creates:
            create.end()
    tracer.start_span("process orders", links=[link(creates[1])]).end()
    printed(
        spans,
        """
        A  GET /order          INTERNAL
             create orders #1  PRODUCER
             create orders #2  PRODUCER
        B  process orders      INTERNAL  ⇢ A/create orders #2
        """,
    )


def test_what_is_not_at_hand_is_a_question_mark(spans, tracer):
    """A parent or a linked span of another process is shown as unknown."""
    remote = set_span_in_context(NonRecordingSpan(ELSEWHERE))
    known_trace = SpanContext(trace_id=1, span_id=3, is_remote=True)
    tracer.start_span("parented", remote).end()
    tracer.start_span("linked", links=[Link(SpanContext(7, 8, True)), Link(known_trace)]).end()
    printed(
        spans,
        """
        A  ?
             parented  INTERNAL
        B  linked      INTERNAL  ⇢ ?  ⇢ A/?
        """,
    )


def test_an_open_span_is_marked(spans, tracer):
    """A span that has not ended is there, and marked."""
    span = tracer.start_span("process orders")
    printed(spans, "A  process orders (open)  INTERNAL")
    span.end()
    printed(spans, "A  process orders  INTERNAL")


def test_an_error_is_shown(spans, tracer):
    """A span whose status is an error says so, with the error's type."""
    with tracer.start_as_current_span("process orders") as span:
        span.set_status(StatusCode.ERROR, "words that are not printed")
        span.set_attribute("error.type", "ValueError")
    printed(spans, "A  process orders  INTERNAL  ERROR  {error.type=ValueError}")


def test_attributes_are_chosen(spans, tracer):
    """Attributes of spans and links are chosen by name or pattern, and sorted."""
    facts = {"b": True, "a.x": 1, "a.ms": "1", "hidden": 1, "list": ("1", "2"), "a.id": "volatile"}
    target = tracer.start_span("target")
    target.end()
    tracer.start_span("span", attributes=facts, links=[link(target, x=1, y=2)]).end()
    printed(
        spans,
        """
        A  target  INTERNAL
        B  span    INTERNAL  {a.id, a.ms=1, a.x=1, b=true, list=1,2}  ⇢ A/target {y=2}
        """,
        attributes=("b", "a.*", "list"),
        link_attributes=("y",),
    )


def test_many_links_are_broken_and_cut(spans, tracer):
    """Links go on below each other where they do not fit, and a long list is cut and counted."""
    sends = [tracer.start_span("send orders") for _ in range(100)]
    for send in sends:
        send.end()
    spans.clear()
    targets = [tracer.start_span(f"send {name}") for name in ("orders", "bills", "letters")]
    for target in targets:
        target.end()
    links = [link(target) for target in targets] + [link(send) for send in sends]
    facts = {"messaging.batch.message_count": 103}
    tracer.start_span("process", links=links, attributes=facts).end()
    printed(
        spans,
        """
        A  send orders   INTERNAL
        B  send bills    INTERNAL
        C  send letters  INTERNAL
        D  process       INTERNAL  {messaging.batch.message_count=103}
                                   ⇢ A/send orders  ⇢ B/send bills
                                   ⇢ C/send letters  ⇢ ?  ⇢ … and 99 more
        """,
        max_links=4,
        width=74,
    )


def test_attributes_are_broken(spans, tracer):
    """Attributes that do not fit go on below, inside their braces."""
    facts = {f"linkbus.fact.{name}": name for name in ("one", "two", "three")}
    tracer.start_span("process", attributes=facts).end()
    printed(
        spans,
        """
        A  process  INTERNAL  {linkbus.fact.one=one, linkbus.fact.three=three,
                               linkbus.fact.two=two}
        """,
        attributes=("*",),
        width=72,
    )


def test_names_are_replaced(spans, tracer):
    """A destination made for one test is printed under a name that stays."""
    tracer.start_span("send topic-81f", attributes={"x": "topic-81f"}).end()
    printed(
        spans,
        "A  send orders  INTERNAL  {x=orders}",
        replace={"topic-81f": "orders"},
        attributes="x",
    )


def test_more_traces_than_letters(spans, tracer):
    """After Z come AA and AB, and the names still stand below each other."""
    for number in range(28):
        tracer.start_span(f"{number:02}").end()
    lines = spans.tree().splitlines()
    assert [lines[0], lines[25], lines[26], lines[27]] == [
        "A   00  INTERNAL",
        "Z   25  INTERNAL",
        "AA  26  INTERNAL",
        "AB  27  INTERNAL",
    ]


def test_color_changes_no_text(spans, tracer):
    """For a terminal the same text is painted: a link has the colour of the trace it is in."""
    target = tracer.start_span("send orders")
    target.end()
    tracer.start_span("process orders", links=[link(target)]).end()
    text = spans.tree(color=True)
    assert "\x1b[36mA/send orders\x1b[0m" in text
    for code in ("1;36", "36", "1;33", "33", "2", "0"):
        text = text.replace(f"\x1b[{code}m", "")
    assert text == spans.tree()


def test_a_deep_tree_is_no_problem(spans, tracer):
    """Two thousand spans below each other are printed."""
    context = None
    for number in range(2000):
        span = tracer.start_span(f"{number}", context)
        span.end()
        context = set_span_in_context(span)
    assert len(spans.tree().splitlines()) == 2000
