"""Batches: as many deliveries as there are, up to a size, within a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import monotonic
from typing import Self

import anyio

from linkbus._delivery import Batch
from linkbus._errors import UsageError
from linkbus._subscription import Subscription


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is complete.

    Args:
        max_messages: The most deliveries in it.
        max_wait: Seconds, counted from the receipt of the first one.
        max_bytes: The most bytes of its bodies; a larger message is a batch of its own.

    Raises:
        UsageError: A limit is out of its range.
    """

    max_messages: int
    max_wait: float
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        is_too_small = self.max_bytes is not None and self.max_bytes < 1
        if self.max_messages < 1 or self.max_wait < 0 or is_too_small:
            msg = (
                f"max_messages={self.max_messages}, max_wait={self.max_wait}, "
                f"max_bytes={self.max_bytes}: a batch has at least one message and byte, "
                "and waits for 0 or more seconds"
            )
            raise UsageError(msg)

    def missing_time(self, subscription: Subscription) -> float | None:
        """Return how long a batch may still wait, in seconds; None: there is nothing yet."""
        first = subscription.buffer.first()
        return None if first is None else first._since + self.max_wait - monotonic()

    def is_reached(self, subscription: Subscription) -> bool:
        """Whether a batch is complete with what is there."""
        return subscription.has(self.max_messages, self.max_bytes)


class Batches(AsyncIterator[Batch]):
    """Gives batches, never an empty one; made by `Consumer.batches`.

    If waiting for the next one is cancelled, nothing is lost: what was there stays for
    the next call.
    """

    def __init__(self, subscription: Subscription, limits: BatchLimits) -> None:
        self._subscription = subscription
        self._limits = limits

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        subscription, limits = self._subscription, self._limits
        while True:
            await subscription.wait_for(1)
            if not limits.is_reached(subscription):
                with anyio.move_on_after(limits.missing_time(subscription)):
                    await subscription.wait_for(limits.max_messages, limits.max_bytes)
            given = subscription.give_many(limits.max_messages, limits.max_bytes)
            if given:  # else they were lost, or another task took them, meanwhile
                return Batch(given)
