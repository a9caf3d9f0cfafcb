"""A stay at a queue: one channel that consumes, from when it opens to when it ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from aiormq.abc import AbstractChannel, DeliveredMessage

from linkbus._errors import CapabilityError
from linkbus.abc import Arrival, Outcome, Settlement, SettleResult, SettleStatus
from linkbus.transports.rabbitmq._mapping import arrival
from linkbus.transports.rabbitmq._options import MAX_WINDOW, Options
from linkbus.transports.rabbitmq._telling import Telling
from linkbus.transports.rabbitmq._topology import answered
from linkbus.transports.rabbitmq._unsettled import Unsettled

_OK = SettleResult(SettleStatus.OK)
_STALE = SettleResult(SettleStatus.STALE)
_CLOSE_TIMEOUT = 2.0


class Stay:
    """What the broker gives on one channel, and what it is told there.

    Delivery tags mean something on their own channel only: when it ends, all that was not
    settled on it is the broker's again.

    Args:
        options: The transport's.
        channel: Open, and used by nobody else.
        queue: The queue's name.
        changed: Called when there is something to give, and when the stay has ended.

    Attributes:
        has_ended: Whether the channel is gone, or the broker gives nothing more on it.
    """

    def __init__(
        self, options: Options, channel: AbstractChannel, queue: str, changed: Callable[[], None]
    ) -> None:
        self.has_ended = False
        self._options = options
        self._channel = channel
        self._queue = queue
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._ready: deque[tuple[DeliveredMessage, int, float]] = deque()
        self._unsettled = Unsettled()
        self._telling = Telling(channel, self._unsettled)
        self._consumers: list[str] = []
        self._window = 0
        channel.closing.add_done_callback(lambda _: self._end())
        channel.on_consumer_cancel_callbacks.add(lambda _: self._end())

    @property
    def channel(self) -> AbstractChannel:
        """The client's channel, for what linkbus does not offer."""
        return self._channel

    @property
    def is_stuck(self) -> bool:
        """Whether the broker gives nothing more, and would if `go_on` was called."""
        if self._ready or len(self._unsettled) < self._window:
            return False
        return self._unsettled.noted > 0 or self._window < MAX_WINDOW

    async def go_on(self) -> None:
        """Tell the broker of whatever there is; where that is nothing, double the window.

        Raises:
            TransportError: The broker refused, or did not answer.
        """
        await self.tell()
        if self.is_stuck:
            await self.widen(self._window)

    async def tell(self) -> None:
        """Tell the broker all that was settled, now."""
        await self._telling.now(everything=True)

    async def widen(self, more: int) -> None:
        """Let the broker give more messages that are not settled.

        Each consumer of a channel has a window of its own, fixed when it begins; so this
        adds one. The windows together are at most what AMQP has a number for.

        Raises:
            TransportError: The broker refused, or did not answer.
        """
        more = min(more, MAX_WINDOW - self._window)
        async with answered(self._options.answer_timeout, f"consuming queue {self._queue!r}"):
            await self._channel.basic_qos(prefetch_count=more)
            self._window += more
            consuming = await self._channel.basic_consume(self._queue, self._take)
            self._consumers.append(str(consuming.consumer_tag))

    def take(self, limit: int) -> list[Arrival]:
        """Return messages to give to the core, at most `limit`."""
        ready, unsettled, now = self._ready, self._unsettled, self._loop.time()
        counts, timeout = self._options.is_quorum, self._options.ack_timeout
        taken = []
        for _ in range(min(limit, len(ready))):
            message, tag, since = ready.popleft()
            lease = max(0.0, timeout - (now - since))
            given = arrival(message, tag, lease, counts=counts)
            unsettled.give(tag, given)
            taken.append(given)
        return taken

    def lose(self) -> list[Arrival]:
        """Forget everything, and return what is with the core, unsettled."""
        given = self._unsettled.given()
        self._ready.clear()
        self._unsettled.clear()
        self._telling.close()
        return given

    async def settle(self, settlements: Sequence[Settlement]) -> list[SettleResult]:
        """Note outcomes; the broker is told of many at once, soon, and answers none."""
        results: list[SettleResult] = []
        is_urgent = False
        for settlement in settlements:
            outcome = settlement.outcome
            if outcome is Outcome.REJECT and not self._options.rejects:
                results.append(_no_place_for_rejected())
            elif self._unsettled.note(settlement.arrival, outcome):
                results.append(_OK)
                is_urgent = is_urgent or outcome is not Outcome.ACK
            else:
                results.append(_STALE)
        await self._telling.in_time(0 if is_urgent else self._window)
        return results

    async def aclose(self) -> None:
        """Tell what was settled, and give back the rest."""
        self.has_ended = True
        self._ready.clear()
        self._telling.close()
        leaving = asyncio.create_task(self._leave())
        try:
            await asyncio.wait([leaving], timeout=_CLOSE_TIMEOUT)
        finally:
            leaving.cancel()
            await asyncio.wait([leaving])
            self._unsettled.clear()

    async def _leave(self) -> None:
        """End the consumers, so that nothing is given again on this channel, then the channel."""
        with suppress(Exception):  # aiormq raises even bare ones when a channel ends
            for tag in self._consumers:
                await self._channel.basic_cancel(tag, nowait=True)
            await self._telling.the_end()
            await self._channel.close()

    async def _take(self, message: DeliveredMessage) -> None:
        tag = message.delivery_tag
        if self.has_ended or tag is None:
            return
        self._unsettled.hold(tag)
        self._ready.append((message, tag, self._loop.time()))
        if len(self._ready) == 1:
            self._changed()

    def _end(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            self._changed()


def _no_place_for_rejected() -> SettleResult:
    msg = "RabbitMQ was not told where rejected messages go: set dead_letter_exchange"
    return SettleResult(SettleStatus.FAILED, error=CapabilityError(msg))
