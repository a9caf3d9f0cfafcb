"""Where a process span belongs, and what is current in the handler below it."""

from __future__ import annotations

from collections.abc import Mapping
from time import time

from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext

from linkbus._tracing._config import Relation
from linkbus._tracing._core import ambient
from linkbus._tracing._incoming import Incoming
from linkbus._tracing._links import related
from linkbus._tracing._propagation import MISSING, Creation

_AUTO_MAX_AGE = 60.0
"""Seconds: an older message is not made its producer's child by `relation="auto"`."""


def placed(incoming: Incoming, relation: Relation, base: Context) -> tuple[Context, list[Link]]:
    """Return where one message's span belongs, and the link to what it leaves out.

    Args:
        incoming: The message.
        relation: What was asked for.
        base: What is current, with the message's baggage.
    """
    creation = incoming.creation()
    if relation == "link" or creation.span is None or not creation.trusted:
        return base, []
    here = ambient()
    if relation == "auto" and not _is_child(incoming, here):
        return base, []
    links = [related(here, "ambient")] if here is not None and relation == "both" else []
    return trace.set_span_in_context(NonRecordingSpan(creation.span), base), links


def _is_child(incoming: Incoming, here: SpanContext | None) -> bool:
    """Whether a message's span is its producer's child, where that is left to linkbus."""
    sent_at = incoming._arrival.sent_at
    if here is not None or incoming.attempt > 1 or sent_at is None:
        return False
    return time() - sent_at < _AUTO_MAX_AGE


def passed_on(creation: Creation) -> Context | None:
    """Return what is current in a handler where nothing records; None: what is."""
    current = otel_context.get_current()
    if creation is MISSING and not current:
        return None
    context = with_baggage(current, creation.baggage)
    if creation.span is not None and creation.trusted and not (current and ambient()):
        context = trace.set_span_in_context(NonRecordingSpan(creation.span), context)
    return None if context is current else context


def with_baggage(context: Context, entries: Mapping[str, object]) -> Context:
    """Return a context whose baggage is the message's, and no other."""
    if context and baggage.get_all(context):
        context = baggage.clear(context)
    for name, value in entries.items():
        context = baggage.set_baggage(name, value, context)
    return context


def leave_ambient() -> None:
    """Forget, in this task, whatever span and baggage are current."""
    if otel_context.get_current():
        otel_context.attach(Context())
