"""Released records wait in lanes, one for each key."""

from __future__ import annotations

from aiokafka import ConsumerRecord

from linkbus.transports.kafka._lanes import Lanes
from linkbus.transports.kafka._mapping import Record


def record(offset: int, key: bytes | None = b"k", partition: int = 0) -> Record:
    return ConsumerRecord("t", partition, offset, 0, 0, key, b"", None, 1, 0, ())


def offsets(taken: list[Record]) -> list[int]:
    return [one.offset for one in taken]


def test_one_key_comes_in_the_order_of_its_offsets() -> None:
    """However they were released, and with what is new behind them."""
    lanes = Lanes()
    for offset in (3, 1, 2):
        lanes.release(record(offset), 0.0)
    assert lanes.hold(record(4))
    assert offsets(lanes.take(0.0, 2)) == [1, 2]
    assert offsets(lanes.take(0.0, 9)) == [3, 4]
    assert not lanes
    assert not lanes.hold(record(5))


def test_a_delay_holds_up_its_key_and_no_other() -> None:
    """Later ones of a key wait for the first; other keys, partitions and no key do not."""
    lanes = Lanes()
    lanes.release(record(1), 10.0)
    lanes.release(record(2), 0.0)
    lanes.release(record(3, b"other"), 5.0)
    lanes.release(record(4, None), 1.0)
    lanes.release(record(5, None), 0.0)
    lanes.release(record(6, b"k", partition=1), 0.0)
    assert offsets(lanes.take(0.0, 9)) == [5, 6]
    assert lanes.next_due() == 1.0
    assert offsets(lanes.take(5.0, 9)) == [4, 3]
    assert lanes.next_due() == 10.0
    assert offsets(lanes.take(10.0, 9)) == [1, 2]
    assert lanes.next_due() is None


def test_an_earlier_one_takes_the_head_of_its_lane() -> None:
    """The due time of a lane is that of its first record, also after it was superseded."""
    lanes = Lanes()
    lanes.release(record(2), 1.0)
    lanes.release(record(1), 5.0)
    assert lanes.next_due() == 5.0
    assert offsets(lanes.take(5.0, 1)) == [1]
    assert offsets(lanes.take(5.0, 1)) == [2]
    lanes.release(record(2), 9.0)
    assert lanes.next_due() == 9.0


def test_cleared_lanes_hold_nothing() -> None:
    """Nothing comes after `clear`."""
    lanes = Lanes()
    lanes.release(record(1), 0.0)
    lanes.clear()
    assert lanes.take(99.0, 9) == []
    assert lanes.next_due() is None
