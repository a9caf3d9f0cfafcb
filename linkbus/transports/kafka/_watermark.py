"""The watermark of one partition: the offset below which everything is settled."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import cast

from linkbus.abc import Arrival
from linkbus.transports.kafka._mapping import Record


class Watermark:
    """What was taken from one partition during one assignment, and what of it is done.

    Offsets are taken in rising order; they may have gaps. The watermark never passes an
    offset that is not done, and never falls. An offset that was taken is held from then
    on, whether it waits to be given, is given, or waits to be given again.

    Attributes:
        name: The partition's number, as text.
        committed: The watermark that the broker knows of, or need not be told.
        given: How many arrivals are with the core.
    """

    __slots__ = ("_arrivals", "_next", "_order", "committed", "given", "name")

    def __init__(self, partition: int) -> None:
        self.name = str(partition)
        self.committed: int | None = None
        self.given = 0
        self._next = 0
        self._order: deque[int] = deque()
        self._arrivals: dict[int, Arrival | None] = {}

    @property
    def next(self) -> int:
        """The lowest offset that may be taken next."""
        return self._next

    @property
    def value(self) -> int:
        """The watermark: the offset to commit."""
        order, arrivals = self._order, self._arrivals
        while order and order[0] not in arrivals:
            order.popleft()
        return order[0] if order else self._next

    def gap(self) -> int:
        """Return how many offsets have been taken above the watermark."""
        order, arrivals = self._order, self._arrivals
        while order and order[0] not in arrivals:
            order.popleft()
        return len(order)

    def take(self, offsets: Sequence[int]) -> None:
        """Hold offsets, one at least, in rising order, of which none is below `next`."""
        if self.committed is None:
            self.committed = offsets[0]
        self._order.extend(offsets)
        self._arrivals.update(dict.fromkeys(offsets))
        self._next = offsets[-1] + 1

    def give(self, arrival: Arrival, offset: int) -> None:
        """Note that an offset that is held was given to the core, as `arrival`."""
        self._arrivals[offset] = arrival
        self.given += 1

    def finish(self, arrival: Arrival) -> bool:
        """Note that an arrival is done; False when it is not with the core."""
        offset = cast("Record", arrival.raw).offset
        if self._arrivals.get(offset) is not arrival:
            return False
        del self._arrivals[offset]
        self.given -= 1
        return True

    def put_back(self, arrival: Arrival) -> bool:
        """Hold an offset without its arrival; False when it is not with the core."""
        offset = cast("Record", arrival.raw).offset
        if self._arrivals.get(offset) is not arrival:
            return False
        self._arrivals[offset] = None
        self.given -= 1
        return True

    def arrivals(self) -> list[Arrival]:
        """Return what is with the core."""
        return [arrival for arrival in self._arrivals.values() if arrival is not None]

    def forget(self) -> None:
        """Let go of everything: nothing of it can be settled any more."""
        self._arrivals.clear()
        self._order.clear()
        self.given = 0
