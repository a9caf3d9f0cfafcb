"""What a member of a group holds between two rebalances."""

from __future__ import annotations

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from linkbus.abc import Arrival, Outcome, Settlement
from linkbus.transports.kafka._assignment import Assignment, LogRestarted
from linkbus.transports.kafka._mapping import Record

ZERO, ONE = TopicPartition("t", 0), TopicPartition("t", 1)


def records(partition: TopicPartition, *offsets: int, key: bytes | None = None) -> list[Record]:
    return [
        ConsumerRecord("t", partition.partition, offset, 0, 0, key, b"", None, -1, 0, ())
        for offset in offsets
    ]


def offsets(arrivals: list[Arrival]) -> list[object]:
    return [arrival.attributes["messaging.kafka.offset"] for arrival in arrivals]


def settle(held: Assignment, outcome: Outcome, *arrivals: Arrival, delay: float = 0.0) -> list[str]:
    return [held.settle(Settlement(one, outcome, delay), 0.0).status for one in arrivals]


def test_what_is_fetched_is_given_once() -> None:
    """In order, and not more than asked for."""
    held = Assignment()
    held.add({ZERO: records(ZERO, 0, 1, 2)})
    assert offsets(held.take(2, 0.0)) == [0, 1]
    assert offsets(held.take(2, 0.0)) == [2]
    assert held.take(2, 0.0) == []
    assert held.given == 3


def test_only_watermarks_that_moved_are_committed() -> None:
    """What the broker knows, or was not moved from where it began, is not committed again."""
    held = Assignment()
    held.add({ZERO: records(ZERO, 5, 6), ONE: records(ONE, 0)})
    five, six, _ = held.take(3, 0.0)
    assert held.uncommitted() == {}
    assert settle(held, Outcome.ACK, six) == ["ok"]
    assert held.uncommitted() == {}
    assert settle(held, Outcome.ACK, five) == ["ok"]
    assert held.uncommitted() == {ZERO: 7}
    held.commit({ZERO: 7})
    assert held.uncommitted() == {}


def test_a_released_one_comes_before_later_ones_of_its_key() -> None:
    """What was fetched and not given yet waits behind it; other keys do not."""
    held = Assignment()
    held.add({ZERO: records(ZERO, 0, 1, key=b"k"), ONE: records(ONE, 0, key=b"other")})
    (first,) = held.take(1, 0.0)
    assert settle(held, Outcome.RELEASE, first, delay=1.0) == ["ok"]
    assert held.released
    assert held.next_due == 1.0
    (other,) = held.take(9, 0.0)
    assert other.attributes["messaging.destination.partition.id"] == "1"
    assert offsets(held.take(9, 1.0)) == [0, 1]


def test_settling_what_is_not_held_is_stale() -> None:
    """Twice, after the end, and what this transport has never given."""
    held = Assignment()
    held.add({ZERO: records(ZERO, 0, 1)})
    first, second = held.take(2, 0.0)
    assert settle(held, Outcome.ACK, first, first) == ["ok", "stale"]
    assert settle(held, Outcome.RELEASE, first) == ["stale"]
    held.end()
    assert settle(held, Outcome.ACK, second, Arrival(id=None, body=b"")) == ["stale", "stale"]
    held.commit({ZERO: 1})
    assert held.uncommitted() == {}


def test_rejecting_is_refused() -> None:
    """There is nowhere to reject to, and the message stays held."""
    held = Assignment()
    held.add({ZERO: records(ZERO, 0)})
    (first,) = held.take(1, 0.0)
    assert settle(held, Outcome.REJECT, first) == ["failed"]
    assert held.given == 1


def test_after_it_stopped_giving_it_only_settles() -> None:
    """What is with the core may be settled; the rest is for the next owner."""
    held = Assignment()
    held.add({ZERO: records(ZERO, 0, 1, 2)})
    first, second = held.take(2, 0.0)
    assert held.stop_giving() == [first, second]
    assert held.take(9, 0.0) == []
    assert settle(held, Outcome.ACK, first) == ["ok"]
    assert settle(held, Outcome.RELEASE, second) == ["ok"]
    assert held.take(9, 0.0) == []
    assert held.uncommitted() == {ZERO: 1}
    assert held.given == 0


def test_a_full_partition_is_named() -> None:
    """It is full by what was taken above its watermark."""
    held = Assignment()
    held.add({ZERO: records(ZERO, 0, 1), ONE: records(ONE, 0)})
    assert held.full(2) == [ZERO]
    assert settle(held, Outcome.ACK, *held.take(1, 0.0)) == ["ok"]
    assert held.full(2) == []


def test_a_log_that_starts_again_is_noticed() -> None:
    """Offsets that were read already belong to another log."""
    held = Assignment()
    held.add({ZERO: records(ZERO, 5)})
    with pytest.raises(LogRestarted):
        held.add({ZERO: records(ZERO, 0)})
