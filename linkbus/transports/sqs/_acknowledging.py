"""Acknowledging: messages are deleted soon, and nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from linkbus._errors import DestinationNotFound, TransportError
from linkbus.abc import SettleResult, SettleStatus
from linkbus.transports.sqs._gathering import Gathering, Untold
from linkbus.transports.sqs._held import Held
from linkbus.transports.sqs._parts import MAX_ENTRIES
from linkbus.transports.sqs._queues import Queue

logger = logging.getLogger("linkbus")

Answer = SettleResult | TransportError
"""What became of one entry; a `TransportError`: it may be told again, if that is retryable."""

OK = SettleResult(SettleStatus.OK)

_BEHIND = 10
"""Deletions for each request that may be under way: beyond them, acknowledging waits."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
"""Seconds before a deletion that failed is made again; each pause is twice the one before."""


class Acknowledging:
    """Deletes the messages of one queue that were acknowledged.

    Args:
        queue: Where the messages are from.
        delete: Makes one request.
        at_once: Requests under way at once.

    Attributes:
        failure: Why no message can be deleted, if that is so: it ends the consumer.
    """

    def __init__(
        self,
        queue: Queue,
        delete: Callable[[Queue, Sequence[Held]], Awaitable[Sequence[Answer]]],
        *,
        at_once: int,
    ) -> None:
        self.failure: Exception | None = None
        self._queue = queue
        self._delete = delete
        self._deletions = Gathering(self._tell, at_once=at_once, beside=MAX_ENTRIES)
        self._most_untold = _BEHIND * at_once
        self._untold = 0

    def add(self, held: Held) -> SettleResult | asyncio.Future[Answer | Untold]:
        """Delete a message soon; a future: deletions fall behind, so wait for this one."""
        self._untold += 1
        answer = self._deletions.add(self._queue, held)
        return OK if self._untold <= self._most_untold else answer

    async def finish(self, seconds: float) -> None:
        """Return when all is told, or when the seconds are over."""
        await self._deletions.finish(seconds)
        if self._untold:
            self._log(self._untold, "SQS did not answer before the consumer was closed")

    async def _tell(self, queue: Queue, given: Sequence[Held]) -> Sequence[Answer]:
        try:
            answers = await self._told(queue, given)
        except Exception as error:
            self.failure = error
            raise
        self._untold -= len(given)
        failed = [answer for answer in answers if answer != OK]
        if failed:
            self._log(len(failed), _reason(failed[0]))
        for answer in failed:
            if isinstance(answer, TransportError) and not answer.retryable:
                self._note(answer)
        return answers

    def _note(self, failure: TransportError) -> None:
        """Keep a failure; that the queue is gone, receiving finds out, and may make it anew."""
        if not isinstance(failure, DestinationNotFound):
            self.failure = failure

    async def _told(self, queue: Queue, given: Sequence[Held]) -> Sequence[Answer]:
        """Delete messages, and again what fails in a way that may pass, while it is ours."""
        answers = dict(zip(given, await self._delete(queue, given), strict=True))
        pause = _FIRST_PAUSE
        while left := self._to_be_told_again(answers):
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)
            for held, answer in zip(left, await self._delete(queue, left), strict=True):
                # stale: deleted by the request before, which could not say so
                answers[held] = OK if _is_stale(answer) else answer
        return list(answers.values())

    def _to_be_told_again(self, answers: dict[Held, Answer]) -> list[Held]:
        now = asyncio.get_running_loop().time()
        return [
            held
            for held, answer in answers.items()
            if isinstance(answer, TransportError) and answer.retryable and now < held.until
        ]

    def _log(self, count: int, reason: str) -> None:
        logger.warning(
            "queue %r: %d acknowledged message(s) were not deleted, and may come again: %s",
            self._queue.name,
            count,
            reason,
        )


def _is_stale(answer: Answer) -> bool:
    return isinstance(answer, SettleResult) and answer.status is SettleStatus.STALE


def _reason(answer: Answer) -> str:
    return str(answer.error if isinstance(answer, SettleResult) else answer)
