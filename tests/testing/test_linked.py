"""assert_linked finds a link wherever it is, or says in words what there is instead."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, set_span_in_context

from linkbus.testing import SpanRecorder, assert_linked

ELSEWHERE = SpanContext(1, 2, is_remote=True)


@pytest.fixture
def spans():
    """Record the spans of a provider of its own."""
    with SpanRecorder(TracerProvider(shutdown_on_exit=False)) as recorder:
        yield recorder


@pytest.fixture
def make(spans):
    """Give a function that makes a span, and ends it."""
    tracer = spans.tracer_provider.get_tracer("test")

    def make(name, *targets, below=None, relation=None, **attributes):
        told = {} if relation is None else {"linkbus.link.relation": relation}
        links = [Link(getattr(target, "context", target), told) for target in targets]
        context = None if below is None else set_span_in_context(below)
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        span = tracer.start_span(name, context, links=links, attributes=named)
        span.end()
        return span

    return make


def failure(spans, *names, **options):
    """Return what a failure says."""
    with pytest.raises(AssertionError) as caught:
        spans.assert_linked(*names, **options)
    return str(caught.value)


def test_linked_by_name_and_by_span(spans, make):
    """A link is found by the names of its spans and by the spans themselves."""
    send = make("send orders")
    process = make("process orders", send)
    spans.assert_linked("process orders", "send orders")
    spans.assert_linked(process, send)
    spans.assert_linked(process, "send orders")


def test_spans_of_an_exporter(make, spans):
    """Spans that something else collected are as good, in any iterable."""
    exporter = InMemorySpanExporter()
    spans.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    make("process orders", make("send orders"))
    assert_linked(exporter.get_finished_spans(), "process orders", "send orders")
    assert_linked(iter(exporter.get_finished_spans()), "process orders", "send orders")
    with pytest.raises(AssertionError, match="'send orders' has no link to 'process orders'"):
        assert_linked(exporter.get_finished_spans(), "send orders", "process orders")


def test_links_on_children_count(spans, make):
    """What was too much for a span, and is on its children made for that, is linked as well."""
    send = make("send orders")
    process = make("process orders")
    make("process orders links", send, below=process)
    spans.assert_linked("process orders", "send orders")


def test_links_on_other_children_do_not_count(spans, make):
    """A child of another name has links of its own, and so has what is no child."""
    send = make("send orders")
    process = make("process orders")
    make("charge card links", send, below=process)
    make("process orders links", send)
    assert "and no other link" in failure(spans, "process orders", "send orders")


def test_no_link_names_the_links_there_are(spans, make):
    """Where a link is missing, the others are named, each once."""
    send = make("send orders")
    make("alone")
    make("other", ELSEWHERE, send, make("send orders"))
    assert failure(spans, "other", "alone") == (
        "'other' has no link to 'alone'; it links to: a span that was not recorded, 'send orders'"
    )


def test_no_link_at_all(spans, make):
    """A span without links is said to have none."""
    make("send orders")
    make("alone")
    assert failure(spans, "alone", "send orders") == (
        "'alone' has no link to 'send orders', and no other link; was it started by the code"
        " that processed the message?"
    )


def test_what_is_near_is_not_linked(spans, make):
    """Neither a parent nor what a linked span links to is linked itself."""
    process = make("process orders", make("send orders"))
    make("process bills", process)
    make("charge card", below=process)
    assert failure(spans, "charge card", "process orders").startswith(
        "'charge card' has no link to 'process orders', and no other link"
    )
    assert failure(spans, "process bills", "send orders").startswith(
        "'process bills' has no link to 'send orders'; it links to: 'process orders';"
    )


def test_every_span_of_a_name_is_linked(spans, make):
    """Given names, one span without the link is enough to fail, and its message is named."""
    send = make("send orders")
    make("process orders", send)
    make("process orders", make("send bills"), messaging__message__id="4711")
    assert failure(spans, "process orders", "send orders") == (
        "'process orders' of message '4711' has no link to 'send orders'; it links to: 'send bills'"
    )


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        (
            {"linkbus__link__missing": 1},
            "the message came without a trace context: were headers lost on the way?",
        ),
        (
            {"linkbus__link__invalid": 1, "messaging__message__id": "4711"},
            "message '4711' came with a trace context that is invalid",
        ),
        (
            {"linkbus__link__missing": 2, "messaging__batch__message_count": 5},
            "2 of 5 messages came without a trace context: were headers lost on the way?",
        ),
        (
            {"linkbus__link__missing": 1, "messaging__batch__message_count": 1},
            "the message came without a trace context: were headers lost on the way?",
        ),
        (
            {"linkbus__link__invalid": 3, "linkbus__link__count": 0},
            "3 of what it was given came with a trace context that is invalid",
        ),
    ],
)
def test_the_reason_is_read_from_the_span(spans, make, attributes, words):
    """Why a message brought no context is said, as far as its span tells."""
    make("send orders")
    make("process orders", **attributes)
    assert failure(spans, "process orders", "send orders").endswith(f", and no other link; {words}")


def test_a_relation_is_asked_for(spans, make):
    """Links of another relation do not count, and one that names none is a producer's."""
    send = make("send orders")
    first = make("process orders", send)
    second = make("process orders", first, relation="retry")
    spans.assert_linked(second, first, relation="retry")
    spans.assert_linked(first, send, relation="producer")
    assert failure(spans, second, send, relation="producer").startswith(
        "'process orders' has no producer link to 'send orders'; it links to:"
        " 'process orders' (retry)"
    )
    assert failure(spans, first, send, relation="origin") == (
        "'process orders' has no origin link to 'send orders'; it links to: 'send orders'"
    )


