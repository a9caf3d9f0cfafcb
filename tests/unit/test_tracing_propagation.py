"""Creation contexts in headers: what no other test of traces shows."""

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import SpanContext, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from linkbus import Headers
from linkbus._tracing._propagation import MISSING, Creation, Propagation

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03"


def test_a_creation_context_as_headers():
    """A context is written as the W3C headers, byte for byte as it was read."""
    headers = {"traceparent": TRACEPARENT, "tracestate": "a=b,c=d"}
    assert Propagation().read(headers.items()).as_headers() == headers


def test_a_creation_context_without_a_tracestate():
    """Without a tracestate there is one header, and without a context none."""
    context = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(0))
    assert Creation(context, {}).as_headers() == {"traceparent": f"00-{1:032x}-{2:016x}-00"}
    assert MISSING.as_headers() == {}


def test_an_ambient_span_is_never_read():
    """Without a header nothing is read, whatever span is current."""
    with trace.use_span(trace.NonRecordingSpan(SpanContext(1, 2, is_remote=False))):
        assert Propagation().read([]) is MISSING
        assert Propagation().read([("baggage", "a=b")]).span is None


def test_a_tracestate_that_comes_in_parts():
    """Repeated tracestate headers are one list."""
    pairs = [("traceparent", TRACEPARENT), ("tracestate", "a=b"), ("TraceState", "c=d")]
    span = Propagation().read(pairs).span
    assert span.trace_state == TraceState([("a", "b"), ("c", "d")])


@pytest.mark.parametrize("size", [511, 512, 513])
def test_a_tracestate_as_long_as_it_may_be(size):
    """A tracestate of up to 512 bytes is kept; a longer one is left out, and the link stays."""
    value = "a=" + "b" * 200 + ",c=" + "d" * 200 + ",e="
    value += "f" * (size - len(value))
    span = Propagation().read([("traceparent", TRACEPARENT), ("tracestate", value)]).span
    assert span is not None
    assert bool(span.trace_state) is (size <= 512)


def test_the_baggage_of_a_broken_context():
    """Baggage beside a broken traceparent is still the message's baggage."""
    creation = Propagation().read([("traceparent", "junk"), ("baggage", "a=b")])
    assert (creation.span, dict(creation.baggage), creation.invalid) == (None, {"a": "b"}, True)


def test_a_propagator_that_fails_to_read():
    """A propagator that raises has read nothing."""

    class Broken(TextMapPropagator):
        fields = frozenset({"x-trace"})

        def extract(self, carrier, context=None, getter=None):
            raise LookupError

        def inject(self, carrier, context=None, setter=None):
            raise LookupError

    creation = Propagation(Broken()).read([("x-trace", "1")])
    assert (creation.span, creation.invalid) == (None, True)


def test_headers_without_a_context_are_stripped_of_nothing():
    """Stripping gives the same headers where there is nothing to strip."""
    headers = Headers({"tenant": "a"})
    assert Propagation(TraceContextTextMapPropagator()).strip(headers) is headers


def test_nothing_is_injected_from_nothing():
    """An empty context writes no headers."""
    assert Propagation().inject(Context()) == {}
