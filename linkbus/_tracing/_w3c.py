"""The usual traceparent, read and written at a quarter of what the propagators take.

Nearly every message has a W3C traceparent of version 00, and neither tracestate nor
baggage. Where the propagators in force are OpenTelemetry's own for these headers, that
case is done here, with the same result; everything else is left to them.
"""

from __future__ import annotations

import re

from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagate import composite, textmap  # type: ignore[attr-defined] # its parts
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER = "traceparent"

_USUAL = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})").fullmatch
_FLAGS = {f"{flags:02x}": TraceFlags(flags) for flags in range(256)}
_FLAGS_AS_TEXT = tuple(_FLAGS)
_OWN = {TraceContextTextMapPropagator, W3CBaggagePropagator}


def is_plain(propagator: textmap.TextMapPropagator) -> bool:
    """Whether a propagator is OpenTelemetry's own for the W3C headers, and nothing more."""
    if type(propagator) is composite.CompositePropagator:
        parts = getattr(propagator, "_propagators", ())  # nothing public tells
        kinds = [type(part) for part in parts]
        return kinds.count(TraceContextTextMapPropagator) == 1 and _OWN.issuperset(kinds)
    return type(propagator) is TraceContextTextMapPropagator


def parsed(traceparent: str) -> SpanContext | None:
    """Return what a usual traceparent says; None for any other."""
    match = _USUAL(traceparent)
    if match is None:
        return None
    trace_id, span_id, flags = match.groups()
    context = SpanContext(int(trace_id, 16), int(span_id, 16), True, _FLAGS[flags])
    return context if context.is_valid else None


def written(span: SpanContext, context: Context) -> dict[str, str] | None:
    """Return the headers of a span in a context that has nothing more; None for any other."""
    if not span.is_valid or span.trace_state or (context and baggage.get_all(context)):
        return None
    return {HEADER: traceparent_of(span)}


def traceparent_of(span: SpanContext) -> str:
    """Return the traceparent of a span."""
    trace_id, span_id = ids_of(span)
    return f"00-{trace_id}-{span_id}-{_FLAGS_AS_TEXT[span.trace_flags & 0xFF]}"


def ids_of(span: SpanContext) -> tuple[str, str]:
    """Return a span's two ids in hexadecimal digits, in half the time of formatting them."""
    return span.trace_id.to_bytes(16, "big").hex(), span.span_id.to_bytes(8, "big").hex()
