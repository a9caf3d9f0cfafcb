"""taskiq with its broker in memory, and its OpenTelemetry middleware where spans are recorded.

Its broker runs a task as soon as it is sent. So what is sent waits at a gate in the task
itself, and receiving is the time from the gate's opening to the last task; the bookkeeping of
a task is part of sending it.
"""

from __future__ import annotations

import asyncio

from taskiq import InMemoryBroker
from taskiq.middlewares.opentelemetry_middleware import OpenTelemetryMiddleware

from benchmarks.contender import Contender, Inbox, Joins, Mode, Place


class MemoryTaskiq(Contender):
    """A task for each message."""

    joins = Joins.PARENT

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        self._broker = InMemoryBroker(max_async_tasks=1_000_000)
        if mode is Mode.RECORDING:
            self._broker = self._broker.with_middlewares(OpenTelemetryMiddleware())
        self._inbox: Inbox | None = None
        self._gate = asyncio.Event()

        @self._broker.task
        async def handle(body: str) -> None:
            await self._gate.wait()
            if self._inbox is not None:
                self._inbox.take(body.encode())

        self._handle = handle

    async def open(self) -> None:
        """Start the broker."""
        await self._broker.startup()

    async def send(self, body: bytes) -> None:
        """Kick one task."""
        await self._handle.kiq(body.decode())

    async def receive(self, inbox: Inbox) -> None:
        """Open the gate."""
        self._inbox = inbox
        self._gate.set()
        await inbox.filled.wait()
        await self._broker.wait_all()

    async def aclose(self) -> None:
        """Stop the broker."""
        await self._broker.shutdown()
