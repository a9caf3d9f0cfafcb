"""Messages as AMQP has them: linkbus's envelopes to properties, deliveries to arrivals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from time import time
from typing import TypeGuard

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.common import FieldTable

from linkbus._errors import MessageError
from linkbus._message import Headers
from linkbus.abc import Arrival, Envelope, carried
from linkbus.transports.rabbitmq._field_values import text_of

_OWN = "linkbus"
_SENT_BEGINS, _SENT_ENDS = '{"sent":"', '"}'
_PERSISTENT = 2
_MAX_OWN_BYTES = 8192
"""What linkbus reads back of its own header."""
_MAX_NAME_BYTES = 128
"""AMQP's limit for the name of a header."""
_MAX_ID_BYTES = 255
_FIELD_BYTES = 6
"""What a header has on the wire, besides its name and its value."""


def fits(message_id: str) -> bool:
    """Whether an id can be the property `message_id`."""
    if message_id.isascii():
        return 0 < len(message_id) <= _MAX_ID_BYTES
    try:
        return len(message_id.encode()) <= _MAX_ID_BYTES
    except UnicodeEncodeError:
        return False


def properties(envelope: Envelope, message_id: str, room: int) -> Basic.Properties:
    """Return the properties of the message for an envelope.

    AMQP has whole seconds only, so the time of sending travels in the header `linkbus` too,
    as do a key, and an id that is not the property.

    Args:
        envelope: What is sent.
        message_id: The property; where it is not the envelope's id, that travels as well.
        room: The most bytes of headers. When there are more, the trace context stays behind.

    Raises:
        MessageError: AMQP has no place for a header, or for all of them.
    """
    now = time()
    sent = str(round(now * 1000))
    own_id = envelope.id if message_id != envelope.id else None
    table, size = _table(_headers(envelope, sent, own_id))
    if size > room and envelope.context:
        bare = Envelope(envelope.id, b"", envelope.key, envelope.headers)
        table, size = _table(_headers(bare, sent, own_id))
    if size > room:
        msg = f"its headers have {size} bytes, of at most {room}: AMQP keeps them in one frame"
        raise MessageError(msg)
    return Basic.Properties(
        headers=table,
        delivery_mode=_PERSISTENT,
        message_id=message_id,
        timestamp=datetime.fromtimestamp(int(now), UTC),
    )


def arrival(message: DeliveredMessage, tag: int, lease: float, *, counts: bool) -> Arrival:
    """Return what a delivery is to the core.

    Args:
        message: As aiormq gave it; it becomes `raw`.
        tag: What settles it on its channel.
        lease: Seconds for which it is ours.
        counts: Whether its queue counts deliveries.
    """
    described = message.header.properties
    table: Mapping[str, object] = described.headers or {}
    headers = Headers.stable([(name, text_of(value)) for name, value in table.items()])
    found_id, key, sent_at = described.message_id, None, None
    own = table.get(_OWN)
    if isinstance(own, str):
        found_id, key, sent_at = _own_fields(own, headers, found_id)
    if sent_at is None and described.timestamp is not None:
        sent_at = described.timestamp.timestamp()
    attributes: dict[str, str | int] = {"messaging.rabbitmq.message.delivery_tag": tag}
    if message.routing_key:
        attributes["messaging.rabbitmq.destination.routing_key"] = message.routing_key
    return Arrival(
        id=found_id,
        body=message.body,
        key=key,
        headers=headers,
        attempt=_attempt(table) if counts and message.redelivered else 1,
        sent_at=sent_at,
        receipt=tag,
        lease=lease,
        attributes=attributes,
        raw=message,
    )


def _headers(envelope: Envelope, sent: str, own_id: str | None) -> Headers:
    headers, key = envelope.wire_headers, envelope.key
    if key is None and own_id is None and _OWN not in headers:
        # what linkbus sends as a rule, made without taking the headers apart once more
        return Headers.stable([*headers.items(), (_OWN, f"{_SENT_BEGINS}{sent}{_SENT_ENDS}")])
    more = {} if own_id is None else {"id": own_id}
    if key is not None:
        more["key"] = key
    headers = envelope.wire_headers_carrying(sent=sent, **more)
    if len(headers[_OWN]) > _MAX_OWN_BYTES:
        msg = f"its key, with its id, is too long: at most {_MAX_OWN_BYTES} bytes, written as JSON"
        raise MessageError(msg)
    return headers


def _table(headers: Headers) -> tuple[FieldTable, int]:
    table: FieldTable = {}
    size = 0
    for name, value in headers.items():
        kept: str | bytearray = value
        value_bytes = len(value)
        if not value.isascii():
            encoded = value.encode("utf-8", "surrogateescape")
            value_bytes = len(encoded)
            kept = value if _is_utf8(value) else bytearray(encoded)  # pamqp refuses bytes
        table[name] = kept
        size += _name_bytes(name) + value_bytes + _FIELD_BYTES
    return table, size


def _name_bytes(name: str) -> int:
    if not _is_utf8(name):
        msg = f"AMQP's header names are UTF-8, and this one is not: {name[:32]!r}"
        raise MessageError(msg)
    size = len(name) if name.isascii() else len(name.encode())
    if size > _MAX_NAME_BYTES:
        msg = f"a header name has {size} bytes, of at most {_MAX_NAME_BYTES}: {name[:32]!r}…"
        raise MessageError(msg)
    return size


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _own_fields(
    own: str, headers: Headers, message_id: str | None
) -> tuple[str | None, str | None, float | None]:
    """Return the id, the key and the time of sending."""
    if own.startswith(_SENT_BEGINS) and own.endswith(_SENT_ENDS):
        sent = own[len(_SENT_BEGINS) : -len(_SENT_ENDS)]
        if sent.isascii() and sent.isdigit():  # as a rule: many times cheaper than parsing it
            return message_id, None, _seconds(sent)
    found = carried(headers)
    own_id, key, sent_at = found.get("id"), found.get("key"), found.get("sent")
    return (
        own_id if _is_stable(own_id) else message_id,
        key if _is_stable(key) else None,
        _seconds(sent_at) if isinstance(sent_at, str) else None,
    )


def _is_stable(text: object) -> TypeGuard[str]:
    """Whether it is text that can be sent again; what arrives in JSON may not be."""
    try:
        return isinstance(text, str) and text.encode("utf-8", "surrogateescape") is not None
    except UnicodeEncodeError:
        return False


def _seconds(milliseconds: str) -> float | None:
    """Return seconds since the epoch; what is malformed, or beyond any clock, is unknown."""
    is_plausible = milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) < 16  # noqa: PLR2004 - the digits of a year far away
    return int(milliseconds) / 1000 if is_plausible else None


def _attempt(table: Mapping[str, object]) -> int:
    """Return how often the broker has given it, which it counts from 0."""
    count = table.get("x-delivery-count")
    return count + 1 if isinstance(count, int) and count > 0 else 1
