"""SpanRecorder collects what is emitted while it listens."""

import subprocess
import sys
from textwrap import dedent

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider

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


def test_an_end_after_the_block(provider, tracer):
    """A span that ends after the block is not open, though its end was not recorded."""
    with SpanRecorder(provider) as spans:
        span = tracer.start_span("slow")
    assert names(spans.open) == ["slow"]
    span.end()
    assert (spans.open, spans.finished) == ([], [])
    spans.assert_no_leaks()


def test_named_and_clear(provider, tracer):
    """Spans are found by name, and forgotten when told so."""
    with SpanRecorder(provider) as spans:
        tracer.start_span("one").end()
        tracer.start_span("two").end()
        assert names(spans.named("two")) == ["two"]
        spans.clear()
        assert (spans.finished, spans.named("two")) == ([], [])


def test_iterated(provider, tracer):
    """Iterating gives what has ended, in the order of ends, and then what has not."""
    with SpanRecorder(provider) as spans:
        first, second, third = [tracer.start_span(name) for name in ("1", "2", "3")]
        third.end()
        first.end()
        assert names(spans) == ["3", "1", "2"]
        second.end()


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
