"""When watermarks are committed."""

from __future__ import annotations

import asyncio

import pytest

from linkbus.transports.kafka._committing import Committing


class Group:
    """Takes commits, one answer for each, and can be made to wait."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.count = 0
        self.committed = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def commit(self, timeout: float) -> bool:
        self.count += 1
        self.committed.set()
        await self.may_answer.wait()
        return self.answers.pop(0) if self.answers else True

    async def next(self) -> None:
        await self.committed.wait()
        self.committed.clear()


async def test_many_settlements_are_one_commit() -> None:
    """The first starts the interval, and its end commits them all."""
    group = Group()
    committing = Committing(group.commit, 0.01)
    for _ in range(10):
        committing.note(1)
    await group.next()
    await committing.finish(1.0)
    assert group.count == 2


async def test_very_many_do_not_wait_for_the_interval() -> None:
    """A bound on what comes again after a crash."""
    group = Group()
    committing = Committing(group.commit, 1000.0)
    committing.note(1)
    committing.note(10_000)
    await group.next()
    committing.cancel()
    assert group.count == 1


async def test_a_commit_that_failed_is_made_again() -> None:
    """After the interval, though nothing more is settled."""
    group = Group(False, True)
    committing = Committing(group.commit, 0.01)
    committing.note(1)
    await group.next()
    await group.next()
    committing.cancel()
    assert group.count == 2


async def test_what_is_settled_during_a_commit_is_committed_after_it() -> None:
    """One commit at a time; the next follows."""
    group = Group()
    group.may_answer.clear()
    committing = Committing(group.commit, 0.01)
    committing.note(10_000)
    await group.next()
    committing.note(10_000)
    assert group.count == 1
    group.may_answer.set()
    await group.next()
    committing.cancel()
    assert group.count == 2


async def test_finishing_waits_for_what_is_under_way_then_commits_the_rest() -> None:
    """After it no commit is under way."""
    group = Group()
    group.may_answer.clear()
    committing = Committing(group.commit, 1000.0)
    committing.note(10_000)
    await group.next()
    finishing = asyncio.create_task(committing.finish(1.0))
    await asyncio.sleep(0)
    group.may_answer.set()
    await finishing
    assert group.count == 2


@pytest.mark.parametrize("patience", [0.01, 1000.0])
async def test_finishing_does_not_wait_for_ever(patience: float) -> None:
    """A commit that does not end, or a finish that is cancelled: the commit is cancelled."""
    group = Group()
    group.may_answer.clear()
    committing = Committing(group.commit, 1000.0)
    committing.note(10_000)
    await group.next()
    finishing = asyncio.create_task(committing.finish(patience))
    await asyncio.wait([finishing], timeout=0.05)
    finishing.cancel()
    await asyncio.wait([finishing])
    assert group.count == 1
