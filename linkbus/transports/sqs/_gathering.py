"""Gathering: what is to be told to SQS goes in few requests, and nothing waits for more.

While a request is under way, what comes meanwhile gathers for the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from linkbus._errors import TransportError
from linkbus.abc import SettleResult

T = TypeVar("T")

Answer = SettleResult | TransportError
"""What became of one entry; a `TransportError`: its request failed as a whole."""


class Gathering(Generic[T]):
    """Makes requests of entries that are given one by one.

    Args:
        request: Makes one request and returns one answer for each entry; raises nothing.
        most: Entries in one request.
        at_once: Requests under way at once.
    """

    def __init__(
        self,
        request: Callable[[Sequence[T]], Awaitable[Sequence[Answer]]],
        *,
        most: int,
        at_once: int,
    ) -> None:
        self._request = request
        self._most = most
        self._at_once = at_once
        self._waiting: deque[tuple[T, asyncio.Future[Answer]]] = deque()
        self._requests: set[asyncio.Task[None]] = set()
        self._is_planned = False

    def add(self, entry: T) -> asyncio.Future[Answer]:
        """Take an entry; its answer comes in the future, whoever waits for it or does not."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((entry, answer))
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
        for _, answer in self._waiting:
            _give_up(answer)
        self._waiting.clear()
        if self._requests:
            for task in self._requests:
                task.cancel()
            await asyncio.wait(self._requests)

    def _start(self) -> None:
        """Make the next requests: one if none is under way, more only if they are full."""
        self._is_planned = False
        waiting, requests = self._waiting, self._requests
        while waiting and (
            not requests or (len(waiting) >= self._most and len(requests) < self._at_once)
        ):
            entries = [waiting.popleft() for _ in range(min(self._most, len(waiting)))]
            requests.add(asyncio.create_task(self._make(entries)))

    async def _make(self, entries: Sequence[tuple[T, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._request([entry for entry, _ in entries])
            for (_, future), answer in zip(entries, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        except Exception as error:  # noqa: BLE001 - a defect, for those who wait
            for _, future in entries:
                if not future.done():
                    future.set_exception(error)
        finally:
            for _, future in entries:
                _give_up(future)
            self._requests -= {asyncio.current_task()}
            self._start()


def _give_up(answer: asyncio.Future[Answer]) -> None:
    if not answer.done():
        msg = "the receiver was closed before SQS answered: the message may come again"
        answer.set_result(TransportError(msg, retryable=True))
