"""Whether the budgets hold, by what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.budgets import BUDGETS, Budget, Kind
from benchmarks.rounds import Work
from benchmarks.rows import Row, Spread, paired

_COMPUTED: Mapping[Kind, Callable[..., float]] = {
    Kind.COST: lambda of: of,
    Kind.ADDED: lambda of, base: of - base,
    Kind.RATIO: lambda of, other: of / other,
    Kind.THROUGHPUT: lambda of, other: other / of,
    Kind.RATIO_OF_ADDED: lambda of, base, other, floor: (of - base) / (other - floor),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A budget at one work.

    Attributes:
        budget: The claim.
        transport: Where it was measured.
        phase: Of which part.
        work: At which work.
        measured: By the clock; None: a row is void, or missing.
        cpu: The same by the CPU's time.
    """

    budget: Budget
    transport: str
    phase: str
    work: Work
    measured: Spread | None
    cpu: Spread | None

    @property
    def word(self) -> str:
        """`holds`, `MISSED`, or that it is not known.

        What linkbus adds must be within its limit by the clock and by the CPU's time: a
        client that waits for its broker is slow by the clock, and costs nothing meanwhile.
        """
        if self.measured is None or self.cpu is None:
            return "not measured"
        value, limit = self.measured.median, self.budget.limit
        if self.budget.kind is Kind.THROUGHPUT:
            return "holds" if value >= limit else "MISSED"
        return "holds" if max(value, self.cpu.median) <= limit else "MISSED"

    def as_json(self) -> dict[str, object]:
        """Return the same as data."""
        return {
            "claim": self.budget.claim,
            "unit": self.budget.kind.value,
            "limit": self.budget.limit,
            "rows": list(self.budget.rows),
            "transport": self.transport,
            "phase": self.phase,
            "batch": self.work.batch,
            "measured": None if self.measured is None else self.measured._asdict(),
            "cpu": None if self.cpu is None else self.cpu._asdict(),
            "verdict": self.word,
        }


def verdicts(rows: Sequence[Row]) -> Iterator[Verdict]:
    """Give what became of each budget, at the first work that it is about, of each batch size."""
    for budget in BUDGETS:
        for transport in budget.transports:
            for group in _works(rows, transport, in_batches=budget.in_batches):
                chosen = [group.get(name) for name in budget.rows]
                found = [row for row in chosen if row is not None]
                if len(found) < len(chosen):
                    continue
                of = _COMPUTED[budget.kind]
                for phase in budget.phases:
                    yield Verdict(
                        budget,
                        transport,
                        phase,
                        found[0].work,
                        paired(found, phase, of),
                        paired(found, phase, of, cpu=True),
                    )


def _works(rows: Sequence[Row], transport: str, *, in_batches: bool) -> list[dict[str, Row]]:
    """Return rows by contender: for each batch size, or for the usual single messages."""
    groups: dict[tuple[int, int, int], dict[str, Row]] = {}
    for row in rows:
        if row.transport == transport and bool(row.work.batch) == in_batches:
            key = (row.work.size, row.work.senders, row.work.batch)
            groups.setdefault(key, {})[row.contender] = row
    found = list(groups.values())
    return found if in_batches else found[:1]
