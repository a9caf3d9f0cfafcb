"""When to commit: soon after something was settled, and once for many settlements."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_MANY = 2000
_TIMEOUT = 5.0

Commit = Callable[[float], Awaitable[bool]]


class Committing:
    """Calls `commit` an interval after the first settlement, or when there are many.

    One commit at a time, in a task of its own, so that neither receiving nor settling
    waits for it.

    Args:
        commit: Commits what is to be committed, within the seconds given, and says
            whether it did. It never raises.
        interval: Seconds from a settlement to its commit, at most.
    """

    def __init__(self, commit: Commit, interval: float) -> None:
        self._commit = commit
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._count = 0

    def note(self, count: int) -> None:
        """Note that so many were settled."""
        self._count += count
        if self._count >= _MANY:
            self._start()
        else:
            self._schedule()

    async def finish(self, timeout: float) -> None:
        """Commit what was settled, and return when no commit is under way any more.

        If cancelled, none is under way either.
        """
        deadline = self._loop.time() + timeout
        try:
            if self._task is not None:
                await asyncio.wait([self._task], timeout=timeout)
            if self._task is None:
                await self._commit(max(0.0, deadline - self._loop.time()))
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Forget what was settled: it is not ours to commit any more."""
        self._count = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()

    def _schedule(self) -> None:
        if self._timer is None and self._task is None:
            self._timer = self._loop.call_later(self._interval, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None:
            self._count = 0
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        done = False
        try:
            done = await self._commit(_TIMEOUT)
        finally:
            self._task = None
        if self._count or not done:
            self._schedule()
