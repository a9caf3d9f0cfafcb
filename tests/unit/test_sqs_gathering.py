"""Gathering: few requests, none of which waits for more to come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from linkbus import TransportError
from linkbus.abc import SettleResult, SettleStatus
from linkbus.transports.sqs._gathering import Answer, Gathering

OK = SettleResult(SettleStatus.OK)


class Requests:
    """Requests that wait to be let go, or go at once."""

    def __init__(self, *, held: bool = False) -> None:
        self.made: list[list[int]] = []
        self.let_go = asyncio.Event()
        self.begun = asyncio.Event()
        if not held:
            self.let_go.set()

    async def make(self, entries: Sequence[int]) -> Sequence[Answer]:
        self.made.append(list(entries))
        self.begun.set()
        await self.let_go.wait()
        return [OK for _ in entries]


def gathering(requests: Requests, at_once: int = 2) -> Gathering[int]:
    return Gathering(requests.make, most=3, at_once=at_once)


async def test_what_comes_together_goes_together():
    """In one request, as far as it takes them, and the rest side by side."""
    requests = Requests()
    one = gathering(requests)
    answers = [one.add(number) for number in range(8)]
    assert await asyncio.gather(*answers) == [OK] * 8
    assert requests.made == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def test_what_comes_meanwhile_gathers():
    """While a request is under way there is no second one, until it is full."""
    requests = Requests(held=True)
    one = gathering(requests)
    answers = [one.add(0)]
    await requests.begun.wait()
    for number in (1, 2):
        answers.append(one.add(number))
        await asyncio.sleep(0)
    assert requests.made == [[0]]
    answers.append(one.add(3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert requests.made == [[0], [1, 2, 3]]
    requests.let_go.set()
    assert await asyncio.gather(*answers) == [OK] * 4


async def test_no_more_than_may_be_at_once():
    """Full requests wait too."""
    requests = Requests(held=True)
    one = gathering(requests, at_once=1)
    answers = [one.add(number) for number in range(6)]
    await requests.begun.wait()
    await asyncio.sleep(0)
    assert requests.made == [[0, 1, 2]]
    requests.let_go.set()
    await asyncio.gather(*answers)
    assert requests.made == [[0, 1, 2], [3, 4, 5]]


async def test_it_is_told_whoever_waits():
    """Cancelling one who waits for an answer stops no request."""
    requests = Requests(held=True)
    one = gathering(requests)
    answers = [one.add(0), one.add(1)]
    await requests.begun.wait()
    answers[0].cancel()
    requests.let_go.set()
    assert await answers[1] == OK
    await one.finish(1.0)
    assert requests.made == [[0, 1]]


async def test_finishing_waits():
    """All is told when it returns, what was added a moment ago too."""
    requests = Requests()
    one = gathering(requests)
    answers = [one.add(number) for number in range(9)]
    await one.finish(1.0)
    assert all(answer.done() for answer in answers)
    assert len(requests.made) == 3
    await one.finish(1.0)


async def test_finishing_does_not_wait_for_ever():
    """What SQS did not answer, and what waited behind it, gets an answer all the same."""
    requests = Requests(held=True)
    one = gathering(requests, at_once=1)
    answers = [one.add(number) for number in range(4)]
    await requests.begun.wait()
    answers[1].cancel()
    await one.finish(0.01)
    errors = [answer.result() for answer in (answers[0], *answers[2:])]
    assert all(isinstance(error, TransportError) and error.retryable for error in errors)
    assert requests.made == [[0, 1, 2]]


async def test_a_defect_is_raised_where_the_answer_is_awaited():
    """And the next request is made."""

    async def make(entries: Sequence[int]) -> Sequence[Answer]:
        if 0 in entries:
            msg = "a defect"
            raise ValueError(msg)
        return [OK for _ in entries]

    one = Gathering(make, most=2, at_once=1)
    answers = [one.add(number) for number in range(4)]
    answers[1].cancel()
    with pytest.raises(ValueError, match="a defect"):
        await answers[0]
    assert await asyncio.gather(*answers[2:]) == [OK, OK]
