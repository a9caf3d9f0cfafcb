"""Gathering: few requests, none of which waits for more to come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from linkbus.transports.sqs._gathering import Gathering, Untold
from linkbus.transports.sqs._queues import Queue

ORDERS = Queue("orders", "orders", "http://sqs/1/orders")
AUDIT = Queue("audit", "audit", "http://sqs/1/audit")


class Requests:
    """Requests that wait to be let go, or go at once; the answer is the item."""

    def __init__(self, *, held: bool = False) -> None:
        self.made: list[list[int]] = []
        self.let_go = asyncio.Event()
        self.begun = asyncio.Event()
        if not held:
            self.let_go.set()

    async def make(self, queue: Queue, items: Sequence[int]) -> Sequence[int]:
        self.made.append(list(items))
        self.begun.set()
        await self.let_go.wait()
        return items


def gathering(requests: Requests, at_once: int = 2, **options: float) -> Gathering[int, int]:
    return Gathering(requests.make, **{"most": 3, "at_once": at_once, "beside": 3} | options)


async def test_what_comes_together_goes_together():
    """In one request, as far as it takes them, and the rest side by side."""
    requests = Requests()
    one = gathering(requests)
    answers = [one.add(ORDERS, number) for number in range(8)]
    assert await asyncio.gather(*answers) == list(range(8))
    assert requests.made == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def test_what_comes_meanwhile_gathers():
    """While a request is under way there is no second one, until it is full."""
    requests = Requests(held=True)
    one = gathering(requests)
    answers = [one.add(ORDERS, 0)]
    await requests.begun.wait()
    for number in (1, 2):
        answers.append(one.add(ORDERS, number))
        await asyncio.sleep(0)
    assert requests.made == [[0]]
    answers.append(one.add(ORDERS, 3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert requests.made == [[0], [1, 2, 3]]
    requests.let_go.set()
    assert await asyncio.gather(*answers) == [0, 1, 2, 3]


async def test_nothing_waits_for_company():
    """Where a request may be beside another for one item, it is made at once."""
    requests = Requests(held=True)
    one = gathering(requests, beside=1)
    for number in range(4):
        requests.begun.clear()
        one.add(ORDERS, number)
        if number < 2:
            await requests.begun.wait()
    requests.let_go.set()
    await one.finish(1.0)
    assert requests.made == [[0], [1], [2, 3]]


async def test_no_more_than_may_be_at_once():
    """Full requests wait too."""
    requests = Requests(held=True)
    one = gathering(requests, at_once=1)
    answers = [one.add(ORDERS, number) for number in range(6)]
    await requests.begun.wait()
    await asyncio.sleep(0)
    assert requests.made == [[0, 1, 2]]
    requests.let_go.set()
    await asyncio.gather(*answers)
    assert requests.made == [[0, 1, 2], [3, 4, 5]]


async def test_queues_have_their_turns():
    """A request is to one of them, and a long line of one does not keep back another."""
    requests = Requests()
    one = gathering(requests, at_once=1)
    for number in range(8):
        one.add(ORDERS, number)
        one.add(AUDIT, -number)
    await one.finish(1.0)
    assert requests.made == [[0, 1, 2], [0, -1, -2], [3, 4, 5], [-3, -4, -5], [6, 7], [-6, -7]]


async def test_entries_and_bytes_of_a_request():
    """Both are limits, in order; an item that is beyond them goes alone."""
    requests = Requests()
    one = gathering(requests, most_bytes=100)
    sizes = [(1, 60), (1, 40), (1, 1), (2, 1), (1, 1), (1, 200), (1, 0), (5, 1)]
    for number, (entries, size) in enumerate(sizes):
        one.add(ORDERS, number, entries=entries, size=size)
    await one.finish(1.0)
    assert requests.made == [[0, 1], [2, 3], [4], [5], [6], [7]]


async def test_others_are_not_disturbed():
    """Cancelling one who waits for an answer stops no request that is under way."""
    requests = Requests(held=True)
    one = gathering(requests)
    answers = [one.add(ORDERS, 0), one.add(ORDERS, 1)]
    await requests.begun.wait()
    answers[0].cancel()
    requests.let_go.set()
    assert await answers[1] == 1
    await one.finish(1.0)
    assert requests.made == [[0, 1]]


async def test_what_nobody_waits_for_does_not_leave():
    """It was cancelled before its request was made."""
    requests = Requests()
    one = gathering(requests)
    answers = [one.add(ORDERS, number) for number in range(3)]
    alone = one.add(AUDIT, 7)
    answers[1].cancel()
    alone.cancel()
    await one.finish(1.0)
    assert requests.made == [[0, 2]]


async def test_patience_ends():
    """What cannot leave for so long does not leave any more; what is under way may take longer."""
    requests = Requests(held=True)
    one = gathering(requests, at_once=1, patience=0.05)
    under_way = one.add(ORDERS, 0)
    await requests.begun.wait()
    waiting = [one.add(ORDERS, 1), one.add(AUDIT, 2)]
    await asyncio.wait(waiting, timeout=0.02)  # so that the next one's time ends later
    waiting.append(one.add(ORDERS, 3))
    assert await asyncio.gather(*waiting) == [Untold.LATE] * 3
    later = one.add(ORDERS, 4)
    requests.let_go.set()
    assert [await under_way, await later] == [0, 4]
    await one.finish(1.0)
    assert requests.made == [[0], [4]]


async def test_finishing_waits():
    """All is told when it returns, what was added a moment ago too."""
    requests = Requests()
    one = gathering(requests)
    answers = [one.add(ORDERS, number) for number in range(9)]
    await one.finish(1.0)
    assert all(answer.done() for answer in answers)
    assert len(requests.made) == 3
    await one.finish(1.0)


async def test_finishing_does_not_wait_for_ever():
    """What SQS did not answer, what waited behind it, and what comes later is told so."""
    requests = Requests(held=True)
    one = gathering(requests, at_once=1, patience=60)
    answers = [one.add(ORDERS, number) for number in range(4)]
    await requests.begun.wait()
    answers[1].cancel()
    await asyncio.sleep(0)
    await one.finish(0.01)
    left = [answer.result() for answer in (answers[0], *answers[2:])]
    assert left == [Untold.UNANSWERED, Untold.UNANSWERED, Untold.UNSENT]
    assert await one.add(ORDERS, 4) is Untold.UNSENT
    assert requests.made == [[0, 1, 2]]


async def test_a_defect_is_raised_where_the_answer_is_awaited():
    """And the next request is made."""

    async def make(queue: Queue, items: Sequence[int]) -> Sequence[int]:
        if 0 in items:
            msg = "a defect"
            raise ValueError(msg)
        return items

    one = Gathering(make, most=2, at_once=1, beside=2)
    answers = [one.add(ORDERS, number) for number in range(4)]
    await asyncio.sleep(0)
    answers[1].cancel()
    with pytest.raises(ValueError, match="a defect"):
        await answers[0]
    assert await asyncio.gather(*answers[2:]) == [2, 3]
