"""Waiting longer after each failure of a broker."""

from __future__ import annotations

from random import uniform

FIRST = 0.05
LONGEST = 2.0


class Backoff:
    """Gives the seconds to wait after one more failure in a row, with a little jitter."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = FIRST

    def next(self) -> float:
        """Return how long to wait now; the next wait is twice as long, at most 2 s."""
        wait = self._next
        self._next = min(LONGEST, wait * 2)
        return wait * uniform(0.8, 1.2)  # noqa: S311 - spreads load, hides no secret

    def reset(self) -> None:
        """Start again from the shortest wait, after a success."""
        self._next = FIRST
