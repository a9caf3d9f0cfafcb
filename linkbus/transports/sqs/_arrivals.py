"""Arrivals: messages of SQS, linkbus's own and others', as the core sees them."""

from __future__ import annotations

from collections.abc import Mapping

from linkbus._message import Headers
from linkbus.abc import Arrival, carried
from linkbus.transports.sqs import _trace_header as trace_header
from linkbus.transports.sqs._bodies import ATTRIBUTE, BODY, to_body
from linkbus.transports.sqs._packing import OWN
from linkbus.transports.sqs._queues import Queue
from linkbus.transports.sqs._service import Attribute, Received

_NO_ATTRIBUTES: Mapping[str, Attribute] = {}
_NO_FACTS: Mapping[str, str] = {}


def arrival(message: Received, queue: Queue, receipt: object, lease: float) -> Arrival:
    """Return what a message is to the core.

    Args:
        message: As SQS gave it; it becomes `raw`.
        queue: Where it was received.
        receipt: What the receiver needs to settle it.
        lease: Seconds for which it is ours.
    """
    attributes = message.get("MessageAttributes") or _NO_ATTRIBUTES
    facts = message.get("Attributes") or _NO_FACTS
    headers, own = _headers(attributes, facts)
    sent_id, key = _text(own.get("id")), _text(own.get("key"))
    if key is None and sent_id is None and queue.is_fifo:
        key = facts.get("MessageGroupId")
    sent_at = facts.get("SentTimestamp")
    return Arrival(
        id=sent_id,
        body=to_body(message.get("Body", ""), own.get("coding"), attributes),
        key=key,
        headers=headers,
        attempt=int(facts.get("ApproximateReceiveCount", 1)),
        sent_at=None if sent_at is None else int(sent_at) / 1000,
        receipt=receipt,
        lease=lease,
        attributes=queue.facts,
        raw=message,
    )


def _headers(
    attributes: Mapping[str, Attribute], facts: Mapping[str, str]
) -> tuple[Headers, Mapping[str, object]]:
    """Return all headers, and what the one named `linkbus` carries."""
    own: Mapping[str, object] = {}
    if OWN in attributes:
        own = carried(Headers.received([(OWN, _value(attributes[OWN]))]))
    hidden = BODY if own.get("coding") == ATTRIBUTE else None
    pairs = [(name, _value(it)) for name, it in attributes.items() if name != hidden]
    inside = own.get("headers")
    if isinstance(inside, dict):
        pairs += [
            (name, text)
            for name, value in inside.items()
            if name not in attributes and _text(name) and (text := _text(value)) is not None
        ]
    traced = facts.get(trace_header.NAME)
    if traced is not None and trace_header.TRACEPARENT not in {name.lower() for name, _ in pairs}:
        traceparent = trace_header.to_w3c(traced)
        if traceparent is not None:
            pairs.append((trace_header.TRACEPARENT, traceparent))
    return Headers.received(pairs), own


def _value(attribute: Attribute) -> str | bytes:
    """Return a value as text or bytes, whatever label its type has: `Number.int`, `String.x`."""
    if attribute["DataType"].partition(".")[0] == "Binary":
        return attribute.get("BinaryValue", b"")
    return attribute.get("StringValue", "")


def _text(value: object) -> str | None:
    """Return text that came from outside, if it stands for bytes."""
    if not isinstance(value, str):
        return None
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return value
