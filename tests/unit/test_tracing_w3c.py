"""The usual traceparent, done without the propagators: with the result that they have."""

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.b3 import B3MultiFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from linkbus._tracing._w3c import is_plain, parsed, written

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
USUAL = f"00-{TRACE}-{SPAN}-01"
W3C = TraceContextTextMapPropagator()


class Derived(TraceContextTextMapPropagator):
    """Somebody's own."""


@pytest.mark.parametrize(
    ("propagator", "expected"),
    [
        (W3C, True),
        (CompositePropagator([W3C, W3CBaggagePropagator()]), True),
        (CompositePropagator([W3CBaggagePropagator(), W3C]), True),
        (CompositePropagator([W3C]), True),
        (CompositePropagator([]), False),
        (CompositePropagator([W3CBaggagePropagator()]), False),
        (CompositePropagator([W3C, B3MultiFormat()]), False),
        (CompositePropagator([Derived()]), False),
        (W3CBaggagePropagator(), False),
        (Derived(), False),
    ],
)
def test_what_is_plain(propagator, expected):
    """OpenTelemetry's own propagators of the W3C headers, and no others."""
    assert is_plain(propagator) is expected


def test_the_default_is_plain():
    """What OpenTelemetry comes with is done fast; this fails if it hides its parts elsewhere."""
    assert is_plain(propagate.get_global_textmap())


@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "ff"])
def test_a_usual_one(flags):
    """It is what the propagator reads, and is written as the propagator writes it."""
    header = f"00-{TRACE}-{SPAN}-{flags}"
    theirs = W3C.extract({"traceparent": header}, Context())
    ours = parsed(header)
    assert ours == trace.get_current_span(theirs).get_span_context()
    assert ours.is_remote
    carrier = {}
    W3C.inject(carrier, theirs)
    assert written(ours, theirs) == carrier
    assert written(ours, Context()) == carrier


@pytest.mark.parametrize(
    "header",
    [
        "",
        "junk",
        USUAL.upper(),
        f"{USUAL}-more",
        f"{USUAL}\n",
        f" {USUAL}",
        f"01-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{chr(0x660) * 32}-{SPAN}-01",
    ],
)
def test_any_other(header):
    """It is left to the propagator."""
    assert parsed(header) is None


def current(**fields):
    """Return a context with a span."""
    ids = {"trace_id": 1, "span_id": 2, "is_remote": False, "trace_flags": TraceFlags(1)}
    return trace.set_span_in_context(NonRecordingSpan(SpanContext(**(ids | fields))), Context())


@pytest.mark.parametrize(
    "context",
    [
        Context(),
        baggage.set_baggage("tenant", "a", Context()),
        baggage.set_baggage("tenant", "a", current()),
        current(trace_state=TraceState([("a", "b")])),
        current(trace_id=0),
        current(span_id=0),
    ],
    ids=["nothing", "baggage alone", "baggage too", "tracestate", "no trace", "no span"],
)
def test_a_context_that_is_not_a_span_alone(context):
    """It is left to the propagator."""
    assert written(trace.get_current_span(context).get_span_context(), context) is None
