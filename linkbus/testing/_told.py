"""What spans tell of their messages, in words: which they are, and which brought no context."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.sdk.trace import ReadableSpan

MESSAGE_ID = "messaging.message.id"
BATCH_COUNT = "messaging.batch.message_count"
LINK_COUNT = "linkbus.link.count"
LINK_MESSAGES = "linkbus.link.messages"
LINK_MISSING = "linkbus.link.missing"
LINK_INVALID = "linkbus.link.invalid"

_FAULTS = {
    LINK_MISSING: "without a trace context: were headers lost on the way?",
    LINK_INVALID: "with a trace context that is invalid",
}


def told(span: ReadableSpan, name: str) -> object:
    """Return an attribute of a span, or None."""
    return (span.attributes or {}).get(name)


def counted(span: ReadableSpan, name: str) -> int:
    """Return a number that a span tells, or 0."""
    number = told(span, name)
    return number if isinstance(number, int) else 0


def described(span: ReadableSpan) -> str:
    """Return what to call a span: its name, and its message if it tells of one."""
    message = told(span, MESSAGE_ID)
    return repr(span.name) if message is None else f"{span.name!r} of message {message!r}"


def contextless(span: ReadableSpan) -> Iterator[str]:
    """Say which of a span's messages brought no trace context, or one that is invalid."""
    for name, fault in _FAULTS.items():
        if count := counted(span, name):
            yield f"{_messages(span, count)} came {fault}"


def _messages(span: ReadableSpan, count: int) -> str:
    if (total := counted(span, BATCH_COUNT)) > 1:
        return f"{count} of {total} messages"
    if not total and told(span, LINK_COUNT) is not None:  # a span over stored contexts
        return f"{count} of what it was given"
    message = told(span, MESSAGE_ID)
    return "the message" if message is None else f"message {message!r}"
