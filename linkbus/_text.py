"""Text that survives every broker: `str` or bytes in, the same `str` out."""

from __future__ import annotations

from linkbus._errors import MessageError


def to_text(value: object) -> str:
    """Return the stable text of a key or a header value.

    Bytes are decoded as UTF-8 with `surrogateescape`, so any bytes survive. A `str`
    is taken through the same round trip, so that it equals what a broker that
    stores bytes gives back. None is empty; any other type is its `str()`.

    Raises:
        MessageError: A `str` holds a lone surrogate that stands for no byte.
    """
    if isinstance(value, str):
        return str(value) if value.isascii() else to_bytes(value).decode("utf-8", "surrogateescape")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "surrogateescape")
    return "" if value is None else to_text(str(value))


def to_bytes(text: str) -> bytes:
    """Return the bytes that a stable text stands for.

    Raises:
        MessageError: It holds a lone surrogate that stands for no byte.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        msg = "text holds a lone surrogate, which no broker can carry: encode it to bytes first"
        raise MessageError(msg) from None
