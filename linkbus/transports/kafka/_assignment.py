"""What one member of a group holds between two rebalances."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import cast

from aiokafka import TopicPartition

from linkbus._errors import CapabilityError
from linkbus.abc import Arrival, Outcome, Settlement, SettleResult, SettleStatus
from linkbus.transports.kafka._lanes import Lanes
from linkbus.transports.kafka._mapping import Record, arrival
from linkbus.transports.kafka._watermark import Watermark

_OK = SettleResult(SettleStatus.OK)
_STALE = SettleResult(SettleStatus.STALE)
_REFUSED = SettleResult(
    SettleStatus.FAILED, CapabilityError("Kafka has no dead letters of its own to reject to")
)


class LogRestarted(Exception):  # noqa: N818 - a state of the log, not a fault
    """A log starts again below what was read from it: it is another log."""


class Assignment:
    """The messages of one assignment: fetched, given, waiting to be given again.

    Every rebalance revokes every partition, so an assignment is replaced as a whole, and
    what was given by an old one is stale. Does no I/O and never waits.

    Attributes:
        released: Whether something was released since this was last set to False.
    """

    def __init__(self) -> None:
        self.released = False
        self._watermarks: dict[TopicPartition, Watermark] = {}
        self._ready: deque[tuple[Watermark, Record]] = deque()
        self._lanes = Lanes()
        self._gives = True

    @property
    def given(self) -> int:
        """How many arrivals are with the core, unsettled."""
        return sum([watermark.given for watermark in self._watermarks.values()])

    @property
    def next_due(self) -> float | None:
        """When the next released message is to be given again; None if there is none."""
        return self._lanes.next_due()

    def add(self, fetched: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Hold what was fetched, to be given by `take`.

        Raises:
            LogRestarted: An offset comes again, so nothing of this assignment can be trusted.
        """
        for partition, records in fetched.items():
            watermark = self._watermarks.get(partition)
            if watermark is None:
                watermark = self._watermarks[partition] = Watermark(partition.partition)
            elif records[0].offset < watermark.next:
                raise LogRestarted
            watermark.take([record.offset for record in records])
            self._ready.extend([(watermark, record) for record in records])

    def take(self, limit: int, now: float) -> list[Arrival]:
        """Return messages to give to the core, at most `limit`."""
        if not self._gives:
            return []
        lanes, ready = self._lanes, self._ready
        if not lanes:
            return [self._give(*ready.popleft()) for _ in range(min(limit, len(ready)))]
        taken = [self._give(self._of(record), record) for record in lanes.take(now, limit)]
        while ready and len(taken) < limit:
            watermark, record = ready.popleft()
            if not lanes.hold(record):
                taken.append(self._give(watermark, record))
        return taken

    def settle(self, settlement: Settlement, now: float) -> SettleResult:
        """Note an outcome."""
        settled = settlement.arrival
        watermark = settled.receipt
        if type(watermark) is not Watermark:
            return _STALE
        if settlement.outcome is Outcome.ACK:
            return _OK if watermark.finish(settled) else _STALE
        if settlement.outcome is not Outcome.RELEASE:
            return _REFUSED
        if not watermark.put_back(settled):
            return _STALE
        self.released = True
        if self._gives:
            self._lanes.release(cast("Record", settled.raw), now + settlement.delay)
        return _OK

    def full(self, max_gap: int) -> list[TopicPartition]:
        """Return the partitions of which no more may be taken for now."""
        return [
            partition
            for partition, watermark in self._watermarks.items()
            if watermark.gap() >= max_gap
        ]

    def uncommitted(self) -> dict[TopicPartition, int]:
        """Return the watermarks that the broker does not know of."""
        return {
            partition: value
            for partition, watermark in self._watermarks.items()
            if (value := watermark.value) != watermark.committed
        }

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Note that the broker knows of these watermarks."""
        for partition, offset in offsets.items():
            if (watermark := self._watermarks.get(partition)) is not None:
                watermark.committed = offset

    def stop_giving(self) -> list[Arrival]:
        """Give nothing more, and return what is with the core; it may still be settled."""
        self._gives = False
        self._ready.clear()
        self._lanes.clear()
        return [one for watermark in self._watermarks.values() for one in watermark.arrivals()]

    def end(self) -> None:
        """Make everything stale that is not settled."""
        self.stop_giving()
        for watermark in self._watermarks.values():
            watermark.forget()
        self._watermarks.clear()

    def _of(self, record: Record) -> Watermark:
        return self._watermarks[TopicPartition(record.topic, record.partition)]

    def _give(self, watermark: Watermark, record: Record) -> Arrival:
        given = arrival(record, watermark.name, watermark)
        watermark.give(given, record.offset)
        return given
