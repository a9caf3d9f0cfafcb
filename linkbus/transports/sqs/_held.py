"""What a receiver holds: each message with its handle and the end of its lease."""

from __future__ import annotations

from linkbus.abc import SettleResult
from linkbus.transports.sqs._options import MAX_LEASE
from linkbus.transports.sqs._service import Received


class Held:
    """A message that SQS gave us; the receipt of its arrival.

    Attributes:
        message: As SQS gave it.
        until: When it may be given to others, by the event loop's clock; never later than
            SQS's own.
        is_settled: Its outcome was told, or is being told.
        noted: An outcome that SQS has taken, in a call that did not come to say so.
    """

    __slots__ = ("_asked", "is_settled", "message", "noted", "until")

    def __init__(self, message: Received, asked: float, seconds: float) -> None:
        self.message = message
        self.until = asked + seconds
        self.is_settled = False
        self.noted: SettleResult | None = None
        self._asked = asked

    @property
    def handle(self) -> str:
        """What SQS knows this delivery by."""
        return self.message["ReceiptHandle"]

    def is_ours(self, now: float) -> bool:
        """Whether it is neither settled nor lost."""
        return not self.is_settled and now < self.until

    def longest(self, now: float) -> int:
        """Return for how many seconds SQS would hide it, from now, at most."""
        return max(0, int(self._asked + MAX_LEASE - now))
