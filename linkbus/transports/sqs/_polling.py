"""Polling: asks SQS for messages, and loses none of what an answer brings.

A request to receive is never cut off while the receiver is open: what SQS gave in its answer
would be hidden from everybody until its lease ends. So each runs in a task of its own, which
ends by itself, and what it brings waits here for the next call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from math import ceil

from linkbus.transports.sqs._errors import FAILURES, unusable
from linkbus.transports.sqs._held import Held
from linkbus.transports.sqs._options import Options
from linkbus.transports.sqs._parts import MAX_ENTRIES
from linkbus.transports.sqs._queues import Queue
from linkbus.transports.sqs._service import Service

_ROUND_TRIP = 0.5
"""Seconds to wait for an answer that does not wait for messages."""
_LATENCY = 1
"""Seconds for which messages are hidden beyond their lease and the wait for them: so long an
answer may be on its way, and the whole lease is left."""
_PATIENCE = 1.0
"""Seconds for which messages wait for a call of `receive` before they are given back."""


class Polling:
    """Receives from one queue.

    Args:
        service: The operations of SQS.
        queue: Where from.
        options: The transport's.
        give_back: Called with messages that nobody took.
    """

    def __init__(
        self,
        service: Service,
        queue: Queue,
        options: Options,
        give_back: Callable[[Sequence[Held]], None],
    ) -> None:
        self._service = service
        self._queue = queue
        self._options = options
        self._give_back = give_back
        self._loop = asyncio.get_running_loop()
        self._polls: set[asyncio.Task[None]] = set()
        self._ready: deque[Held] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._wake: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._was_full = False
        self._is_closed = False

    async def take(self, most: int, wait: float) -> list[Held]:
        """Return messages, waiting for the first of them; none when `wait` is over.

        Raises:
            TransportError: A poll failed.
        """
        deadline = self._loop.time() + wait
        end = max(deadline, self._loop.time() + _ROUND_TRIP)
        has_polled = False
        while not self._is_closed:
            if self._ready and (found := self._taken(most)):
                return found
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            now = self._loop.time()
            if not self._polls:
                if has_polled and deadline - now < 1:
                    break  # SQS waits for whole seconds, and asking again and again costs
                self._begin(most, deadline - now)
                has_polled = True
            elif now >= end:
                break
            await self._wait(end - now)
        return []

    def close(self) -> None:
        """Make no further poll, and end what waits for one."""
        self._is_closed = True
        self._ring()

    async def finish(self, seconds: float) -> list[Held]:
        """Wait so long for the polls under way, and return what nobody took."""
        if self._polls:
            await asyncio.wait(self._polls, timeout=seconds)
        for poll in self._polls:
            poll.cancel()
        if self._polls:
            await asyncio.wait(self._polls)
        return self._left_over()

    def _begin(self, most: int, seconds: float) -> None:
        """Poll: once, and long, but several times at once while SQS has more than it can say."""
        wait = min(self._options.poll_wait, int(max(0.0, seconds)))
        counts = [min(most, MAX_ENTRIES)]
        if self._was_full and most > MAX_ENTRIES:
            wait = 0
            most = min(most, MAX_ENTRIES * self._options.pollers)
            counts = [min(MAX_ENTRIES, most - at) for at in range(0, most, MAX_ENTRIES)]
        self._was_full = True
        self._polls = {asyncio.create_task(self._poll(count, wait)) for count in counts}

    async def _poll(self, count: int, wait: int) -> None:
        asked = self._loop.time()
        seconds = ceil(self._options.visibility_timeout) + wait + _LATENCY
        try:
            messages = await self._service.receive(
                self._queue.url, most=count, wait=wait, visibility=seconds
            )
            self._was_full &= len(messages) == count
            self._ready.extend([Held(message, asked, seconds) for message in messages])
        except Exception as error:  # noqa: BLE001 - whatever it is, `take` raises it
            self._was_full = False
            self._failure = error
            if isinstance(error, FAILURES):
                self._failure = unusable(error, f"receiving from queue {self._queue.name!r}")
        finally:
            self._polls -= {asyncio.current_task()}
            if self._ready and self._timer is None:
                self._timer = self._loop.call_later(_PATIENCE, self._return)
            if not self._polls:
                self._ring()

    async def _wait(self, seconds: float) -> None:
        """Wait for all polls; for a late one not, while another has brought something."""
        limit = min(seconds, _ROUND_TRIP) if len(self._polls) > 1 else seconds
        self._wake = self._loop.create_future()
        try:
            await asyncio.wait([self._wake], timeout=limit)
        finally:
            self._wake = None

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _taken(self, most: int) -> list[Held]:
        """Take what is ready; what waited until its lease was over is SQS's again."""
        now = self._loop.time()
        found = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        if not self._ready and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return [held for held in found if held.is_ours(now)]

    def _return(self) -> None:
        self._timer = None
        self._give_back(self._left_over())

    def _left_over(self) -> list[Held]:
        found = list(self._ready)
        self._ready.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return found
