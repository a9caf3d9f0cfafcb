"""The receiver: gives messages to the core, and consumes anew when a channel was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from linkbus._errors import TransportError
from linkbus.abc import Arrival, Lost, Receiver, Settlement, SettleResult, SettleStatus
from linkbus.transports.rabbitmq._addresses import Queue
from linkbus.transports.rabbitmq._link import Link
from linkbus.transports.rabbitmq._options import Options
from linkbus.transports.rabbitmq._stay import Stay
from linkbus.transports.rabbitmq._topology import Topology, answered

_STALE = SettleResult(SettleStatus.STALE)
_FRAMES_AT_ONCE = 100
"""What aiormq reads before others have a turn: a message has three frames, or more."""
_SPARE = 2
"""The window, in `prefetch`: as much again may be in work, or wait to be tried again."""


class RabbitMQReceiver(Receiver):
    """A consumer of a queue; made by `RabbitMQTransport.subscribe`."""

    def __init__(
        self,
        options: Options,
        link: Link,
        topology: Topology,
        queue: Queue,
        *,
        prefetch: int,
        lost: Lost,
    ) -> None:
        self._options = options
        self._link = link
        self._topology = topology
        self._queue = queue
        self._window = prefetch * _SPARE
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._stay: Stay | None = None
        self._work: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._has_lost = False
        self._is_closed = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def raw(self) -> object:
        """The channel of aiormq, for what linkbus does not offer; another after a failure."""
        return None if self._stay is None else self._stay.channel

    async def join(self) -> None:
        """Begin to consume; if that fails or is cancelled, nothing is left behind."""
        try:
            await self._consume()
        except BaseException:  # cancelled, too: nothing stays behind
            await self.aclose()
            raise

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        """Return messages that the broker gave, waiting for the first of them."""
        deadline = self._loop.time() + wait
        while not self._is_closed:
            stay = self._stay
            if stay is not None and (taken := stay.take(max_messages)):
                return taken
            self._check()
            self._work_on(stay)
            left = deadline - self._loop.time()
            if left <= 0:
                break
            await self._wait(left)
        return []

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        """Tell the broker the outcomes; it answers none of them."""
        if self._stay is None:
            return [_STALE] * len(settlements)
        return await self._stay.settle(settlements)

    async def aclose(self) -> None:
        """Give back what was not settled, within a few seconds."""
        if self._closing is None:
            self._is_closed = True
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    def _check(self) -> None:
        """Raise what went wrong in the background, and once that the channel was lost.

        The core then waits a little, so that a queue that ends its consumers again and
        again is not asked for more without a pause.
        """
        if self._has_lost:
            self._has_lost = False
            msg = f"the consumer of queue {self._queue.name!r} was lost; it begins anew"
            raise TransportError(msg, retryable=True)
        if self._work is not None and self._work.done():
            work, self._work = self._work, None
            work.result()

    def _work_on(self, stay: Stay | None) -> None:
        """Do what takes the broker's answer, in a task: a `receive` may be cancelled, or short."""
        if self._work is not None:
            return
        if stay is None or stay.has_ended:
            self._work = asyncio.create_task(self._consume())
        elif stay.is_stuck:
            self._work = asyncio.create_task(stay.go_on())
        else:
            return
        self._work.add_done_callback(self._ring)

    async def _wait(self, seconds: float) -> None:
        """Wait until there may be something to give, or something failed."""
        self._wake = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._ring)
        try:
            await self._wake
        finally:
            timer.cancel()
            self._wake = None

    def _ring(self, _: object = None) -> None:
        """End the wait of `receive`."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _consume(self) -> None:
        if self._stay is not None:
            await self._stay.aclose()
        connection = await self._link.connected()
        await self._topology.ensure_queue(connection, self._queue)
        name = self._queue.name
        async with answered(self._options.answer_timeout, f"consuming queue {name!r}"):
            channel = await connection.channel(
                publisher_confirms=False, frame_buffer_size=_FRAMES_AT_ONCE
            )
        self._stay = Stay(self._options, channel, name, self._changed)
        await self._stay.widen(self._window)

    def _changed(self) -> None:
        stay = self._stay
        if stay is not None and stay.has_ended and not self._is_closed:
            self._has_lost = True
            if given := stay.lose():
                self._lost(given, 0.0)
        self._ring()

    async def _close(self) -> None:
        self._changed()
        if self._stay is not None:
            await self._stay.tell()  # before the work is cancelled, which may cost the channel
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        if self._stay is not None:
            await self._stay.aclose()
