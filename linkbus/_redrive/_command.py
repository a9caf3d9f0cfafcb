"""The command `linkbus redrive`: a redrive by URL, which signals end and words sum up."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

import anyio
from anyio.abc import TaskStatus

from linkbus._bus import connect
from linkbus._errors import LinkbusError
from linkbus._redrive._calm_log import calm_log
from linkbus._redrive._redriving import Redrive
from linkbus._redrive._wording import Request, summary, table

DONE, FAILED, INTERRUPTED = 0, 2, 130
"""Exit codes."""
_SIGNALS = signal.SIGINT, signal.SIGTERM
_STOPPING = "stopping: what is under way is finished first; once more cuts it off\n"
_INTERRUPTED = "interrupted: what was not sent is still in the dead letters\n"

Progress: TypeAlias = Callable[[int | None], AbstractContextManager[Callable[[], None]]]
"""Shows how far the work is: told of how many messages at most, and called after each."""


async def perform(request: Request, progress: Progress) -> int:
    """Do what was asked for, and return the exit code; only the result goes to stdout.

    The first SIGINT or SIGTERM lets what is under way end, the second cuts it off.

    Args:
        request: By the user.
        progress: Shows how far it is.
    """
    command = _Command(request, progress)
    with nullcontext() if request.is_verbose else calm_log():
        try:
            await command.run()
        finally:
            sys.stdout.write(command.result)
    sys.stderr.write(command.reason)
    return command.code


class _Command:
    def __init__(self, request: Request, progress: Progress) -> None:
        self._request = request
        self._progress = progress
        self._working = anyio.CancelScope()
        self._listening = anyio.CancelScope()
        self._redrive: Redrive | None = None
        self._is_interrupted = False
        self.code = INTERRUPTED
        self.result = ""
        self.reason = _INTERRUPTED

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._obey_signals)
            with self._working:
                await self._work()
            self._listening.cancel()

    async def _obey_signals(self, *, task_status: TaskStatus[None]) -> None:
        with self._listening, anyio.open_signal_receiver(*_SIGNALS) as signals:
            task_status.started()
            async for _ in signals:
                if self._redrive is None or self._is_interrupted:
                    self._working.cancel()
                else:
                    self._redrive.stop()
                    sys.stderr.write(_STOPPING)
                self._is_interrupted = True

    async def _work(self) -> None:
        request = self._request
        try:
            async with connect(request.url) as bus:
                redrive = Redrive(
                    bus,
                    request.source,
                    request.destination,
                    group=request.group,
                    max_messages=request.max_messages,
                    patience=request.patience,
                )
                if request.is_dry_run:
                    self.result = table(request, redrive, await redrive.preview())
                else:
                    await self._send(redrive)
                if redrive.is_drained:  # or the broker is gone: one connects to be sure
                    async with connect(request.url):
                        pass
        except LinkbusError as error:
            self.code, self.reason = FAILED, f"linkbus redrive: {error}\n"
        else:
            if not self._is_interrupted:
                self.code, self.reason = DONE, ""

    async def _send(self, redrive: Redrive) -> None:
        try:
            with self._progress(self._request.max_messages) as step:
                self._redrive = redrive
                await redrive.run(step)
        finally:
            self.result = summary(self._request, redrive)
