"""The progress of a redrive, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text


class _SentColumn(ProgressColumn):
    """How many messages were sent, and how many in a second so far."""

    def render(self, task: Task) -> Text:
        """Return the cell."""
        of_all = "" if task.total is None else f" of {task.total:,.0f}"
        rate = task.completed / max(task.elapsed or 0.0, 1.0)
        return Text(f"{task.completed:,.0f}{of_all} sent, {rate:,.0f}/s")


@contextmanager
def progress(total: int | None) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr while the block runs, if that is a terminal; then remove it.

    What is written meanwhile stands above it. NO_COLOR and TERM=dumb are honoured.

    Args:
        total: The most messages; None: nobody knows.

    Yields:
        What is called after each message.
    """
    bar = Progress(
        TextColumn("redriving"),
        BarColumn(),
        _SentColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        yield partial(bar.advance, bar.add_task("", total=total))