def test_links_and_parents_are_followed(spans, make):
    """Over any number of messages, the work leads back to the request that caused it."""
    request = make("POST /order")
    process = make("process orders", make("send orders", below=request))
    make("process bills", make("send bills", below=process))
    spans.assert_linked("process bills", "POST /order", transitive=True)
    assert failure(spans, "process bills", "POST /order") == (
        "'process bills' has no link to 'POST /order'; it links to: 'send bills'; it leads there"
        " over other spans, which transitive=True follows"
    )


def test_where_a_flow_broke_is_said(spans, make):
    """What does lead nowhere is told with all it reaches, and with who lost a context."""
    request = make("POST /order")
    process = make("process orders", linkbus__link__missing=1, messaging__message__id="4711")
    make("process bills", make("send bills", below=process), ELSEWHERE)
    make("lonely")
    assert failure(spans, "process bills", request, transitive=True) == (
        "'process bills' does not lead back to 'POST /order', only to: 'send bills', a span that"
        " was not recorded, 'process orders'; 'process orders': message '4711' came without a"
        " trace context: were headers lost on the way?"
    )
    assert failure(spans, "lonely", request, transitive=True) == (
        "'lonely' does not lead back to 'POST /order', nor to any other span"
    )


def test_a_circle_ends(spans, make):
    """Spans that link to each other are visited once."""
    tracer = spans.tracer_provider.get_tracer("test")
    make("other")
    late = tracer.start_span("late")
    late.add_link(make("early", late).context)
    late.end()
    assert failure(spans, "late", "other", transitive=True) == (
        "'late' does not lead back to 'other', only to: 'early', 'late'"
    )


def test_a_relation_is_followed(spans, make):
    """Of the links on the way, too, only those of the relation are followed."""
    first = make("first", make("send orders"))
    second = make("second", first, relation="retry")
    third = make("third", second, relation="retry")
    spans.assert_linked(third, first, relation="retry", transitive=True)
    words = failure(spans, third, "send orders", relation="retry", transitive=True)
    assert words == (
        "'third' does not lead back to 'send orders', only to: 'second' (retry), 'first' (retry)"
    )


def test_no_such_span(spans, make):
    """A name that no span has is answered with those that there are."""
    assert failure(spans, "process orders", "send orders") == (
        "no span is named 'send orders'; there are: none at all"
    )
    make("send orders")
    make("alone")
    slow = spans.tracer_provider.get_tracer("test").start_span("slow")
    assert failure(spans, "process orders", "send orders") == (
        "no span is named 'process orders'; there are: 'alone', 'send orders'"
    )
    assert failure(spans, "slow", "send orders") == "'slow' has not ended yet"
    slow.end()
