"""A queue in this process: what is left when there is no broker and no library."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import time
from typing import NamedTuple
from uuid import uuid4

from benchmarks.contender import Contender, Inbox, Joins, Mode, Place
from benchmarks.peers.by_hand import ACK, ByHand, Received, injected


class Item(NamedTuple):
    """What is in the queue."""

    body: bytes
    headers: dict[str, str]
    mid: str
    sent_at: float


class MemoryQueue(Contender):
    """An `asyncio.Queue`, which acknowledges nothing."""

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        self._queue: asyncio.Queue[Item] = asyncio.Queue()

    async def open(self) -> None:
        """Do nothing."""

    async def send(self, body: bytes) -> None:
        """Put one message into the queue."""
        await self._queue.put(Item(body, {}, "", 0.0))

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Put each into the queue."""
        for body in bodies:
            await self._queue.put(Item(body, {}, "", 0.0))

    async def receive(self, inbox: Inbox) -> None:
        """Take one after the other."""
        while not inbox.is_full:
            inbox.take((await self._queue.get()).body)

    async def receive_batches(self, inbox: Inbox, size: int) -> None:
        """Take as many as there are, up to a batch."""
        while not inbox.is_full:
            inbox.take_batch([item.body for item in await self._batch(size)])

    async def aclose(self) -> None:
        """Do nothing."""

    async def _batch(self, size: int) -> list[Item]:
        items = [await self._queue.get()]
        while len(items) < size and not self._queue.empty():
            items.append(self._queue.get_nowait())
        return items


class MemoryQueueByHand(MemoryQueue):
    """The queue, with spans by hand."""

    joins = Joins.LINK

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        self._hand = ByHand(place, "memory")

    async def send(self, body: bytes) -> None:
        """Send one message in its span."""
        mid = uuid4().hex
        with self._hand.sending(mid, len(body)):
            await self._queue.put(Item(body, injected(), mid, time()))

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Make a span for each message, and send all in one."""
        mids = [uuid4().hex for _ in bodies]
        with self._hand.sending_batch(mids, len(bodies[0])) as made:
            for body, headers, mid in zip(bodies, made, mids, strict=True):
                await self._queue.put(Item(body, headers, mid, time()))

    async def receive(self, inbox: Inbox) -> None:
        """Handle each in its span."""
        while not inbox.is_full:
            item = await self._queue.get()
            with self._hand.processing(_received(item)) as span:
                inbox.take(item.body)
                span.set_attribute(*ACK)

    async def receive_batches(self, inbox: Inbox, size: int) -> None:
        """Handle each batch in one span, linked to all of it."""
        while not inbox.is_full:
            items = await self._batch(size)
            with self._hand.processing_batch([_received(item) for item in items], {}):
                inbox.take_batch([item.body for item in items])


def _received(item: Item) -> Received:
    return Received(item.headers, item.mid, len(item.body), item.sent_at)
