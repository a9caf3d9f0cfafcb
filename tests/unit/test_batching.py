"""Batches: as many deliveries as there are, up to their limits, within their time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from linkbus import Batch, Consumer, TransportError, UsageError
from linkbus._batching import Batches, BatchLimits
from tests.unit.scripted import ScriptedReceiver, arrival, scripted


@asynccontextmanager
async def consuming(prefetch: int = 100) -> AsyncIterator[tuple[Consumer, ScriptedReceiver]]:
    """Open a consumer of a scripted transport."""
    async with (
        scripted() as (bus, transport),
        bus.consumer("orders", prefetch=prefetch) as consumer,
    ):
        yield consumer, transport.receiver


async def held(receiver: ScriptedReceiver, *what: str) -> None:
    """Give arrivals, and wait until the consumer holds them."""
    receiver.give(*what)
    await receiver.until(lambda: not receiver._given)
    await asyncio.sleep(0)


def ids(batch: Batch) -> list[str | None]:
    return [delivery.id for delivery in batch]


async def test_a_full_batch_is_given_at_once():
    """There is no wait when as many are there as it may have; the rest stays."""
    async with consuming() as (consumer, receiver):
        await held(receiver, "1", "2", "3")
        batches = consumer.batches(max_messages=2, max_wait=60)
        assert aiter(batches) is batches
        with anyio.fail_after(2):
            assert ids(await anext(batches)) == ["1", "2"]


async def test_the_wait_counts_from_the_first_message():
    """A batch is given max_wait after its first message came, however late it is asked for."""
    async with consuming() as (consumer, receiver):
        batches = consumer.batches(max_messages=9, max_wait=0.05)
        waiting = asyncio.create_task(anext(batches))
        with anyio.move_on_after(0.1):
            await asyncio.shield(waiting)
        assert not waiting.done()
        started = anyio.current_time()
        receiver.give("1")
        await receiver.until(lambda: not receiver._given)
        receiver.give("2")
        with anyio.fail_after(2):
            assert ids(await waiting) == ["1", "2"]
        assert anyio.current_time() - started >= 0.045
        await held(receiver, "3")
        with anyio.move_on_after(0.06):
            await anyio.Event().wait()
        started = anyio.current_time()
        assert ids(await anext(batches)) == ["3"]
        assert anyio.current_time() - started < 0.04


async def test_bytes_complete_a_batch():
    """As many are given as fit into max_bytes, and at once when they are there."""
    async with consuming() as (consumer, receiver):
        for mid in "123":
            receiver.give(arrival(mid, body=b"x" * 40))
        await receiver.until(lambda: not receiver._given)
        batches = consumer.batches(max_messages=9, max_wait=60, max_bytes=100)
        with anyio.fail_after(2):
            assert ids(await anext(batches)) == ["1", "2"]


async def test_a_message_larger_than_max_bytes_comes_alone():
    """It is given at once, by itself."""
    async with consuming() as (consumer, receiver):
        receiver.give("1", arrival("2", body=b"x" * 200), "3")
        await receiver.until(lambda: not receiver._given)
        batches = consumer.batches(max_messages=9, max_wait=0.02, max_bytes=100)
        with anyio.fail_after(2):
            assert [ids(await anext(batches)) for _ in range(3)] == [["1"], ["2"], ["3"]]


async def test_no_batch_is_empty():
    """Two tasks wait for one batch: who comes second waits for the next message."""
    async with consuming() as (consumer, receiver):
        got: list[list[str | None]] = []

        async def work() -> None:
            got.append(ids(await anext(consumer.batches(max_messages=9, max_wait=0.02))))

        async with asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(work()) for _ in range(2)]
            await held(receiver, "1")
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            assert got == [["1"]]
            receiver.give("2")
        assert got == [["1"], ["2"]]


async def test_what_is_lost_while_a_batch_waits_is_not_in_it():
    """It waits on for another first message, and is never empty."""
    async with consuming() as (consumer, receiver):
        one = arrival("1")
        receiver.give(one)
        waiting = asyncio.create_task(
            anext(consumer.batches(max_messages=9, max_wait=0.02))  # type: ignore[arg-type]
        )
        await receiver.until(lambda: not receiver._given)
        await asyncio.sleep(0)
        receiver.lost([one], 0.0)
        with anyio.move_on_after(0.05):
            await asyncio.shield(waiting)
        assert not waiting.done()
        receiver.give("2")
        with anyio.fail_after(2):
            assert ids(await waiting) == ["2"]


async def test_a_cancelled_wait_leaves_what_was_there():
    """The next call gets it."""
    async with consuming() as (consumer, receiver):
        await held(receiver, "1")
        batches: Batches = consumer.batches(max_messages=2, max_wait=60)
        with anyio.move_on_after(0.01):
            await anext(batches)
        receiver.give("2")
        with anyio.fail_after(2):
            assert ids(await anext(batches)) == ["1", "2"]


async def test_the_end_of_the_consumer_is_raised():
    """An error of the transport comes out of the iteration."""
    async with consuming() as (consumer, receiver):
        batches = consumer.batches(max_messages=2, max_wait=60)
        await held(receiver, "1")
        receiver.give(TransportError("gone"))
        with anyio.fail_after(2), pytest.raises(TransportError, match="gone"):
            await anext(batches)


@pytest.mark.parametrize(
    "limits", [(0, 1.0, None), (1, -1.0, None), (1, 1.0, 0), (1, 1.0, -5)], ids=str
)
def test_limits_out_of_range_are_refused(limits):
    """No messages, no bytes or a negative wait are UsageErrors."""
    with pytest.raises(UsageError, match="at least one message and byte"):
        BatchLimits(*limits)


async def test_limits_know_what_is_there():
    """Nothing there: no time to wait is known; later it is, and shrinks."""
    async with consuming() as (consumer, receiver):
        limits, subscription = BatchLimits(2, 10.0), consumer._subscription
        assert limits.missing_time(subscription) is None
        assert not limits.is_reached(subscription)
        await held(receiver, "1")
        assert 9 < limits.missing_time(subscription) <= 10
        await held(receiver, "2")
        assert limits.is_reached(subscription)
