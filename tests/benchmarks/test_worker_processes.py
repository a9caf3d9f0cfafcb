"""Worker processes: what they answer, and that all contenders do the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import pytest

from benchmarks.budgets import CUT_OUT, HAND, NO_SDK, OFF, PASSING, RAW, RECORDING
from benchmarks.crew import Crew, Worker
from benchmarks.peers import peer_named
from benchmarks.pinning import Cores
from benchmarks.progress import Progress
from benchmarks.rounds import Work
from benchmarks.running import measured, rotated

UNPINNED = Cores(None, None, "not pinned")
NAMES = (RAW, CUT_OUT, NO_SDK, PASSING, OFF, RECORDING, HAND)


class Told(Progress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str | None]] = []

    def step(self, what: str, void: str | None) -> None:
        self.steps.append((what, void))


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew([peer_named(name, "memory") for name in NAMES], "memory", "", UNPINNED) as crew:
        yield crew


def worker(crew: Crew, name: str) -> Worker:
    (found,) = [it for it in crew.workers if it.peer.name == name]
    return found


def halves(crew: Crew, name: str, work: Work) -> list[Mapping[str, float]]:
    answer = worker(crew, name).ask("round", work)
    assert answer["void"] is None
    return [cast("Mapping[str, float]", answer[half]) for half in ("send", "receive")]


@pytest.mark.parametrize("work", [Work(100), Work(400, batch=50), Work(900, batch=250)], ids=str)
def test_what_is_by_hand_is_what_linkbus_makes(crew: Crew, work: Work):
    """As many spans, links and attributes, in single messages and in batches above the limit."""
    for ours, theirs in zip(halves(crew, RECORDING, work), halves(crew, HAND, work), strict=True):
        for count in ("spans", "links", "attributes"):
            assert ours[count] == pytest.approx(theirs[count]), count
    assert ours["links"] == 1


@pytest.mark.parametrize("name", [RAW, CUT_OUT, NO_SDK, PASSING, OFF])
def test_nothing_is_recorded_elsewhere(crew: Crew, name: str):
    """The other modes make no spans, and their rounds are right."""
    assert [half["spans"] for half in halves(crew, name, Work(100))] == [0, 0]


def test_every_contender_does_its_rounds(crew: Crew):
    """Each has as many as were asked for, in another order each time, and a warm-up before."""
    told = Told()
    rows = measured(crew, Work(60), 2, told, held=True)
    assert [row.contender for row in rows] == list(NAMES)
    assert [len(row.rounds) for row in rows] == [2] * len(NAMES)
    assert {row.void for row in rows} == {None}
    assert all(row.held_bytes("roundtrip") for row in rows)
    assert len(told.steps) == 4 * len(NAMES)
    assert told.steps[0] != told.steps[len(NAMES)]


def test_the_order_is_rotated():
    """Everyone is first once."""
    assert ["".join(rotated("abc", by)) for by in range(4)] == ["abc", "bca", "cab", "abc"]


def test_memory_is_looked_at_while_messages_flow(crew: Crew):
    """The samples reach to the last message."""
    answer = worker(crew, NO_SDK).ask("resident", Work(3000, senders=4))
    assert answer["void"] is None
    samples = cast("list[tuple[int, float, float]]", answer["samples"])
    assert [count for count, _, _ in samples] == sorted(count for count, _, _ in samples)
    assert samples[0][0] == 1000
    assert samples[-1][0] == 3000
    assert all(mib > 1 and wall > 0 for _, mib, wall in samples)


def test_keys_are_kept_in_order(crew: Crew):
    """Messages of few keys are handled in the order in which they were sent."""
    answer = worker(crew, NO_SDK).ask("keyed", Work(500, keys=7))
    assert answer["void"] is None
    assert cast("float", answer["wall"]) > 0


def test_a_worker_that_is_lost():
    """It answers that it is void, as often as it is asked."""
    with Crew([peer_named(RAW, "memory")], "memory", "", UNPINNED) as crew:
        (lost,) = crew.workers
        assert lost.ask("round", Work(50))["void"] is None
        assert "its process ended" in str(lost.ask("no such duty", Work(50))["void"])
        assert "its process ended" in str(lost.ask("round", Work(50))["void"])
        (row,) = measured(crew, Work(50), 1, Told())
    assert row.void is not None
    assert not row.is_good
