"""Deadlines of many calls that may all take equally long.

A timer for each call, as of `asyncio.timeout`, has a price for each message: cancelled
timers stay in the event loop's heap. Calls that may take equally long reach their deadlines
in the order in which they began, so one timer serves all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class Deadlines:
    """Limits calls to so many seconds each: `with deadlines.limit(): …`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limits: deque[Limit] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def limit(self) -> Limit:
        """Limit the current task, inside a `with`, to the seconds from now.

        When they are over the task is cancelled, and the block raises `TimeoutError`. A
        cancellation from outside passes through, also together with the deadline.
        """
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)  # told which, it is found in half the time
        if task is None:
            msg = "a deadline needs a task of asyncio"
            raise RuntimeError(msg)
        limit = Limit(task, loop.time() + self._seconds)
        limits = self._limits
        while limits and limits[0].is_over:
            limits.popleft()
        limits.append(limit)
        if self._timer is None:
            self._timer = loop.call_at(limit.at, self._expire)
        return limit

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        limits = self._limits
        loop = asyncio.get_running_loop()
        self._timer = None
        while limits and (limits[0].is_over or limits[0].at <= loop.time()):
            limits.popleft().expire()
        if limits:
            self._timer = loop.call_at(limits[0].at, self._expire)


class Limit:
    """The deadline of one call; made by `Deadlines.limit`."""

    __slots__ = ("_cancelled_before", "_has_expired", "_task", "at", "is_over")

    def __init__(self, task: asyncio.Task[object], at: float) -> None:
        self.at = at
        self.is_over = False
        self._task = task
        self._cancelled_before = task.cancelling()
        self._has_expired = False

    def expire(self) -> None:
        """Cancel the task, if it is still inside."""
        if not self.is_over:
            self._has_expired = True
            self._task.cancel()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.is_over = True
        if self._has_expired:
            is_ours = self._task.uncancel() <= self._cancelled_before
            if is_ours and kind is asyncio.CancelledError:
                raise TimeoutError from error
