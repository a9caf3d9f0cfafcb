"""Settling: outcomes and extensions as requests, and what SQS made of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from math import ceil

from linkbus._errors import SettleError, TransportError
from linkbus.abc import Outcome, Settlement, SettleResult, SettleStatus
from linkbus.transports.sqs._acknowledging import OK, Acknowledging, Answer
from linkbus.transports.sqs._errors import FAILURES, is_stale, refused, unusable
from linkbus.transports.sqs._gathering import Gathering, Untold
from linkbus.transports.sqs._held import Held
from linkbus.transports.sqs._parts import MAX_ENTRIES
from linkbus.transports.sqs._queues import Queue
from linkbus.transports.sqs._redriving import copy_of
from linkbus.transports.sqs._service import Refusal, Service

Told = asyncio.Future[Answer | Untold]


class Settling:
    """Tells SQS what became of the messages of one queue.

    Args:
        service: The operations of SQS.
        queue: Where the messages are from.
        target: Where those go that are rejected.
        at_once: Requests of one kind under way at once.
    """

    def __init__(self, service: Service, queue: Queue, target: Queue, *, at_once: int) -> None:
        self._service = service
        self._queue = queue
        self._target = target
        self._acknowledging = Acknowledging(queue, self._delete, at_once=at_once)
        self._changes = Gathering(self._hide, at_once=at_once, beside=MAX_ENTRIES)
        self._rejections = Gathering(self._move, at_once=at_once, beside=1, most=1)

    @property
    def failure(self) -> Exception | None:
        """Why acknowledging fails for good, if it does."""
        return self._acknowledging.failure

    def tell(self, held: Held, settlement: Settlement, now: float) -> SettleResult | Told:
        """Tell the outcome of a message; one who waits for the future shields it."""
        if settlement.outcome is Outcome.ACK:
            return self._acknowledging.add(held)
        if settlement.outcome is Outcome.RELEASE:
            return self.hide(held, min(settlement.delay, held.longest(now)))
        return self._rejections.add(self._queue, held)

    def hide(self, held: Held, seconds: float) -> Told:
        """Hide a message from everybody for so long; 0 shows it."""
        return self._changes.add(self._queue, (held, ceil(seconds)))

    async def finish(self, seconds: float) -> None:
        """Return when all is told, or when the seconds are over."""
        parts = (self._rejections, self._acknowledging, self._changes)
        await asyncio.gather(*[one.finish(seconds) for one in parts])

    async def _delete(self, queue: Queue, given: Sequence[Held]) -> Sequence[Answer]:
        request = self._service.delete(queue.url, [held.handle for held in given])
        return await self._answers(len(given), "acknowledging", request)

    async def _hide(self, queue: Queue, given: Sequence[tuple[Held, int]]) -> Sequence[Answer]:
        handles = [(held.handle, seconds) for held, seconds in given]
        request = self._service.hide(queue.url, handles)
        return await self._answers(len(given), "changing the visibility of", request)

    async def _move(self, queue: Queue, given: Sequence[Held]) -> Sequence[Answer]:
        """Send a message to the target of the redrive policy as it is, then delete it."""
        entries = [copy_of(held.message, self._target) for held in given]
        request = self._service.send(self._target.url, entries)
        doing = f"copying to {self._target.name!r}"
        copied = await self._answers(len(given), doing, request, may_be_stale=False)
        return await self._delete(queue, given) if copied == [OK] else copied

    async def _answers(
        self,
        count: int,
        doing: str,
        request: Awaitable[Mapping[int, Refusal]],
        *,
        may_be_stale: bool = True,
    ) -> Sequence[Answer]:
        doing = f"{doing} a message of queue {self._queue.name!r}"
        try:
            refusals = await request
        except FAILURES as error:
            return [unusable(error, doing)] * count
        return answers_to(refusals, count, doing, may_be_stale=may_be_stale)


async def answer_of(told: Told) -> Answer:
    """Wait for an answer; a cancellation leaves the outcome to be told."""
    answer = await asyncio.shield(told)
    if isinstance(answer, Untold):
        msg = "the receiver was closed before SQS answered: the message may come again"
        return TransportError(msg, retryable=True)
    return answer


def answers_to(
    refusals: Mapping[int, Refusal], count: int, doing: str, *, may_be_stale: bool
) -> list[Answer]:
    """Return what became of each entry of a request that SQS answered.

    Args:
        refusals: What it refused, by place.
        count: Of entries.
        doing: What was tried with each.
        may_be_stale: A refusal may mean that the message is not ours any more.
    """
    answers: list[Answer] = [OK] * count
    for place, refusal in refusals.items():
        error = refused(refusal, doing, with_reason=not may_be_stale)
        if may_be_stale and is_stale(refusal):
            answers[place] = SettleResult(SettleStatus.STALE, SettleError(str(error)))
        elif error.retryable:
            answers[place] = error
        else:
            answers[place] = SettleResult(SettleStatus.FAILED, error)
    return answers
