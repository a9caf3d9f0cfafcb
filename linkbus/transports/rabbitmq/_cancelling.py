"""Tells a cancellation from one that aiormq lets out by itself.

When aiormq gives up a connection that is stuck, it tells whoever waits there with a
`CancelledError`, although nobody cancelled them.
https://github.com/mosquito/aiormq/blob/7.2.4/aiormq/connection.py
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

from linkbus._errors import ConnectError

Result = TypeVar("Result")


class Cancelling:
    """Watches the current task, from when it is made."""

    __slots__ = ("_before", "_task")

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task is not None else 0

    @property
    def is_real(self) -> bool:
        """Whether somebody has cancelled the task since."""
        return self._task is None or self._task.cancelling() > self._before


async def shared(task: asyncio.Task[Result]) -> Result:
    """Return the result of a task that many wait for, and that goes on without any of them.

    Raises:
        ConnectError: The task was cancelled, for the transport is closing.
    """
    cancelling = Cancelling()
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError as error:
        if cancelling.is_real:
            raise
        msg = "the RabbitMQ transport was closed meanwhile"
        raise ConnectError(msg) from error
