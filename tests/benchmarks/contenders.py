"""Contenders that fail in the ways that a round must notice."""

from __future__ import annotations

import asyncio

from benchmarks.contender import Inbox
from benchmarks.peers.memory_queue import MemoryQueue


class Losing(MemoryQueue):
    """Loses the first message, and says that it has them all."""

    async def receive(self, inbox: Inbox) -> None:
        """Take all but the first."""
        await self._queue.get()
        while not self._queue.empty():
            inbox.take((await self._queue.get()).body)


class Failing(MemoryQueue):
    """Cannot send."""

    async def send(self, body: bytes) -> None:
        """Fail."""
        msg = "the disk is full"
        raise OSError(msg)


class Hanging(MemoryQueue):
    """Never gives anything."""

    async def receive(self, inbox: Inbox) -> None:
        """Wait for what does not come."""
        await asyncio.Event().wait()
