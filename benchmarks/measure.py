"""Rounds of several ways to do the same work, interleaved, so that a noisy machine is fair."""

from __future__ import annotations

import gc
import platform
import statistics
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from time import perf_counter

Work = Callable[[int], Awaitable[float]]
"""Does the work on so many messages, checks it, and returns the seconds it took."""


@dataclass
class Row:
    """One way to do the work.

    Attributes:
        name: What it is.
        work: Does it.
        samples: Microseconds per message, one for each round.
    """

    name: str
    work: Work
    samples: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The usual round."""
        return statistics.median(self.samples)

    @property
    def best(self) -> float:
        """The round that the machine disturbed least."""
        return min(self.samples)

    @property
    def worst(self) -> float:
        """The round that it disturbed most."""
        return max(self.samples)


@dataclass(frozen=True)
class Budget:
    """What a difference or a ratio of two rows may be, at most.

    Attributes:
        text: The claim.
        value: Computes it from the best rounds.
        limit: The most that it may be.
    """

    text: str
    value: Callable[[dict[str, float]], float]
    limit: float


@dataclass(frozen=True)
class Result:
    """A finished benchmark."""

    title: str
    messages: int
    rows: Sequence[Row]
    budgets: Sequence[Budget]

    def lines(self) -> list[str]:
        """Return a table, then each budget with what was measured."""
        best = {row.name: row.best for row in self.rows}
        width = max(len(row.name) for row in self.rows)
        head = f"{'µs a message':{width}}  {'best':>8} {'median':>8} {'worst':>8}"
        lines = [f"{self.title} ({self.messages} messages a round)", head]
        lines += [
            f"{row.name:{width}}  {row.best:8.2f} {row.median:8.2f} {row.worst:8.2f}"
            for row in self.rows
        ]
        for budget in self.budgets:
            value = budget.value(best)
            verdict = "holds" if value <= budget.limit else "MISSED"
            lines.append(f"  {budget.text}: {value:.2f} of {budget.limit:g} {verdict}")
        return lines

    def as_json(self) -> dict[str, object]:
        """Return the same as data."""
        best = {row.name: row.best for row in self.rows}
        return {
            "title": self.title,
            "messages": self.messages,
            "rows": {row.name: row.samples for row in self.rows},
            "budgets": {b.text: [b.value(best), b.limit] for b in self.budgets},
        }


async def measured(
    title: str, messages: int, rounds: int, rows: Sequence[Row], budgets: Sequence[Budget] = ()
) -> Result:
    """Do every row's work in each round, in turn, after one round that does not count."""
    for row in rows:
        await row.work(max(1, messages // 10))
    for _ in range(rounds):
        for row in rows:
            gc.collect()
            seconds = await row.work(messages)
            row.samples.append(seconds / messages * 1e6)
    return Result(title, messages, rows, budgets)


def circumstances() -> dict[str, str]:
    """Return what the numbers depend on."""
    packages = ("linkbus", "anyio", "opentelemetry-sdk", "aiokafka")
    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - whichever git is there
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "commit": git.stdout.strip() or "unknown",
        **{name: version(name) for name in packages},
    }


class Clock:
    """Adds up the time of the parts of a work that count."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += perf_counter() - self._started
