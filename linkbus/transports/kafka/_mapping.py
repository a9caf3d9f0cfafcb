"""Messages as Kafka has them: linkbus's envelopes to records, records to arrivals."""

from __future__ import annotations

from typing import TypeAlias

from aiokafka import ConsumerRecord

from linkbus._errors import MessageError
from linkbus._message import Headers
from linkbus.abc import Arrival, Envelope, carried

Record: TypeAlias = ConsumerRecord[bytes | None, bytes | None]
Fields: TypeAlias = tuple[bytes | None, list[tuple[str, bytes]]]

_OWN = "linkbus"
_ID_BEGINS, _ID_ENDS = '{"id":"', '"}'


def key_and_headers(envelope: Envelope) -> Fields:
    """Return the key and the headers of the record for an envelope.

    Raises:
        MessageError: A header's name is not UTF-8, which aiokafka cannot send.
    """
    key, sent_id = envelope.key, envelope.id
    wire = envelope.wire_headers
    headers = _encoded(wire) if wire else []
    if sent_id.isalnum() and not [name for name, _ in headers if name == _OWN]:
        # what linkbus sends as a rule, made without taking the headers apart once more
        headers.append((_OWN, f"{_ID_BEGINS}{sent_id}{_ID_ENDS}".encode()))
    else:
        headers = _encoded(envelope.wire_headers_carrying(id=sent_id))
    return None if key is None else key.encode("utf-8", "surrogateescape"), headers


def arrival(record: Record, partition: str, receipt: object) -> Arrival:
    """Return what a record is to the core.

    Args:
        record: As aiokafka gave it; it becomes `raw`.
        partition: The number of its partition, as text.
        receipt: What the receiver needs to settle it.
    """
    pairs = [
        (name, "" if value is None else value.decode("utf-8", "surrogateescape"))
        for name, value in record.headers
    ]
    headers = Headers.stable(pairs)
    key, value = record.key, record.value
    attributes: dict[str, str | int] = {
        "messaging.destination.partition.id": partition,
        "messaging.kafka.offset": record.offset,
    }
    if value is None:
        attributes["messaging.kafka.message.tombstone"] = True
    return Arrival(
        id=_id(pairs, headers),
        body=b"" if value is None else value,
        key=None if key is None else key.decode("utf-8", "surrogateescape"),
        headers=headers,
        sent_at=record.timestamp / 1000 if record.timestamp >= 0 else None,
        receipt=receipt,
        attributes=attributes,
        raw=record,
    )


def _encoded(headers: Headers) -> list[tuple[str, bytes]]:
    return [
        (name if name.isascii() else _utf8(name), value.encode("utf-8", "surrogateescape"))
        for name, value in headers.items()
    ]


def _id(pairs: list[tuple[str, str]], headers: Headers) -> str | None:
    own = [value for name, value in pairs if name == _OWN]
    if not own:
        return None
    text = own[0]
    if text.startswith(_ID_BEGINS) and text.endswith(_ID_ENDS) and text[7:-2].isalnum():
        return text[7:-2]  # what linkbus sends as a rule: many times cheaper than parsing it
    found = carried(headers).get("id")
    return found if isinstance(found, str) else None


def _utf8(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        msg = f"Kafka's header names are UTF-8, and this one is not: {name[:32]!r}"
        raise MessageError(msg) from None
    return name
