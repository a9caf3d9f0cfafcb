"""What code leaves behind in OpenTelemetry: spans without an end, contexts still attached."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan

_KEY = re.compile(r"(.+)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What `opentelemetry.context.create_key` makes of a name."""
_KNOWN = {"baggage", "current-span"}
"""Names of what the API itself keeps in a context."""
_REFUSED = "Failed to detach context"
"""What OpenTelemetry logs."""


def never_ended(spans: Iterable[ReadableSpan]) -> Iterator[str]:
    """Name the spans, which were started and never ended, in one sentence."""
    if names := ", ".join(repr(span.name) for span in spans):
        yield f"started and never ended: {names}"


def still_attached(before: Context, after: Context) -> Iterator[str]:
    """Say in one sentence how what is current differs from what was current before.

    Args:
        before: What was current.
        after: What is current now, in the same task.
    """
    if left := ", ".join(
        [*_span(before, after), *_baggage(before, after), *_others(before, after)]
    ):
        yield f"attached and never detached: {left}"


@contextmanager
def refused_detaches() -> Iterator[list[str]]:
    """Collect, while the block runs, a sentence when OpenTelemetry could not detach a context."""
    found: list[str] = []

    def listen(record: logging.LogRecord) -> bool:
        if record.msg == _REFUSED and not found:
            found.append(
                "attached in one task and detached in another: is a span current across the"
                " `yield` of a generator?"
            )
        return True

    logger = logging.getLogger("opentelemetry.context")
    logger.addFilter(listen)
    try:
        yield found
    finally:
        logger.removeFilter(listen)


def _span(before: Context, after: Context) -> Iterator[str]:
    span = trace.get_current_span(after)
    if span is trace.get_current_span(before):
        return
    if isinstance(span, ReadableSpan):
        yield f"the span {span.name!r}" + ("" if span.end_time is None else ", which has ended")
    else:
        yield "a span that is not recorded" if span.get_span_context().is_valid else "no span"


def _baggage(before: Context, after: Context) -> Iterator[str]:
    if names := _changed(baggage.get_all(before), baggage.get_all(after)):
        yield f"the baggage {', '.join(map(repr, sorted(names)))}"


def _others(before: Context, after: Context) -> Iterator[str]:
    """Yield the names that `create_key` was given for other values, those of extensions."""
    for key in sorted(_changed(before, after)):
        made = _KEY.fullmatch(key)
        name = key if made is None else made[1]
        if name not in _KNOWN:
            yield repr(name)


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    missing = object()
    names = {*before, *after}
    return [one for one in names if before.get(one, missing) != after.get(one, missing)]
