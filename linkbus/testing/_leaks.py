"""Finds what a check left behind: tasks, warnings about resources, errors nobody saw."""

from __future__ import annotations

import gc
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

GRACE = 1.0
"""Seconds for which a task that was told to end may take to do so."""
_STEP = 0.02


def running_tasks() -> set[int]:
    """Return the ids of the tasks that run now."""
    return {task.id for task in anyio.get_running_tasks()}


async def find_leaked_tasks(before: set[int]) -> str | None:
    """Name the tasks that run now, did not run before, and do not end by themselves."""
    with anyio.move_on_after(GRACE, shield=True):
        while running_tasks() - before:  # noqa: ASYNC110 - a task that ends tells nobody
            await anyio.sleep(_STEP)
    left = [task for task in anyio.get_running_tasks() if task.id not in before]
    names = ", ".join(sorted(str(task.name) for task in left))
    return f"{len(left)} tasks still run after everything was closed: {names}" if left else None


@contextmanager
def noticing() -> Iterator[list[str]]:
    """Collect what is told to nobody: unclosed resources, lost errors of tasks.

    The list is complete after the block. Other warnings take their usual way.
    """
    found: list[str] = []
    listener = _Listener(found)
    logger = logging.getLogger("asyncio")
    logger.addHandler(listener)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            warnings.filterwarnings("always", ".* was never awaited", RuntimeWarning)
            try:
                yield found
            finally:
                gc.collect()
    finally:
        logger.removeHandler(listener)
    for warning in caught:
        if issubclass(warning.category, ResourceWarning | RuntimeWarning):
            found.append(str(warning.message))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def clear_frames(error: BaseException) -> None:
    """Let go of what the frames of an error hold, so that no later check is blamed for it."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            traceback.clear_frames(one.__traceback__)
            waiting += [one.__cause__, one.__context__]


class _Listener(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(record.getMessage())
