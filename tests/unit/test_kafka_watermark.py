"""The watermark of a partition, in Kafka's terms: the offset to commit."""

from __future__ import annotations

import random

from aiokafka import ConsumerRecord

from linkbus.abc import Arrival
from linkbus.transports.kafka._watermark import Watermark


def given(watermark: Watermark, offset: int) -> Arrival:
    record = ConsumerRecord("t", 0, offset, 0, 0, None, b"", None, -1, 0, ())
    arrival = Arrival(id=None, body=b"", raw=record)
    watermark.give(arrival, offset)
    return arrival


def test_it_passes_only_what_is_done() -> None:
    """It stands at the first offset that is not done, and behind the last when all are."""
    watermark = Watermark(0)
    watermark.take([3, 4, 7])
    assert (watermark.value, watermark.gap(), watermark.committed) == (3, 3, 3)
    three, four, seven = [given(watermark, offset) for offset in (3, 4, 7)]
    assert watermark.given == 3
    assert watermark.finish(four)
    assert (watermark.value, watermark.gap()) == (3, 3)
    assert watermark.finish(three)
    assert (watermark.value, watermark.gap()) == (7, 1)
    assert watermark.finish(seven)
    assert (watermark.value, watermark.gap(), watermark.next) == (8, 0, 8)
    assert watermark.given == 0


def test_an_arrival_is_settled_once() -> None:
    """Settling again, or what was given before, changes nothing."""
    watermark = Watermark(0)
    watermark.take([1])
    first = given(watermark, 1)
    assert watermark.put_back(first)
    assert not watermark.put_back(first)
    assert not watermark.finish(first)
    assert (watermark.value, watermark.given, watermark.arrivals()) == (1, 0, [])
    second = given(watermark, 1)
    assert watermark.arrivals() == [second]
    assert not watermark.finish(first)
    assert watermark.finish(second)
    assert watermark.value == 2


def test_what_is_forgotten_is_stale() -> None:
    """After `forget` nothing can be settled and nothing is held."""
    watermark = Watermark(0)
    watermark.take([1, 2])
    arrival = given(watermark, 1)
    watermark.forget()
    assert not watermark.finish(arrival)
    assert (watermark.given, watermark.arrivals(), watermark.gap()) == (0, [], 0)


def test_it_never_falls_whatever_the_order() -> None:
    """In random orders it rises only, and never passes an offset that is not done."""
    for seed in range(20):
        chance = random.Random(seed)  # noqa: S311 - orders, not secrets
        watermark = Watermark(0)
        offsets = sorted(chance.sample(range(1000), 100))
        watermark.take(offsets)
        arrivals = {offset: given(watermark, offset) for offset in offsets}
        last = watermark.value
        while arrivals:
            offset = chance.choice(list(arrivals))
            watermark.finish(arrivals.pop(offset))
            assert last <= watermark.value <= min(arrivals, default=1000)
            last = watermark.value
        assert last == offsets[-1] + 1
