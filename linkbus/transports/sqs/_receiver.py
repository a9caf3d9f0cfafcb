"""SQSReceiver: receives from a queue, and settles what it received."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from linkbus._errors import DestinationNotFound, TransportError
from linkbus.abc import Arrival, Receiver, Settlement, SettleResult, SettleStatus
from linkbus.transports.sqs._acknowledging import Answer
from linkbus.transports.sqs._arrivals import arrival
from linkbus.transports.sqs._held import Held
from linkbus.transports.sqs._options import Options
from linkbus.transports.sqs._polling import Polling
from linkbus.transports.sqs._queues import Queue, Queues
from linkbus.transports.sqs._service import Service
from linkbus.transports.sqs._settling import Settling, Told, answer_of

_POLL_MARGIN = 2.0
"""Seconds for which closing waits for a poll beyond the wait that it was told."""
_TELL_TIMEOUT = 2.0
"""Seconds for which closing waits until SQS was told what is to be told."""
_TIDY_AT = 1000
"""Messages held, before it is looked whether some of them were lost long ago."""
_STALE = SettleResult(SettleStatus.STALE)


class SQSReceiver(Receiver):
    """A consumer of a queue; made by `SQSTransport.subscribe`."""

    def __init__(
        self,
        service: Service,
        queues: Queues,
        options: Options,
        queue: Queue,
        target: Queue | None,
    ) -> None:
        self._queues = queues
        self._options = options
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._held: dict[Held, None] = {}
        self._tidy_at = _TIDY_AT
        self._settling = Settling(service, queue, target or queue, at_once=options.settlers)
        self._polling = Polling(service, queue, options, self._give_back)
        self._closing: asyncio.Task[None] | None = None

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        """Return messages that a poll has brought; raise what acknowledging failed for."""
        if self._settling.failure is not None:
            raise self._settling.failure
        try:
            found = await self._polling.take(max_messages, wait)
        except DestinationNotFound:
            if not self._queues.makes(self._queue.asked):
                raise
            await self._queues.find_now(self._queue.asked)
            return []
        now = self._loop.time()
        if len(self._held) > self._tidy_at:
            self._tidy(now)
        self._held.update(dict.fromkeys(found))
        lease = self._options.visibility_timeout
        return [
            arrival(held.message, self._queue, held, min(lease, held.until - now)) for held in found
        ]

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        """Tell SQS the outcomes, in few requests, and wait for its answers.

        Those to acknowledgements are not waited for, unless these have fallen behind.
        """
        now = self._loop.time()
        told = [self._tell(settlement, now) for settlement in settlements]
        answers = await _answers(told)
        failures = [answer for answer in answers if isinstance(answer, TransportError)]
        if failures:
            for settlement, answer in zip(settlements, answers, strict=True):
                self._be_ready_again(_held(settlement.arrival), answer)
            raise failures[0]
        return cast("list[SettleResult]", answers)

    async def extend(self, arrivals: Sequence[Arrival], seconds: float) -> Sequence[SettleResult]:
        """Hide messages for so many seconds from now, up to the 12 hours that SQS allows."""
        now = self._loop.time()
        answers = await _answers([self._hide(_held(one), seconds, now) for one in arrivals])
        for one, answer in zip(arrivals, answers, strict=True):
            if isinstance(answer, SettleResult) and answer.status is SettleStatus.OK:
                _held(one).until = now + seconds
        for answer in answers:
            if isinstance(answer, TransportError):
                raise answer
        return cast("list[SettleResult]", answers)

    async def aclose(self) -> None:
        """Give back what is not settled, and what a poll under way still brings."""
        if self._closing is None:
            self._polling.close()
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    def _tell(self, settlement: Settlement, now: float) -> SettleResult | Told:
        held = _held(settlement.arrival)
        if held.noted is not None:
            noted, held.noted = held.noted, None
            return noted
        self._held.pop(held, None)
        if not held.is_ours(now):
            return _STALE
        held.is_settled = True
        return self._settling.tell(held, settlement, now)

    def _be_ready_again(self, held: Held, answer: Answer) -> None:
        """Be ready for the same call: SQS was told of this message, or it was not."""
        if isinstance(answer, SettleResult):
            held.noted = answer
        else:
            held.is_settled = False
            self._held[held] = None

    def _hide(self, held: Held, seconds: float, now: float) -> SettleResult | Told:
        if not held.is_ours(now):
            return _STALE
        if seconds > held.longest(now):
            msg = (
                f"SQS leaves a message of queue {self._queue.name!r} to one receiver for 12 hours "
                "and no longer: finish sooner, or divide the work"
            )
            return SettleResult(SettleStatus.FAILED, TransportError(msg))
        return self._settling.hide(held, seconds)

    def _tidy(self, now: float) -> None:
        """Forget what was lost: of that nobody tells."""
        self._held = dict.fromkeys([held for held in self._held if held.is_ours(now)])
        self._tidy_at = 2 * len(self._held) + _TIDY_AT

    def _give_back(self, messages: Sequence[Held]) -> None:
        for held in messages:
            held.is_settled = True
            self._settling.hide(held, 0)

    async def _close(self) -> None:
        now = self._loop.time()
        self._give_back([held for held in self._held if held.is_ours(now)])
        self._held.clear()
        late = await self._polling.finish(self._options.poll_wait + _POLL_MARGIN)
        self._give_back(late)
        await self._settling.finish(_TELL_TIMEOUT)


async def _answers(told: Sequence[SettleResult | Told]) -> list[Answer]:
    return [one if isinstance(one, SettleResult) else await answer_of(one) for one in told]


def _held(one: Arrival) -> Held:
    return cast("Held", one.receipt)
