"""Delivery tags, and the fewest frames that settle them."""

from __future__ import annotations

import pytest

from linkbus.abc import Arrival, Outcome
from linkbus.transports.rabbitmq._unsettled import Unsettled

OUTCOMES = {"a": Outcome.ACK, "r": Outcome.RELEASE, "x": Outcome.REJECT}


def held(count: int) -> tuple[Unsettled, list[Arrival]]:
    """Hold messages with the tags from 1, all given."""
    unsettled = Unsettled()
    arrivals = [Arrival(id=None, body=b"", receipt=number + 1) for number in range(count)]
    for number, arrival in enumerate(arrivals):
        unsettled.hold(number + 1)
        unsettled.give(number + 1, arrival)
    return unsettled, arrivals


def noted(outcomes: str) -> Unsettled:
    """Note an outcome for each message, or none for a dot."""
    unsettled, arrivals = held(len(outcomes))
    for arrival, letter in zip(arrivals, outcomes, strict=True):
        if letter != ".":
            assert unsettled.note(arrival, OUTCOMES[letter])
    return unsettled


def shown(unsettled: Unsettled, *, everything: bool) -> str:
    told = unsettled.tell(everything=everything)
    return " ".join([f"{one.outcome}{'≤' if one.is_multiple else '='}{one.tag}" for one in told])


@pytest.mark.parametrize(
    ("outcomes", "frames", "left"),
    [
        ("...", "", 3),
        ("a..", "ack=1", 2),
        ("aaa", "ack≤3", 0),
        ("aarr", "ack≤2 release≤4", 0),
        ("arax", "ack=1 release=2 ack=3 reject=4", 0),
        ("a.a.", "ack=1", 3),
        (".aa.", "", 4),
        (".ar.x", "release=3 reject=5", 3),
    ],
)
def test_what_is_told_soon(outcomes: str, frames: str, left: int) -> None:
    """What is first, run by run, and releases; acknowledgements behind a gap wait."""
    unsettled = noted(outcomes)
    assert shown(unsettled, everything=False) == frames
    assert len(unsettled) == left


@pytest.mark.parametrize(
    ("outcomes", "frames", "left"),
    [("a.a.", "ack=1 ack=3", 2), (".aa.", "ack=2 ack=3", 2), ("aa", "ack≤2", 0)],
)
def test_what_is_told_later(outcomes: str, frames: str, left: int) -> None:
    """Everything that was noted."""
    unsettled = noted(outcomes)
    assert shown(unsettled, everything=True) == frames
    assert len(unsettled) == left
    assert unsettled.noted == 0


@pytest.mark.parametrize(
    ("outcomes", "frames"),
    [
        ("", []),
        ("...", [(Outcome.RELEASE, 3, True)]),
        (
            ".aaa.",
            [(Outcome.RELEASE, 1, False), (Outcome.ACK, 4, True), (Outcome.RELEASE, 5, False)],
        ),
        ("aax", [(Outcome.ACK, 2, True), (Outcome.REJECT, 3, False)]),
    ],
)
def test_what_is_told_at_the_end(outcomes: str, frames: list[tuple[Outcome, int, bool]]) -> None:
    """Everything: what has no outcome is given back."""
    unsettled = noted(outcomes)
    assert unsettled.tell_the_end() == frames
    assert len(unsettled) == 0


def test_a_gap_that_closes() -> None:
    """One frame tells of all that waited for it."""
    unsettled, arrivals = held(4)
    for number in (1, 2, 3):
        unsettled.note(arrivals[number], Outcome.ACK)
        assert unsettled.tell(everything=False) == []
    unsettled.note(arrivals[0], Outcome.ACK)
    assert unsettled.tell(everything=False) == [(Outcome.ACK, 4, True)]


def test_a_message_that_was_not_given_is_a_gap() -> None:
    """Nothing that the core does not know of is settled with what it does."""
    unsettled, arrivals = held(2)
    unsettled.hold(3)
    for arrival in arrivals:
        unsettled.note(arrival, Outcome.ACK)
    assert unsettled.tell(everything=False) == [(Outcome.ACK, 2, True)]
    assert unsettled.given() == []
    assert len(unsettled) == 1


def test_an_arrival_has_one_outcome() -> None:
    """It is settled once, where it came from."""
    unsettled, arrivals = held(2)
    _, elsewhere = held(2)
    assert unsettled.given() == arrivals
    assert not unsettled.note(elsewhere[0], Outcome.ACK)
    assert not unsettled.note(Arrival(id=None, body=b""), Outcome.ACK)
    assert unsettled.note(arrivals[0], Outcome.RELEASE)
    assert not unsettled.note(arrivals[0], Outcome.ACK)
    assert unsettled.given() == arrivals[1:]
    unsettled.clear()
    assert not unsettled.note(arrivals[1], Outcome.ACK)
    assert unsettled.tell(everything=True) == []
