"""What was measured, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from benchmarks.rounds import Work
from benchmarks.rows import PHASES, Row, Spread
from benchmarks.verdicts import Verdict

_HEAD = (
    f"{'median':>9} {'quartiles':>17} {'p99':>9} {'CPU':>9} {'vs raw':>7}"
    f" {'holds':>8} {'spans':>6} {'links':>6}"
)
_SHOWN = 1000.0
_LARGE = 100_000


def lines_of(rows: Sequence[Row], phases: Sequence[str]) -> Iterator[str]:
    """Give the tables: one for each transport, work and part of a round."""
    for (transport, work), group in groupby(rows, key=lambda row: (row.transport, row.work)):
        together = list(group)
        for phase in (it for it in PHASES if it in phases):
            yield ""
            yield f"{transport}, {phase}, {told(work)} (µs a message)"
            yield from _table(together, phase)


def told(work: Work) -> str:
    """Return a work in words."""
    how = f"batches of {work.batch}" if work.batch else f"{work.senders} senders"
    return f"{work.size} B, {how}, {work.messages} messages a round"


def _table(rows: Sequence[Row], phase: str) -> Iterator[str]:
    width = max(len(row.contender) for row in rows)
    yield f"{'':{width}} {_HEAD}"
    raw = next((row for row in rows if row.contender == "raw" and row.is_good), None)
    floor = None if raw is None else Spread.of(raw.walls(phase)).median
    for row in rows:
        if not row.is_good:
            yield f"{row.contender:{width}}      void: {row.void}"
            continue
        walls = Spread.of(row.walls(phase))
        ratio = "" if floor is None else f"{walls.median / floor:.2f}"
        held = row.held_bytes(phase)
        yield (
            f"{row.contender:{width}} {_number(walls.median):>9} "
            f"{_number(walls.low) + ' - ' + _number(walls.high):>17} "
            f"{_number(row.p99(phase)):>9} {_number(Spread.of(row.cpus(phase)).median):>9} "
            f"{ratio:>7} {_bytes(held):>8} "
            f"{row.total(phase, lambda part: part.spans):>6.2f} "
            f"{row.total(phase, lambda part: part.links):>6.2f}"
        )


def budget_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Give a line for each budget, with what was measured beside its limit."""
    if not verdicts:
        return
    yield ""
    yield "Budgets (median and quartiles of what is compared round by round; CPU's time beside)"
    for it in verdicts:
        where = f"{it.transport} {it.phase}" + (f", {it.work.batch}" if it.work.batch else "")
        if it.measured is None or it.cpu is None:
            yield f"  {it.word:12} {where:22} {it.budget.claim}"
            continue
        least = "≥" if it.budget.kind.value.endswith("throughput") else "≤"
        value = f"{it.measured.median:.2f} ({it.measured.low:.2f} - {it.measured.high:.2f})"
        yield (
            f"  {it.word:12} {where:22} {it.budget.claim}: {value} {least} {it.budget.limit:g} "
            f"{it.budget.kind.value}; CPU {it.cpu.median:.2f}"
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _SHOWN else f"{value:.1f}"


def _bytes(held: float | None) -> str:
    if held is None:
        return ""
    return f"{held / 1000:.0f} kB" if held >= _LARGE else f"{held:,.0f} B"
