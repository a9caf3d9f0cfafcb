"""What may leave: headers without old context, and messages that the transport can take."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from linkbus._errors import MessageError
from linkbus._message import Headers, Message
from linkbus._own_header import NAME, carrying
from linkbus._seam import Capabilities, Envelope
from linkbus._tracing._lineage import lineage_in


class Outgoing:
    """Prepares and checks the messages to one destination.

    Args:
        destination: Where they go.
        capabilities: The transport's.
        strip: Removes the propagator's headers.
    """

    __slots__ = ("_capabilities", "_destination", "_strip")

    def __init__(
        self,
        destination: str,
        capabilities: Capabilities,
        strip: Callable[[Headers], Headers],
    ) -> None:
        self._destination = destination
        self._capabilities = capabilities
        self._strip = strip

    def headers(self, given: Headers) -> Headers:
        """Return the headers that leave: nothing of an earlier message's context or id.

        Only the lineage of a dead letter stays, and only on its way back to its source.
        """
        if not given:
            return given
        headers = self._strip(given)
        if NAME not in headers:
            return headers
        others = Headers.stable([pair for pair in headers.items() if pair[0] != NAME])
        origin = lineage_in(headers)
        if origin is not None and origin.get("source") == self._destination:
            return carrying(others, {"origin": origin})
        return others

    def refused(self, message: Message, headers: Headers) -> MessageError | None:
        """Return why the transport cannot take a message, or None."""
        can = self._capabilities
        if headers:
            count = len(headers) - len(headers.get_all(NAME))
            if can.max_headers is not None and count > can.max_headers:
                return self._error(f"it has {count} headers, of at most {can.max_headers}")
            if not can.repeated_headers and len(set(headers)) < len(headers):
                return self._error("it repeats a header, which this transport cannot carry")
        if can.max_message_bytes is not None:
            size = len(message.body)
            if headers or message.key is not None:
                size += _size(message, headers)
            if size > can.max_message_bytes:
                return self._error(
                    f"body, key and headers have {size} bytes, of at most {can.max_message_bytes}"
                )
        return None

    def envelope(
        self, message: Message, mid: str, headers: Headers, carrier: Mapping[str, str]
    ) -> Envelope:
        """Return the envelope of a message, with the context that leaves with it."""
        limit = self._capabilities.max_headers
        return Envelope(mid, message.body, message.key, headers, carrier, max_headers=limit)

    def _error(self, why: str) -> MessageError:
        return MessageError(f"a message cannot be sent to {self._destination!r}: {why}")


def _size(message: Message, headers: Headers) -> int:
    """Return the bytes of the key and of the application's headers: not of linkbus's own."""
    size = 0
    if message.key is not None:
        size += _bytes_of(message.key)
    for name, value in headers.items():
        if name != NAME:
            size += _bytes_of(name) + _bytes_of(value)
    return size


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
