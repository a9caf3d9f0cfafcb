"""Tells the broker what became of deliveries, on the channel that they came on.

A quorum queue takes some thirty frames at a time; later ones wait in the broker, and are
forgotten when their channel is closed meanwhile. So acknowledgements are told together.
https://github.com/rabbitmq/rabbitmq-server/blob/v3.10.8/deps/rabbit/src/rabbit_fifo_client.erl
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelInvalidStateError

from linkbus.abc import Outcome
from linkbus.transports.rabbitmq._unsettled import Told, Unsettled

SOON = 0.01
"""Seconds from an acknowledgement until the broker is told, if it is the next in order."""
LATER = 0.5
"""Seconds until it is told of one that waits for earlier ones."""
_SHARE = 4
"""Of a window, the part that may be settled before the broker is told."""


class Telling:
    """What one channel tells.

    No frame waits for room on the connections of this transport: so `now` never waits, and
    nothing comes in between.

    Args:
        channel: The channel.
        unsettled: What came on it.
    """

    def __init__(self, channel: AbstractChannel, unsettled: Unsettled) -> None:
        self._channel = channel
        self._unsettled = unsettled
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def in_time(self, window: int) -> None:
        """Tell now what is urgent, and the rest soon.

        Args:
            window: How many messages the broker gives before it is told.
        """
        if self._unsettled.noted * _SHARE >= window:
            await self.now()
        if self._timer is None and self._unsettled.noted:
            self._timer = self._loop.call_later(SOON, self._begin, False)

    async def now(self, *, everything: bool = False) -> None:
        """Tell what was noted; `everything`: also what waits for earlier ones."""
        await self._tell(self._unsettled.tell(everything=everything))

    async def the_end(self) -> None:
        """Tell everything, and give back what has no outcome."""
        await self._tell(self._unsettled.tell_the_end())

    def close(self) -> None:
        """Tell nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self, everything: bool) -> None:
        self._task = asyncio.create_task(self._in_turn(everything=everything))

    async def _in_turn(self, *, everything: bool) -> None:
        self._timer = None
        await self.now(everything=everything)
        if self._unsettled.noted:
            self._timer = self._loop.call_later(LATER, self._begin, True)

    async def _tell(self, frames: Iterable[Told]) -> None:
        channel = self._channel
        try:
            for outcome, tag, is_multiple in frames:
                if outcome is Outcome.ACK:
                    await channel.basic_ack(tag, multiple=is_multiple, wait=False)
                else:
                    requeue = outcome is Outcome.RELEASE
                    await channel.basic_nack(tag, multiple=is_multiple, requeue=requeue, wait=False)
        except ChannelInvalidStateError:
            self._unsettled.clear()  # the channel is gone, and the broker gives all of it again
