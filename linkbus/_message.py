"""Message: what an application sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import randbytes

from linkbus._errors import MessageError
from linkbus._headers import Headers
from linkbus._text import to_bytes, to_text

__all__ = ["Headers", "Message", "new_id"]

_set = object.__setattr__
_NO_HEADERS = Headers()


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Message:
    """What an application sends: a body, and optionally a key, headers and an id.

    Frozen: a message may be sent many times, to many destinations, from any task.

    Args:
        body: The content, as bytes. Encode text and objects before.
        key: Messages of one key keep their order, where the transport orders by key.
            `str` or `bytes`; read back as `str`.
        headers: A mapping or pairs, see `Headers`. The propagator's own names
            (`traceparent` and the like) in them are replaced when the message is sent.
        id: Identifies the message to the application and in traces. None: a new
            random one at each send.
        context: A stored creation context (`capture_context`, `Producer.create`). It
            is what leaves with the message. None, or nothing valid in it: made at send.

    Raises:
        MessageError: The body is not bytes, the id is empty, the context is not a mapping,
            or a header is refused.
    """

    body: bytes
    key: str | None = None
    headers: Headers = field(default_factory=Headers)
    id: str | None = None
    context: Mapping[str, str] | None = field(default=None, hash=False)

    def __init__(
        self,
        body: bytes,
        *,
        key: str | bytes | None = None,
        headers: Mapping[str, object] | Iterable[tuple[str, object]] = (),
        id: str | None = None,  # noqa: A002 - the word of the public API
        context: Mapping[str, str] | None = None,
    ) -> None:
        if type(body) is not bytes:
            body = _as_bytes(body)
        if id is not None and (not isinstance(id, str) or not id):
            msg = "a message id must be a str that is not empty, or None for a new one"
            raise MessageError(msg)
        _set(self, "body", body)
        _set(self, "key", None if key is None else to_text(key))
        if type(headers) is not Headers:
            headers = Headers(headers) if headers else _NO_HEADERS
        _set(self, "headers", headers)
        _set(self, "id", None if id is None else to_text(id))
        _set(self, "context", None if context is None else _as_context(context))

    @property
    def key_bytes(self) -> bytes | None:
        """The key as the bytes that it stands for."""
        return None if self.key is None else to_bytes(self.key)

    def __repr__(self) -> str:
        return f"<Message {self.id or '(no id yet)'}, {len(self.body)} bytes>"


def new_id() -> str:
    """Return a random message id: 32 hexadecimal digits, unique, not secret."""
    return randbytes(16).hex()  # noqa: S311 - not secret


def _as_bytes(body: object) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    msg = f"a message body must be bytes, not {type(body).__name__}: encode it first"
    raise MessageError(msg)


def _as_context(context: object) -> dict[str, str]:
    if isinstance(context, Mapping):
        return {to_text(name): to_text(value) for name, value in context.items()}
    msg = f"a message context must be a mapping or None, not {type(context).__name__}"
    raise MessageError(msg)
