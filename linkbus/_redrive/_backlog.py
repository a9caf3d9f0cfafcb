"""The backlog: dead letters that were there when somebody began to take them."""

from __future__ import annotations

import json
from time import time
from types import TracebackType
from typing import Self

import anyio

from linkbus._bus import Bus
from linkbus._delivery import Delivery
from linkbus._errors import CapabilityError, UsageError
from linkbus._own_header import carried
from linkbus.abc import Transport

GROUP = "linkbus-redrive"
"""The group that takes dead letters where sources have groups and none is named."""
PATIENCE = 5.0
"""Seconds without a dead letter after which there are no more."""
_PREFETCH = 200
_MAX_NEWER = 1000
"""Newer dead letters that are held; so many say that only such are left."""


class Backlog:
    """Gives the dead letters of a source that were there when it was entered.

    One that was sent later by its `sent_at`, or whose origin was given before, is newer: it
    may be a message that was sent back, failed, and came again. It is held until the end, so
    that it does not come again and again, and released then, as all that is not settled.

    Args:
        bus: Open.
        source: Where dead letters are received from.
        group: None: "linkbus-redrive", or none where there are no groups.
        patience: Seconds without a dead letter after which there are no more.

    Attributes:
        group: Who takes them; None where there are no groups.
        newer: How many newer ones are held.
        is_drained: Whether none came for `patience` seconds.
        is_stopped: Whether somebody stopped it.

    Raises:
        CapabilityError: A group was named, and the source has none.
        UsageError: A name is empty, or `patience` is not above 0.
    """

    def __init__(
        self, bus: Bus, source: str, *, group: str | None = None, patience: float = PATIENCE
    ) -> None:
        if not patience > 0:
            msg = f"a redrive cannot wait {patience} s for dead letters: give more than 0"
            raise UsageError(msg)
        self.group = _group(bus.transport, source) if group is None else group
        self._consumer = bus.consumer(source, group=self.group, prefetch=_PREFETCH)
        self._patience = patience
        self._began = 0.0
        self._origins: set[int] = set()
        self._waiting: anyio.CancelScope | None = None
        self.newer = 0
        self.is_drained = False
        self.is_stopped = False

    async def __aenter__(self) -> Self:
        self._began = time()
        await self._consumer.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._consumer.__aexit__(kind, error, traceback)

    async def next(self, most: int) -> list[Delivery]:
        """Return the next dead letters, in order; an empty list: that was all.

        If waiting is cancelled, nothing is lost.

        Args:
            most: At least 1, and no more than are received ahead.

        Raises:
            TransportError: The transport cannot go on.
        """
        with anyio.move_on_after(self._patience) as self._waiting:
            while not self.is_stopped and self.newer < _MAX_NEWER:
                batch = await anext(self._consumer.batches(max_messages=most, max_wait=0.0))
                there = [delivery for delivery in batch if self._was_there(delivery)]
                self.newer += len(batch) - len(there)
                if there:
                    return there
        self.is_drained = self._waiting.cancelled_caught and not self.is_stopped
        return []

    def stop(self) -> None:
        """Give nothing more."""
        self.is_stopped = True
        if self._waiting is not None:
            self._waiting.cancel()

    def _was_there(self, delivery: Delivery) -> bool:
        """Whether a dead letter is no newer than this; clocks may differ, origins do not."""
        if delivery.sent_at is not None and delivery.sent_at > self._began:
            return False
        origin = carried(delivery.headers).get("origin")
        if not isinstance(origin, dict) or "id" not in origin:
            return True
        known = hash(json.dumps(origin, sort_keys=True))
        is_new = known not in self._origins
        self._origins.add(known)
        return is_new


def _group(transport: Transport, source: str) -> str | None:
    """Return the group that takes the dead letters of a source; None: it has none."""
    if not transport.capabilities.groups:
        return None
    try:
        transport.describe(source, GROUP)
    except CapabilityError:  # other sources of this transport have groups, and this one has not
        return None
    return GROUP
