"""How far the benchmarks are: a bar on a terminal, else a line for each round."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, Self, TextIO


class Progress(Protocol):
    """Is told of every round."""

    def step(self, what: str, void: str | None) -> None:
        """Note that a round is done, and why it counts for nothing, if so."""
        ...


class Lines:
    """Writes a line for each round.

    Args:
        total: How many rounds there will be.
        to: Where to.
    """

    def __init__(self, total: int, to: TextIO) -> None:
        self._total = total
        self._to = to
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def step(self, what: str, void: str | None) -> None:
        """Write a line."""
        self._done += 1
        note = "" if void is None else f" (void: {void})"
        print(f"[{self._done}/{self._total}] {what}{note}", file=self._to, flush=True)


class Bar:
    """Draws a bar, with what is measured now and the time that is left.

    Args:
        total: How many rounds there will be.
    """

    def __init__(self, total: int) -> None:
        from rich.console import Console  # noqa: PLC0415 - only on a terminal
        from rich.progress import (  # noqa: PLC0415 - as above
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress  # noqa: PLC0415 - as above

        self._progress = RichProgress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            refresh_per_second=2,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def step(self, what: str, void: str | None) -> None:
        """Move the bar; what is void stays readable above it."""
        self._progress.update(self._task, advance=1, description=what)
        if void is not None:
            self._progress.console.print(f"{what}: void: {void}", markup=False, highlight=False)


def progress_of(total: int) -> Lines | Bar:
    """Return what suits the standard error of this process."""
    if sys.stderr.isatty():
        try:
            return Bar(total)
        except ImportError:
            pass
    return Lines(total, sys.stderr)
