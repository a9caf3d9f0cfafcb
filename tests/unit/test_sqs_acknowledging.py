"""Acknowledging: nobody waits for a deletion, and one that fails does so aloud."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from linkbus import ConnectError, DestinationNotFound, SettleError, TransportError
from linkbus.abc import SettleResult, SettleStatus
from linkbus.transports.sqs._acknowledging import OK, Acknowledging, Answer
from linkbus.transports.sqs._held import Held
from linkbus.transports.sqs._queues import Queue

QUEUE = Queue("orders", "orders", "http://sqs/1/orders")
PASSES = ConnectError("not reached", retryable=True)
STAYS = TransportError("not allowed")
STALE = SettleResult(SettleStatus.STALE, SettleError("gone"))
REFUSED = SettleResult(SettleStatus.FAILED, TransportError("refused"))


class Deleting:
    """Requests that end as they are told, one after the other; then all of them succeed."""

    def __init__(self, *ends: Sequence[Answer] | Exception) -> None:
        self.ends = list(ends)
        self.made: list[int] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def make(self, queue: Queue, given: Sequence[Held]) -> Sequence[Answer]:
        self.made.append(len(given))
        await self.answers.wait()
        end = self.ends.pop(0) if self.ends else [OK] * len(given)
        if isinstance(end, Exception):
            raise end
        return end


def messages(count: int, lease: float = 30) -> list[Held]:
    now = asyncio.get_running_loop().time()
    return [Held({"MessageId": "m", "ReceiptHandle": "r", "Body": "b"}, now, lease)] + [
        Held({"MessageId": "m", "ReceiptHandle": "r", "Body": "b"}, now, 30)
        for _ in range(count - 1)
    ]


async def acknowledged(deleting: Deleting, count: int, lease: float = 30) -> Acknowledging:
    """Acknowledge messages, the first of which has this lease, and finish."""
    one = Acknowledging(QUEUE, deleting.make, at_once=1)
    assert [one.add(held) for held in messages(count, lease)] == [OK] * count
    await one.finish(5.0)
    return one


def vain(count: int, reason: str) -> str:
    said = f"{count} acknowledged message(s) were not deleted, and may come again: {reason}"
    return f"queue 'orders': {said}"


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


async def test_nobody_waits(caplog):
    """Each is as good as told, and they are told together."""
    deleting = Deleting()
    await acknowledged(deleting, 10)
    assert deleting.made == [10]
    assert logged(caplog) == []


async def test_deletions_do_not_fall_behind():
    """Beyond ten for each request that may be under way, one waits for its answer."""
    deleting = Deleting()
    deleting.answers.clear()
    one = Acknowledging(QUEUE, deleting.make, at_once=1)
    *first, last = [one.add(held) for held in messages(11)]
    assert first == [OK] * 10
    assert not last.done()
    deleting.answers.set()
    assert await last == OK
    assert [one.add(held) for held in messages(1)] == [OK]
    await one.finish(1.0)
    assert deleting.made == [10, 1, 1]


async def test_a_deletion_is_told_again(caplog):
    """What failed in a way that may pass; what the failed one did all the same is no failure."""
    deleting = Deleting([PASSES, PASSES, OK], [PASSES, STALE], [OK])
    one = await acknowledged(deleting, 3)
    assert deleting.made == [3, 2, 1]
    assert logged(caplog) == []
    assert one.failure is None


async def test_a_deletion_is_told_again_while_the_message_is_ours(caplog):
    """After its lease somebody else may have it."""
    deleting = Deleting([PASSES, PASSES])
    one = await acknowledged(deleting, 2, lease=0)
    assert deleting.made == [2, 1]
    assert logged(caplog) == [vain(1, "not reached")]
    assert one.failure is None


async def test_what_fails_for_good_is_logged_once(caplog):
    """For one request, however many it is for."""
    one = await acknowledged(Deleting([STALE, OK, REFUSED]), 3)
    assert logged(caplog) == [vain(2, "gone")]
    assert one.failure is None


async def test_what_nothing_can_be_acknowledged_for(caplog):
    """It is kept, for the consumer to end with it."""
    one = await acknowledged(Deleting([STAYS, STAYS]), 2)
    assert one.failure is STAYS
    assert len(logged(caplog)) == 1


async def test_a_queue_that_is_gone(caplog):
    """So are its messages; receiving finds that out, and may make the queue anew."""
    one = await acknowledged(Deleting([DestinationNotFound("gone")]), 1)
    assert one.failure is None
    assert logged(caplog) == [vain(1, "gone")]


async def test_a_defect_is_kept():
    """It ends the consumer too."""
    defect = ValueError("a defect")
    one = await acknowledged(Deleting(defect), 2)
    assert one.failure is defect


async def test_finishing_tells_how_many_were_not_told(caplog):
    """It waits no longer than it is told to."""
    deleting = Deleting()
    deleting.answers.clear()
    one = Acknowledging(QUEUE, deleting.make, at_once=1)
    for held in messages(3):
        one.add(held)
    await one.finish(0.01)
    assert logged(caplog) == [vain(3, "SQS did not answer before the consumer was closed")]
