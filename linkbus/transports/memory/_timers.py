"""Timers: what falls due and when, found by looking, without a task or a callback."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Generic, TypeVar

_SPARE = 64


class Timed:
    """Something that may fall due, once.

    Attributes:
        due: When, on the group's clock; None while no timer is set.
    """

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due: float | None = None


TimedT = TypeVar("TimedT", bound=Timed)


class Timers(Generic[TimedT]):
    """Things that fall due, the earliest first.

    Setting anew and cancelling only mark: an entry whose time is no longer its thing's
    `due` is dead, and is dropped when it comes to the top or when dead ones are the
    greater part. So what was cancelled is not kept alive until its time.
    """

    __slots__ = ("_heap", "_live", "_number")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, TimedT]] = []
        self._live = 0
        self._number = count()

    def set(self, thing: TimedT, due: float) -> None:
        """Let a thing fall due then, whatever was set for it before."""
        if thing.due is None:
            self._live += 1
        elif thing.due == due:
            return
        else:
            self._compact()
        thing.due = due
        heappush(self._heap, (due, next(self._number), thing))

    def cancel(self, thing: TimedT) -> None:
        """Let a thing not fall due; no effect where no timer is set."""
        if thing.due is not None:
            thing.due = None
            self._live -= 1
            self._compact()

    def __iter__(self) -> Iterator[TimedT]:
        """Yield all that has a timer, once, in no order; for seldom use."""
        return iter({thing: None for due, _, thing in self._heap if thing.due == due})

    def earliest(self) -> float:
        """Return when the next thing falls due; infinity when none does."""
        heap = self._heap
        while heap and heap[0][2].due != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else inf

    def pop_due(self, now: float) -> list[TimedT]:
        """Return what fell due by now, the earliest first, with its timer cancelled."""
        things: list[TimedT] = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, _, thing = heappop(heap)
            if thing.due == due:
                thing.due = None
                self._live -= 1
                things.append(thing)
        return things

    def _compact(self) -> None:
        if len(self._heap) > 2 * self._live + _SPARE:
            self._heap = [entry for entry in self._heap if entry[2].due == entry[0]]
            heapify(self._heap)
