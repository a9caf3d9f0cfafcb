"""Gathering: what is to be told to SQS goes in few requests, and nothing waits for more.

What is given in one turn of the event loop goes together, and so does what is given while
requests are under way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from math import inf
from typing import Generic, NamedTuple, TypeVar

from linkbus.transports.sqs._parts import MAX_ENTRIES
from linkbus.transports.sqs._queues import Queue

T = TypeVar("T")
A = TypeVar("A")


class Untold(Enum):
    """Why an item has no answer of SQS."""

    LATE = "it waited too long, and did not leave"
    UNSENT = "it did not leave before the end"
    UNANSWERED = "it left, and was not answered before the end"


class _Waiting(NamedTuple, Generic[T, A]):
    item: T
    entries: int
    size: int
    until: float
    answer: asyncio.Future[A | Untold]


class Gathering(Generic[T, A]):
    """Makes requests of items that are given one by one.

    A request runs in a task of its own: whoever waits for an answer may be cancelled, and
    the others are not disturbed. What nobody waits for any more does not leave.

    Args:
        request: Makes one request to a queue, and returns one answer for each item.
        at_once: Requests under way at once.
        beside: Items that must wait before a request is made beside another one.
        most: Entries in one request.
        most_bytes: Bytes in one request, unless it is for one item.
        patience: Seconds for which an item waits to leave.
    """

    def __init__(
        self,
        request: Callable[[Queue, Sequence[T]], Awaitable[Sequence[A]]],
        *,
        at_once: int,
        beside: int,
        most: int = MAX_ENTRIES,
        most_bytes: float = inf,
        patience: float = inf,
    ) -> None:
        self._request = request
        self._at_once = at_once
        self._beside = beside
        self._most = most
        self._most_bytes = most_bytes
        self._patience = patience
        self._waiting: dict[Queue, deque[_Waiting[T, A]]] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_planned = False
        self._is_over = False

    def add(
        self, queue: Queue, item: T, *, entries: int = 1, size: int = 0
    ) -> asyncio.Future[A | Untold]:
        """Take an item, and return the future of its answer.

        Args:
            queue: Where to tell it.
            item: For the request.
            entries: As many as it is in a request.
            size: In bytes, as SQS counts them.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A | Untold] = loop.create_future()
        if self._is_over:
            answer.set_result(Untold.UNSENT)
            return answer
        waiting = self._waiting.setdefault(queue, deque())
        waiting.append(_Waiting(item, entries, size, loop.time() + self._patience, answer))
        if not self._is_planned:
            self._is_planned = True
            loop.call_soon(self._start)
        return answer

    async def finish(self, seconds: float) -> None:
        """Return when all is told, or when the seconds are over: what is left is not told."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        self._start()
        while self._requests and (left := deadline - loop.time()) > 0:
            await asyncio.wait(self._requests, timeout=left)
        self._is_over = True
        self._give_up(inf, Untold.UNSENT)
        if self._timer is not None:
            self._timer.cancel()
        if self._requests:
            for task in self._requests:
                task.cancel()
            await asyncio.wait(self._requests)

    def _start(self) -> None:
        """Make as many requests as there may be now."""
        self._is_planned = False
        requests = self._requests
        while self._waiting and len(requests) < self._at_once:
            if requests and sum(map(len, self._waiting.values())) < self._beside:
                break
            queue, taken = self._next()
            if taken:
                requests.add(asyncio.create_task(self._make(queue, taken)))
        self._watch()

    def _next(self) -> tuple[Queue, list[_Waiting[T, A]]]:
        """Take what goes in the next request; queues have their turns."""
        queue, waiting = next(iter(self._waiting.items()))
        taken: list[_Waiting[T, A]] = []
        entries = size = 0
        while waiting:
            one = waiting[0]
            if not one.answer.done():
                entries += one.entries
                size += one.size
                if taken and (entries > self._most or size > self._most_bytes):
                    break
                taken.append(one)
            waiting.popleft()
        del self._waiting[queue]
        if waiting:
            self._waiting[queue] = waiting
        return queue, taken

    async def _make(self, queue: Queue, taken: Sequence[_Waiting[T, A]]) -> None:
        try:
            answers = await self._request(queue, [one.item for one in taken])
            for one, answer in zip(taken, answers, strict=True):
                _tell(one, answer)
        except Exception as error:  # noqa: BLE001 - a defect, for those who wait
            for one in taken:
                if not one.answer.done():
                    one.answer.set_exception(error)
                    one.answer.exception()  # or asyncio logs it, where nobody waits
        finally:
            for one in taken:
                _tell(one, Untold.UNANSWERED)
            self._requests -= {asyncio.current_task()}
            self._start()

    def _watch(self) -> None:
        """Be there when something has waited for too long."""
        if self._timer is None and self._waiting and self._patience < inf:
            soonest = min(waiting[0].until for waiting in self._waiting.values())
            self._timer = asyncio.get_running_loop().call_at(soonest, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._give_up(asyncio.get_running_loop().time(), Untold.LATE)
        self._watch()

    def _give_up(self, now: float, why: Untold) -> None:
        for queue, waiting in list(self._waiting.items()):
            while waiting and waiting[0].until <= now:
                _tell(waiting.popleft(), why)
            if not waiting:
                del self._waiting[queue]


def _tell(one: _Waiting[T, A], answer: A | Untold) -> None:
    if not one.answer.done():
        one.answer.set_result(answer)
