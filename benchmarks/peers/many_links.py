"""A span with more links than one may have: the others are on children of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from benchmarks.contender import LINKS_A_SPAN

Facts = dict[str, str | int | float | Sequence[str]]

_MIRRORED = 40


@contextmanager
def linked(
    tracer: trace.Tracer,
    name: str,
    context: Context | None,
    kind: SpanKind,
    *,
    facts: Facts,
    links: Sequence[Link],
) -> Iterator[trace.Span]:
    """Open a span with all of its links, by their number on it and on its children."""
    first = links[:LINKS_A_SPAN]
    facts["linkbus.links"] = _mirrors(first)
    span = tracer.start_span(name, context, kind, facts, first)
    if span.is_recording():
        below = trace.set_span_in_context(span)
        for at in range(LINKS_A_SPAN, len(links), LINKS_A_SPAN):
            part = links[at : at + LINKS_A_SPAN]
            mirrored = {"linkbus.links": _mirrors(part)}
            tracer.start_span(f"{name} links", below, SpanKind.INTERNAL, mirrored, part).end()
    with trace.use_span(span, end_on_exit=True, record_exception=False):
        try:
            yield span
        except Exception:
            span.set_status(Status(StatusCode.ERROR))
            raise


def _mirrors(links: Sequence[Link]) -> list[str]:
    contexts = [link.context for link in links[:_MIRRORED]]
    return [f"{it.trace_id:032x}-{it.span_id:016x}" for it in contexts]
