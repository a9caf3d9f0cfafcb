"""The errors of linkbus, as a tree.

LinkbusError
├─ TransportError       the broker or its client failed
│  ├─ ConnectError      could not open, or lost and not recovered
│  ├─ SendError         a message was not confirmed
│  ├─ SettleError       a settlement came too late or in vain
│  └─ DestinationNotFound
├─ MessageError         this message cannot be sent; also a ValueError
├─ DeliveryError        run() met a message that nobody can take
├─ CapabilityError      the transport cannot do this
└─ UsageError           the program uses linkbus wrongly; also a RuntimeError
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linkbus.abc import SendResult


class LinkbusError(Exception):
    """The root of every error that linkbus raises."""


class TransportError(LinkbusError):
    """The broker or its client library failed; `__cause__` is the library's error.

    Args:
        message: What happened, to which destination, and what to do.
        retryable: The same call may succeed later. The core then calls again, with back-off.
    """

    def __init__(self, message: str = "", *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class ConnectError(TransportError):
    """The transport could not open, or lost its broker and did not find it again."""


class SendError(TransportError):
    """A message was not confirmed by the broker.

    Attributes:
        result: What became of it: FAILED (the broker does not have it) or UNKNOWN (it may).
    """

    def __init__(self, message: str, result: SendResult) -> None:
        super().__init__(message, retryable=result.retryable)
        self.result = result

    def __reduce__(self) -> tuple[type[SendError], tuple[str, SendResult]]:
        return type(self), (str(self), self.result)


class SettleError(TransportError):
    """A settlement came too late or failed; the message may be delivered again."""


class DestinationNotFound(TransportError):  # noqa: N818 - a fixed public name
    """The broker has no such destination or source, and the transport does not create it."""


class MessageError(LinkbusError, ValueError):
    """This message cannot be sent on this transport: its body, a header, the key or the id."""


class DeliveryError(LinkbusError):
    """`run` met a message that its handler refused and that could be put nowhere else."""


class CapabilityError(LinkbusError):
    """The transport cannot do what was asked; its `capabilities` say what it can."""


class UsageError(LinkbusError, RuntimeError):
    """The program uses linkbus wrongly: settled twice, used after close, not opened."""
