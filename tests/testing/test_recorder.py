"""SpanRecorder collects what is emitted while it listens, and says what is missing."""

import subprocess
import sys
from textwrap import dedent

import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, NoOpTracerProvider, SpanContext, set_span_in_context

from linkbus.testing import SpanRecorder


@pytest.fixture
def provider():
    """Return a provider of its own."""
    return TracerProvider(shutdown_on_exit=False)


@pytest.fixture
def tracer(provider):
    """Return a tracer of that provider."""
    return provider.get_tracer("test")


def names(spans):
    """Return the names of spans."""
    return [span.name for span in spans]


def test_the_global_provider_is_listened_to():
    """Without an argument, spans of OpenTelemetry's global provider are collected."""
    with SpanRecorder() as spans, trace.get_tracer("test").start_as_current_span("one"):
        pass
    assert names(spans.finished) == ["one"]
    assert spans.tracer_provider is trace.get_tracer_provider()


def test_a_provider_of_ones_own(provider, tracer):
    """With a provider, its spans are collected and no others."""
    with SpanRecorder(provider) as spans:
        trace.get_tracer("test").start_span("global").end()
        tracer.start_span("own").end()
    assert names(spans.finished) == ["own"]
    assert spans.tracer_provider is provider


def test_only_the_block_is_recorded(provider, tracer):
    """What starts before the block or after it is not collected."""
    tracer.start_span("before").end()
    with SpanRecorder(provider) as spans:
        tracer.start_span("in").end()
    tracer.start_span("after").end()
    assert names(spans.finished) == ["in"]


def test_recorders_are_nested(provider, tracer):
    """Each of two recorders collects what comes while its own block runs."""
    with SpanRecorder(provider) as outer:
        tracer.start_span("1").end()
        with SpanRecorder(provider) as inner:
            tracer.start_span("2").end()
        tracer.start_span("3").end()
    assert (names(outer.finished), names(inner.finished)) == (["1", "2", "3"], ["2"])


class CountingProvider(TracerProvider):
    """Counts the processors that it is given."""

    processors = 0

    def add_span_processor(self, span_processor):
        self.processors += 1
        super().add_span_processor(span_processor)


def test_a_provider_is_given_one_processor():
    """However many recorders there were, a provider has one processor of theirs."""
    provider = CountingProvider(shutdown_on_exit=False)
    for _ in range(3):
        with SpanRecorder(provider):
            pass
    assert provider.processors == 1


def test_order_is_that_of_ends(provider, tracer):
    """Finished spans are in the order of their ends; open ones are apart."""
    with SpanRecorder(provider) as spans:
        first, second, third = [tracer.start_span(name) for name in ("1", "2", "3")]
        second.end()
        first.end()
        assert names(spans.finished) == ["2", "1"]
        assert names(spans.open) == ["3"]
        third.end()
        assert spans.open == []


def test_named_and_clear(provider, tracer):
    """Spans are found by name, and forgotten when told so."""
    with SpanRecorder(provider) as spans:
        tracer.start_span("one").end()
        tracer.start_span("two").end()
        assert names(spans.named("two")) == ["two"]
        spans.clear()
        assert (spans.finished, spans.named("two")) == ([], [])


@pytest.fixture
def linked(provider, tracer):
    """Record a send span, a process span linked to it, and one linked to nothing."""
    with SpanRecorder(provider) as spans:
        send = tracer.start_span("send orders")
        send.end()
        link = Link(send.get_span_context())
        tracer.start_span("process orders", links=[link]).end()
        tracer.start_span("other", links=[link, Link(SpanContext(1, 2, True))]).end()
        tracer.start_span("alone").end()
        yield spans


def test_linked_by_name_and_by_span(linked):
    """A link is found by the names of its spans and by the spans themselves."""
    linked.assert_linked("process orders", "send orders")
    (process,), (send,) = linked.named("process orders"), linked.named("send orders")
    linked.assert_linked(process, send)


def test_links_on_children_count(linked, tracer):
    """What was too much for a span, and is on its children made for that, is linked as well."""
    (send,) = linked.named("send orders")
    with tracer.start_as_current_span("process bills"):
        tracer.start_span("process bills links", links=[Link(send.context)]).end()
    linked.assert_linked("process bills", "send orders")


def test_no_link_names_the_links_there_are(linked):
    """Where a link is missing, the others are named."""
    expected = (
        "'other' has no link to 'alone'; it links to: 'a span that was not recorded', 'send orders'"
    )
    with pytest.raises(AssertionError) as caught:
        linked.assert_linked("other", "alone")
    assert str(caught.value) == expected


def test_no_link_at_all(linked):
    """A span without links is said to have none."""
    with pytest.raises(AssertionError, match="'alone' has no link to 'send orders', and no other"):
        linked.assert_linked("alone", "send orders")


def test_every_span_of_a_name_is_linked(linked, tracer):
    """Given names, one span without the link is enough to fail."""
    tracer.start_span("process orders").end()
    with pytest.raises(AssertionError, match="'process orders' has no link"):
        linked.assert_linked("process orders", "send orders")


@pytest.mark.parametrize(
    ("count", "words"), [("missing", "did it lose its headers"), ("invalid", "is invalid")]
)
def test_the_reason_is_read_from_the_span(linked, tracer, count, words):
    """Why a message brought no context is said, as far as its span tells."""
    tracer.start_span("process bills", attributes={f"linkbus.link.{count}": 1}).end()
    with pytest.raises(AssertionError, match=words):
        linked.assert_linked("process bills", "send orders")


def test_no_such_span(linked, tracer):
    """A name that no span has is answered with those that there are."""
    with pytest.raises(
        AssertionError, match="no span is named 'process bills'; there are: 'alone'"
    ):
        linked.assert_linked("process bills", "send orders")
    span = tracer.start_span("slow")
    with pytest.raises(AssertionError, match="'slow' has not ended yet"):
        linked.assert_linked("slow", "send orders")
    span.end()


def test_no_leaks(provider, tracer):
    """A span that never ended is a leak, and so is one that stays current after its end."""
    with SpanRecorder(provider) as spans:
        span = tracer.start_span("process orders")
        with pytest.raises(AssertionError, match="never ended: 'process orders'"):
            spans.assert_no_leaks()
        token = attach(set_span_in_context(span))
        span.end()
        with pytest.raises(AssertionError, match="'process orders' has ended and is still the"):
            spans.assert_no_leaks()
        detach(token)
        spans.assert_no_leaks()


def test_a_foreign_global_provider_is_refused(monkeypatch):
    """A global provider that cannot be listened to is refused in words."""
    monkeypatch.setattr(trace, "get_tracer_provider", NoOpTracerProvider)
    with pytest.raises(RuntimeError, match="NoOpTracerProvider, which cannot be listened to"):
        SpanRecorder().__enter__()


def test_a_recorder_needs_no_pytest():
    """Recording spans imports no test runner: programs may print their traces."""
    program = """
        import sys
        from opentelemetry import trace
        from linkbus.testing import SpanRecorder
        with SpanRecorder() as spans, trace.get_tracer("-").start_as_current_span("one"):
            pass
        assert "pytest" not in sys.modules
        print(spans.tree())
        """
    command = [sys.executable, "-c", dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert done.stdout == "A  one  INTERNAL\n"
