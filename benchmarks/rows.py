"""What was measured of one contender at one work, and how two of them compare."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from benchmarks.rounds import Part, Work

HALVES = ("send", "receive")
PHASES = (*HALVES, "roundtrip")

Rounds = Sequence[Mapping[str, Part]]


class Spread(NamedTuple):
    """Samples in three numbers.

    Attributes:
        median: The middle one.
        low: A quarter is below.
        high: A quarter is above.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """Sum samples up."""
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(slots=True)
class Row:
    """One contender at one work.

    Attributes:
        transport: Where.
        contender: Who.
        work: What.
        rounds: The halves of each round, but for the warm-up.
        held: Bytes that a message holds, by half.
        void: Why it counts for nothing.
    """

    transport: str
    contender: str
    work: Work
    rounds: list[dict[str, Part]] = field(default_factory=list)
    held: dict[str, float | None] = field(default_factory=dict)
    void: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether there is anything to tell."""
        return self.void is None and bool(self.rounds)

    def walls(self, phase: str) -> list[float]:
        """Return µs a message, one for each round."""
        return self._each(phase, lambda part: part.wall)

    def cpus(self, phase: str) -> list[float]:
        """Return µs of CPU a message, one for each round."""
        return self._each(phase, lambda part: part.cpu)

    def total(self, phase: str, of: Callable[[Part], float]) -> float:
        """Return the median of something that is counted."""
        return statistics.median(self._each(phase, of))

    def p99(self, phase: str) -> float:
        """Return the µs a message that one slice in a hundred takes longer than."""
        if phase not in HALVES:
            return sum(self.p99(half) for half in HALVES)
        slices = sorted(sample for each in self.rounds for sample in each[phase].slices)
        return slices[min(len(slices) - 1, int(len(slices) * 0.99))]

    def held_bytes(self, phase: str) -> float | None:
        """Return the bytes that a message holds."""
        halves = [self.held.get(half) for half in (HALVES if phase not in HALVES else (phase,))]
        known = [value for value in halves if value is not None]
        return max(known) if known else None

    def _each(self, phase: str, of: Callable[[Part], float]) -> list[float]:
        halves = HALVES if phase not in HALVES else (phase,)
        return [sum(of(each[half]) for half in halves) for each in self.rounds]

    def as_json(self) -> dict[str, object]:
        """Return the same as data, with what the tables show of it."""
        data: dict[str, object] = {
            "transport": self.transport,
            "contender": self.contender,
            "work": asdict(self.work),
            "void": self.void,
        }
        if self.is_good:
            data["held_bytes"] = self.held
            for phase in PHASES:
                data[phase] = {
                    "wall_us": Spread.of(self.walls(phase))._asdict(),
                    "cpu_us": Spread.of(self.cpus(phase))._asdict(),
                    "p99_us": self.p99(phase),
                    "spans": self.total(phase, lambda part: part.spans),
                    "links": self.total(phase, lambda part: part.links),
                    "attributes": self.total(phase, lambda part: part.attributes),
                    "rounds_wall_us": self.walls(phase),
                }
        return data


def paired(
    rows: Sequence[Row], phase: str, of: Callable[..., float], *, cpu: bool = False
) -> Spread | None:
    """Compare rows round by round, and sum up what came of each round.

    Args:
        rows: What is given to `of`, in this order.
        phase: Which half, or the whole.
        of: A difference or a ratio, of one number for each row.
        cpu: Compare the CPU's time instead of the clock's.
    """
    if not rows or not all(row.is_good for row in rows):
        return None
    samples = [row.cpus(phase) if cpu else row.walls(phase) for row in rows]
    return Spread.of([of(*values) for values in zip(*samples, strict=False)])
