"""The producer's spans: what leaves where a span has no context of its own."""

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext, TraceFlags

from linkbus import Message, Tracing
from linkbus._tracing._core import TracingCore
from linkbus._tracing._sending import ProducerTracer

AMBIENT = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
HEADERS = {"traceparent": f"00-{1:032x}-{2:016x}-01"}


class Blank(trace.TracerProvider, trace.Tracer):
    """Makes spans without a context, as an exotic implementation may."""

    def get_tracer(self, *args, **options):
        return self

    def start_span(self, *args, **options):
        return INVALID_SPAN

    def start_as_current_span(self, *args, **options):
        raise NotImplementedError


def test_spans_without_a_context():
    """Where a span has no context, the ambient one leaves, and nothing is linked to it."""
    core = TracingCore(Tracing(tracer_provider=Blank()), "kafka", dict, lambda *_: {})
    tracer = ProducerTracer(core, "orders", create_spans=True)
    with trace.use_span(NonRecordingSpan(AMBIENT)):
        carrier, operation = tracer.begin(Message(b""), "1")
        carriers, batch = tracer.begin_batch([Message(b"")], ["1"])
        assert tracer.create(Message(b""), None) == HEADERS
    operation.end(None)
    batch.end(None)
    assert (carrier, carriers) == (HEADERS, [HEADERS])
