"""Released messages, waiting to be given again in the order of their keys."""

from __future__ import annotations

from bisect import insort
from heapq import heappop, heappush
from typing import NamedTuple

from linkbus.transports.kafka._mapping import Record

Lane = tuple[int, bytes | int]
"""A partition and a key; for a record without a key its offset, so that it waits alone."""


class _Waiting(NamedTuple):
    offset: int
    due: float
    record: Record


class Lanes:
    """Records that wait, one lane for each key, in the order of their offsets.

    A record is due when its time has come and nothing is before it in its lane. While a
    lane exists, later records of its key have to be added to it: `hold` does that.
    """

    __slots__ = ("_due", "_lanes")

    def __init__(self) -> None:
        self._lanes: dict[Lane, list[_Waiting]] = {}
        self._due: list[tuple[float, int, Lane]] = []

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def release(self, record: Record, due: float) -> None:
        """Add a record that was given before, to be given again when it is due."""
        lane = _lane(record)
        waiting = self._lanes.setdefault(lane, [])
        insort(waiting, _Waiting(record.offset, due, record), key=_offset)
        if waiting[0].offset == record.offset:
            heappush(self._due, (due, record.offset, lane))

    def hold(self, record: Record) -> bool:
        """Add a record that was not given yet, if its key waits; else say False."""
        waiting = self._lanes.get(_lane(record))
        if waiting is None:
            return False
        waiting.append(_Waiting(record.offset, 0.0, record))
        return True

    def take(self, now: float, limit: int) -> list[Record]:
        """Remove and return records that are due, at most `limit`."""
        taken: list[Record] = []
        while len(taken) < limit and (due := self.next_due()) is not None and due <= now:
            _, _, lane = heappop(self._due)
            waiting = self._lanes[lane]
            taken.append(waiting.pop(0).record)
            if waiting:
                heappush(self._due, (waiting[0].due, waiting[0].offset, lane))
            else:
                del self._lanes[lane]
        return taken

    def next_due(self) -> float | None:
        """Return when the next record is due; None when nothing waits."""
        while self._due:
            due, offset, lane = self._due[0]
            waiting = self._lanes.get(lane)
            if waiting and waiting[0][:2] == (offset, due):
                return due
            heappop(self._due)  # another record has come before it in its lane since
        return None

    def clear(self) -> None:
        """Drop everything."""
        self._lanes.clear()
        self._due.clear()


def _lane(record: Record) -> Lane:
    return (record.partition, record.offset if record.key is None else record.key)


def _offset(waiting: _Waiting) -> int:
    return waiting.offset
