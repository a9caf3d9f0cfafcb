"""Receiving: one call at a time, as long as there is room, whatever the transport does."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from linkbus import TransportError
from linkbus._receiving import MAX_WAIT, Receiving, Taker
from tests.unit.scripted import ScriptedReceiver, ScriptedTransport, scripted

PASSING = TransportError("no broker", retryable=True)


class Basket(Taker):
    """Takes everything, up to a limit."""

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit
        self.got: list[str | None] = []
        self.failure: BaseException | None = None
        self.changed = anyio.Event()

    def space(self) -> int:
        return self.limit - len(self.got)

    async def take(self, arrivals, started: int) -> None:
        assert started > 1e18
        self.got += [one.id for one in arrivals]
        self.changed.set()

    def fail(self, error: BaseException) -> None:
        self.failure = error
        self.changed.set()


def parts(limit: int = 100) -> tuple[ScriptedReceiver, Basket, Receiving]:
    """Return a receiver, who takes what it brings, and what is between them."""
    receiver = ScriptedReceiver(ScriptedTransport(), 1, lambda *_: None)
    basket = Basket(limit)
    return receiver, basket, Receiving(receiver, "orders", basket)


async def test_it_receives_while_there_is_room():
    """It stops asking when there is none, and goes on when told."""
    receiver, basket, receiving = parts(limit=2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiving.run)
        receiver.give("1", "2", "3")
        await receiver.until(lambda: len(receiver._given) == 1)
        receiving.go_on()
        await asyncio.sleep(0)
        assert basket.got == ["1", "2"]
        assert receiver.asked == [2]
        basket.limit = 5
        receiving.go_on()
        await receiver.until(lambda: len(receiver.asked) == 3)
        assert basket.got == ["1", "2", "3"]
        assert receiver.asked == [2, 3, 2]
        receiving.stop(cancel=True)
        await receiving.aclose()
    assert MAX_WAIT == 5.0


async def test_a_failure_that_may_pass_is_waited_out(caplog):
    """It is logged, and the same receiver is asked again."""
    receiver, basket, receiving = parts()
    receiver.give(PASSING, PASSING, "1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiving.run)
        await receiver.until(lambda: len(receiver.asked) == 4)
        receiving.stop(cancel=True)
    assert basket.got == ["1"]
    assert basket.failure is None
    assert caplog.text.count("receiving from 'orders' failed, trying again: no broker") == 2


async def test_stopping_ends_the_wait_after_a_failure():
    """Who stops while it waits to ask again does not wait for that."""
    receiver, basket, receiving = parts()
    receiver.give(*[PASSING] * 50)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiving.run)
        await receiver.until(lambda: len(receiver.asked) == 3)
        receiving.stop(cancel=False)
        await receiving.aclose()
    assert len(receiver.asked) == 3
    assert basket.failure is None


@pytest.mark.parametrize("error", [TransportError("gone"), ValueError("bug")])
async def test_another_failure_ends_it(error: Exception):
    """An error that is not retryable, or not of a transport, is given to the taker."""
    receiver, basket, receiving = parts()
    receiver.give(error)
    with anyio.fail_after(2):
        await receiving.run()
    assert basket.failure is error


async def test_a_cancellation_that_nobody_asked_for_ends_it_as_a_failure():
    """A client that lets out the end of its own task does not cancel the consumer's."""
    receiver, basket, receiving = parts()
    receiver.give(asyncio.CancelledError())
    with anyio.fail_after(2):
        await receiving.run()
    assert "receiving let out a cancellation" in str(basket.failure)


async def test_a_cancellation_that_was_asked_for_passes_through():
    """When the event loop ends all tasks, this one ends too, and fails nothing."""
    receiver, basket, receiving = parts()
    task = asyncio.create_task(receiving.run())
    await receiver.until(lambda: receiver.is_receiving)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert basket.failure is None


async def test_a_receive_that_returns_empty_at_once_starves_nobody():
    """Though it never waits, other tasks run between its calls."""
    receiver, basket, receiving = parts()
    receiver.is_hasty = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiving.run)
        with anyio.fail_after(2):
            for _ in range(20):
                await asyncio.sleep(0)
        receiver.give("1")
        with anyio.fail_after(2):
            await basket.changed.wait()
        receiving.stop(cancel=True)
    assert basket.got == ["1"]


async def test_an_empty_receive_that_took_its_time_is_followed_by_another():
    """Nothing within the wait is no failure, and no reason to pause."""
    receiver, basket, receiving = parts()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiving.run)
        with anyio.move_on_after(0.005):
            await receiver.until(lambda: len(receiver.asked) == 2)
        receiver.give_nothing()
        await receiver.until(lambda: len(receiver.asked) == 2)
        receiver.give("1")
        await receiver.until(lambda: len(receiver.asked) == 3)
        receiving.stop(cancel=True)
    assert basket.got == ["1"]


async def test_a_receive_that_may_not_be_cancelled_is_left_to_end():
    """What it brings after the stop is given to the taker, and no further call is made."""
    receiver, basket, receiving = parts()
    receiver.gate = anyio.Event()
    receiver.give("1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiving.run)
        await receiver.until(lambda: receiver.is_receiving)
        receiving.stop(cancel=False)
        receiver.gate.set()
        await receiving.aclose()
    assert basket.got == ["1"]
    assert len(receiver.asked) == 1


async def test_closing_waits_for_the_call_under_way_and_then_cancels_it():
    """A receive that does not heed its receiver's `aclose` is cancelled in the end."""
    receiver, _, receiving = parts()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiving.run)
        await receiver.until(lambda: receiver.is_receiving)
        receiving.stop(cancel=False)
        with anyio.move_on_after(0.01):
            await receiving.aclose()
        await receiver.until(lambda: not receiver.is_receiving)


async def test_late_arrivals_of_a_consumer_are_released():
    """On a transport that is not cancel-safe a message received too late goes back."""
    async with scripted() as (bus, transport), bus.consumer("orders") as consumer:
        receiver = transport.receiver
        receiver.gate = anyio.Event()
        receiver.give("1")
        await receiver.until(lambda: receiver.is_receiving)
        consumer._subscription.stop_receiving()
        receiver.gate.set()
        await receiver.until(lambda: receiver.settled)
    assert receiver.outcomes == [("1", "release")]
