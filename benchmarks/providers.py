"""Tracer providers that differ in what they do with a span."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import linkbus


class Counting(SpanProcessor):
    """An exporter that costs nothing: it counts."""

    def __init__(self) -> None:
        self.spans = 0
        self.links = 0

    def on_end(self, span: object) -> None:
        """Count one span and its links."""
        self.spans += 1
        self.links += len(getattr(span, "links", ()))


counting = Counting()
recording = TracerProvider(span_limits=SpanLimits(max_links=128))
recording.add_span_processor(counting)
unsampled = TracerProvider(sampler=ALWAYS_OFF)

NO_SDK = linkbus.Tracing(tracer_provider=trace.NoOpTracerProvider())
UNSAMPLED = linkbus.Tracing(tracer_provider=unsampled)
SAMPLED = linkbus.Tracing(tracer_provider=recording)
