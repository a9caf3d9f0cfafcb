"""Rows with numbers that are known."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.rounds import Part, Work
from benchmarks.rows import HALVES, Row


def row(
    contender: str, walls: Sequence[float], *, transport: str = "memory", batch: int = 0
) -> Row:
    """Make a row whose halves take so many µs a message, by round."""
    made = Row(transport, contender, Work(100, batch=batch))
    for wall in walls:
        part = Part(wall, wall / 2, [wall] * 10, 1.0, 0.0, 6.0)
        made.rounds.append(dict.fromkeys(HALVES, part))
    return made
