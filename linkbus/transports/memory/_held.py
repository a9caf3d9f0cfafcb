"""What a topic holds: a message, as it was sent, until every group has settled it."""

from __future__ import annotations

from linkbus.abc import Envelope


class Held:
    """A message of a topic.

    Attributes:
        number: Its place in the topic; later ones are greater.
        sent_at: Seconds since the epoch.
        size: Bytes of body, key and headers, for the topic's bound.
        owing: How many groups have not settled it.
    """

    __slots__ = ("body", "headers", "id", "key", "number", "owing", "sent_at", "size")

    def __init__(self, envelope: Envelope, number: int, sent_at: float, size: int) -> None:
        self.number = number
        self.id = envelope.id
        self.body = envelope.body
        self.key = envelope.key
        self.headers = envelope.wire_headers
        self.sent_at = sent_at
        self.size = size
        self.owing = 0


def size_of(envelope: Envelope) -> int:
    """Return the bytes of body, key and headers, as they would be on a wire."""
    size = len(envelope.body)
    if envelope.key is not None:
        size += _bytes_of(envelope.key)
    for name, value in envelope.wire_headers.items():
        if name.isascii() and value.isascii():
            size += len(name) + len(value)
        else:
            size += _bytes_of(name) + _bytes_of(value)
    return size


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
