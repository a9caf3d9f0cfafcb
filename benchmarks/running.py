"""Rounds of several contenders, interleaved, so that a noisy machine is fair to all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypedDict, TypeVar, cast

from benchmarks.crew import Answer, Crew, Worker
from benchmarks.plan import whole
from benchmarks.progress import Progress
from benchmarks.rounds import Part, Work
from benchmarks.rows import HALVES, Row

_TRACED_MESSAGES = 120
"""Enough for a median of the memory that a message holds."""

T = TypeVar("T")


class _Part(TypedDict):
    """The fields of `Part`."""

    wall: float
    cpu: float
    slices: list[float]
    spans: float
    links: float
    attributes: float


def measured(
    crew: Crew, work: Work, rounds: int, progress: Progress, *, held: bool = False
) -> list[Row]:
    """Let every contender do a round, then the next; the first round counts for nothing.

    Args:
        crew: The contenders.
        work: What each does in a round.
        rounds: How many count.
        progress: Told of each round.
        held: Measure memory too, in a pass of its own.
    """
    workers = [it for it in crew.workers if it.peer.batches or not work.batch]
    rows = {it.peer.name: Row(crew.transport, it.peer.name, work) for it in workers}
    for number in range(rounds + 1):
        for worker in rotated(workers, number):
            row, news = rows[worker.peer.name], None
            if row.void is None:
                answer = worker.ask("round", _scaled(work, worker))
                _enter(row, answer, counts=number > 0)
                news = row.void
            progress.step(f"{crew.transport} {_told(work)}: {worker.peer.name}", news)
    if held:
        for worker in workers:
            row = rows[worker.peer.name]
            if row.is_good:
                row.held = _held(worker, work)
            progress.step(f"{crew.transport} memory held: {worker.peer.name}", None)
    return list(rows.values())


def steps(crew_size: int, rounds: int, *, held: bool = False) -> int:
    """Return how often `measured` tells of its progress, at most."""
    return crew_size * (rounds + 1 + int(held))


def rotated(items: Sequence[T], by: int) -> Iterator[T]:
    """Give all items, beginning with another one each time."""
    for index in range(len(items)):
        yield items[(index + by) % len(items)]


def _scaled(work: Work, worker: Worker) -> Work:
    if worker.peer.share == 1.0:
        return work
    messages = int(work.messages * worker.peer.share)
    return replace(work, messages=whole(max(messages, 4 * work.batch, 50), work.batch))


def _enter(row: Row, answer: Answer, *, counts: bool) -> None:
    why = answer.get("void")
    if why is not None:
        row.void = str(why)
        row.rounds.clear()
    elif counts:
        halves = cast("Mapping[str, _Part]", answer)
        row.rounds.append({half: Part(**halves[half]) for half in HALVES})


def _held(worker: Worker, work: Work) -> dict[str, float | None]:
    batches = 12
    messages = whole(max(_TRACED_MESSAGES, batches * work.batch), work.batch)
    answer = worker.ask("allocations", replace(work, messages=messages))
    if answer.get("void") is not None:
        return {}
    return {half: cast("float | None", answer[half]) for half in HALVES}


def _told(work: Work) -> str:
    how = f"batches of {work.batch}" if work.batch else f"{work.senders} senders"
    return f"{work.size} B, {how}"
