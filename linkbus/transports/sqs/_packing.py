"""Packing: envelopes become entries of a request to send."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from linkbus._errors import MessageError
from linkbus._message import Headers
from linkbus.abc import Envelope, carried
from linkbus.transports.sqs import _bodies as bodies
from linkbus.transports.sqs import _trace_header as trace_header
from linkbus.transports.sqs._service import Attribute, Entry
from linkbus.transports.sqs._texts import is_name, is_text

OWN = "linkbus"
"""The header for what SQS has no field for: id, key, coding, headers it would refuse."""
OWN_FIELDS = ("id", "key", "coding", "headers")

MAX_ATTRIBUTES = 10
MAX_OWN_CHARS = 8192
"""Of the header `linkbus`: a longer one is not read."""


class Parcel(NamedTuple):
    """An envelope, packed.

    Attributes:
        entry: What goes into the request, but for what belongs to a FIFO queue.
        size: The bytes that SQS counts.
    """

    entry: Entry
    size: int


def packed(envelope: Envelope, limit_bytes: int) -> Parcel:
    """Return a message as SQS takes it.

    What SQS refuses as an attribute travels in the header `linkbus`. Where the message is
    too large with all of its context, the context gives way, and a binary body is moved
    from base64 to an attribute if there is one left.

    Raises:
        MessageError: It does not fit.
    """
    sizes = []
    for parcel in _candidates(envelope):
        if len(parcel.entry["MessageAttributes"]) <= MAX_ATTRIBUTES:
            if parcel.size <= limit_bytes:
                return parcel
            sizes.append(parcel.size)
    msg = (
        f"a message has {min(sizes)} bytes with all that must go with it, of at most "
        f"{limit_bytes}: make it smaller, or raise max_message_bytes if the queue takes more"
    )
    raise MessageError(msg)


def _candidates(envelope: Envelope) -> Iterator[Parcel]:
    """Give ways to pack a message, the usual one first."""
    text, coding = bodies.to_text(envelope.body)
    yield _parcel(envelope, envelope.wire_headers, text, coding)
    if envelope.context:
        yield _parcel(envelope, envelope.headers, text, coding)
    if coding == bodies.BASE64:
        for headers in (envelope.wire_headers, envelope.headers):
            yield _parcel(envelope, headers, bodies.PLACEHOLDER, bodies.ATTRIBUTE)


def _parcel(envelope: Envelope, headers: Headers, text: str, coding: str | None) -> Parcel:
    attributes: dict[str, Attribute] = {}
    refused: dict[str, str] = {}
    for name, value in headers.items():
        if name == OWN:
            continue
        if not value or not is_name(name) or name == bodies.BODY:
            refused[name] = value
        elif is_text(value):
            attributes[name] = Attribute(DataType="String", StringValue=value)
        else:
            attributes[name] = _binary(value.encode("utf-8", "surrogateescape"))
    attributes[OWN] = Attribute(
        DataType="String", StringValue=_own(envelope, headers, coding, refused)
    )
    if coding == bodies.ATTRIBUTE:
        attributes[bodies.BODY] = _binary(envelope.body)
    entry = Entry(MessageBody=text, MessageAttributes=attributes)
    traceparent = envelope.context.get(trace_header.TRACEPARENT)
    if traceparent is not None and trace_header.TRACEPARENT not in attributes:
        xray = trace_header.to_xray(traceparent)
        if xray is not None:
            place = Attribute(DataType="String", StringValue=xray)
            entry["MessageSystemAttributes"] = {trace_header.NAME: place}
    return Parcel(entry, _bytes_of(text) + sum(map(_size, attributes.items())))


def _own(
    envelope: Envelope, headers: Headers, coding: str | None, refused: Mapping[str, str]
) -> str:
    """Return the header `linkbus`: what it was given, and what SQS has no field for."""
    sent_id, key = envelope.id, envelope.key
    is_alone = key is None and coding is None and not refused and OWN not in headers
    if is_alone and sent_id.isascii() and sent_id.isalnum():
        return f'{{"id":"{sent_id}"}}'  # what linkbus sends as a rule
    given = carried(headers)
    fields: dict[str, object] = {
        name: value for name, value in given.items() if name not in OWN_FIELDS
    }
    ours = {"id": sent_id, "key": key, "coding": coding, "headers": refused or None}
    fields |= {name: value for name, value in ours.items() if value is not None}
    text = json.dumps(fields, separators=(",", ":"))
    if len(text) > MAX_OWN_CHARS:
        msg = (
            f"a message has {len(text)} characters of id, key and headers that SQS has no place "
            f"for (names that it refuses, empty values), of at most {MAX_OWN_CHARS}"
        )
        raise MessageError(msg)
    return text


def _binary(value: bytes) -> Attribute:
    return Attribute(DataType="Binary", BinaryValue=value)


def _size(attribute: tuple[str, Attribute]) -> int:
    """Return the bytes that SQS counts of an attribute: of its name, its type and its value."""
    name, it = attribute
    value = _bytes_of(it["StringValue"]) if "StringValue" in it else len(it["BinaryValue"])
    return len(name) + len(it["DataType"]) + value


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
