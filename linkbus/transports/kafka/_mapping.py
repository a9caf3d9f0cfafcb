"""Messages as Kafka has them: linkbus's envelopes to records, records to arrivals."""

from __future__ import annotations

from typing import TypeAlias

from aiokafka import ConsumerRecord

from linkbus._errors import MessageError
from linkbus._message import Headers
from linkbus.abc import Arrival, Envelope, carried

Record: TypeAlias = ConsumerRecord[bytes | None, bytes | None]
Fields: TypeAlias = tuple[bytes | None, list[tuple[str, bytes]]]


def key_and_headers(envelope: Envelope) -> Fields:
    """Return the key and the headers of the record for an envelope.

    Raises:
        MessageError: A header's name is not UTF-8, which aiokafka cannot send.
    """
    key = envelope.key
    headers = [
        (name if name.isascii() else _utf8(name), value.encode("utf-8", "surrogateescape"))
        for name, value in envelope.wire_headers_carrying(id=envelope.id).items()
    ]
    return None if key is None else key.encode("utf-8", "surrogateescape"), headers


def arrival(record: Record, partition: str, receipt: object) -> Arrival:
    """Return what a record is to the core.

    Args:
        record: As aiokafka gave it; it becomes `raw`.
        partition: The number of its partition, as text.
        receipt: What the receiver needs to settle it.
    """
    headers = Headers.received(record.headers)
    key, value = record.key, record.value
    sent_id = carried(headers).get("id")
    attributes: dict[str, str | int] = {
        "messaging.destination.partition.id": partition,
        "messaging.kafka.offset": record.offset,
    }
    if value is None:
        attributes["messaging.kafka.message.tombstone"] = True
    return Arrival(
        id=sent_id if type(sent_id) is str else None,
        body=b"" if value is None else value,
        key=None if key is None else key.decode("utf-8", "surrogateescape"),
        headers=headers,
        sent_at=record.timestamp / 1000 if record.timestamp >= 0 else None,
        receipt=receipt,
        attributes=attributes,
        raw=record,
    )


def _utf8(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        msg = f"Kafka's header names are UTF-8, and this one is not: {name[:32]!r}"
        raise MessageError(msg) from None
    return name
