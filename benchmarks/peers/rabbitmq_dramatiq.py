"""dramatiq on RabbitMQ, with an async actor.

Its client is synchronous, so what is sent from asyncio is sent by threads, and its worker has
threads and an event loop of its own. A body is text in an envelope of JSON. It has no batches,
and OpenTelemetry has no instrumentation of it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import AsyncIO

from benchmarks.contender import PREFETCH, Contender, Inbox, Mode, Place

_THREADS = 16
"""Which send, each with a connection of its own: with 6 or with 100 it is slower."""
_IDLE_MS = 100
"""Milliseconds after which a thread of its worker that has nothing to do looks whether to end."""


class RabbitMQDramatiq(Contender):
    """An actor, each message of which is acknowledged after it ended."""

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        queue = f"{place.destination}.{place.group}"
        self._threads = ThreadPoolExecutor(_THREADS, "send")
        self._broker = RabbitmqBroker(url=place.address, confirm_delivery=True)
        self._broker.add_middleware(AsyncIO())
        self._broker.queues.add(queue)  # it is there: what dramatiq declares is no quorum queue
        self._inbox: Inbox | None = None
        self._full = asyncio.Event()
        loop = asyncio.get_running_loop()

        @dramatiq.actor(broker=self._broker, queue_name=queue)
        async def handle(body: str) -> None:
            assert self._inbox is not None, "nothing is to be received yet"
            self._inbox.take(body.encode())
            if self._inbox.is_full:
                loop.call_soon_threadsafe(self._full.set)

        self._handle = handle

    async def open(self) -> None:
        """Connect every thread that sends."""
        loop, every_thread = asyncio.get_running_loop(), Barrier(_THREADS)

        def connect() -> None:
            every_thread.wait()
            assert self._broker.channel.is_open, "no channel"

        await asyncio.gather(
            *[loop.run_in_executor(self._threads, connect) for _ in range(_THREADS)]
        )

    async def send(self, body: bytes) -> None:
        """Let a thread send one message."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._handle.send, body.decode())

    async def receive(self, inbox: Inbox) -> None:
        """Let a worker, of as many threads as it usually has, call the actor."""
        self._inbox = inbox
        worker = dramatiq.Worker(self._broker, worker_timeout=_IDLE_MS)
        worker.queue_prefetch = 2 * PREFETCH
        worker.start()
        try:
            await self._full.wait()
        finally:
            await asyncio.to_thread(worker.stop)

    async def aclose(self) -> None:
        """End the threads that send, and disconnect."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._broker.close)
