"""The clock of a round."""

from __future__ import annotations

from benchmarks.laps import SLICES, Laps


def test_what_is_before_the_warm_up_is_not_measured():
    """Ninety of a hundred messages are measured when ten are the warm-up."""
    laps = Laps(100, 10)
    for count in range(1, 101):
        laps.reach(count)
    laps.stop()
    assert laps.messages == 90
    assert laps.seconds > 0


def test_slices_are_as_many_as_there_is_room_for():
    """A round of a thousand messages has fifty slices, each of them positive."""
    laps = Laps(1000)
    laps.start()
    for count in range(1, 1001):
        laps.reach(count)
    laps.stop()
    slices = laps.slices()
    assert len(slices) == SLICES
    assert min(slices) > 0


def test_batches_are_slices():
    """Where messages come in batches, each that is larger than a slice is one."""
    laps = Laps(500, 50)
    for count in (100, 200, 300, 400, 500):
        laps.reach(count)
    laps.stop()
    assert laps.messages == 400
    assert len(laps.slices()) == 4


def test_a_clock_that_never_started():
    """With no message after the warm-up nothing is measured."""
    laps = Laps(10, 5)
    laps.reach(3)
    laps.stop()
    assert laps.messages == 0
    assert laps.seconds == 0.0
    assert laps.slices() == []
