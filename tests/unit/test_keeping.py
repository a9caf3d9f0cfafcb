"""Keeper: leases are reviewed when they are due, and what is not wanted goes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from linkbus import Delivery, TransportError
from linkbus._keeping import Keeper
from linkbus._leases import Leases
from tests.unit.scripted import ScriptedReceiver, Watch, arrival, scripted


class Case:
    """A keeper, and what it did."""

    def __init__(self, receiver: ScriptedReceiver, deliveries: list[Delivery]) -> None:
        self.receiver = receiver
        self.deliveries = deliveries
        self.released: list[str | None] = []
        self.failures: list[Exception] = []
        self.watch = Watch()
        self.gate: anyio.Event | None = None
        held = {delivery._arrival: delivery for delivery in deliveries}
        self.leases = Leases(receiver, held, lambda _: None, extendable=True)
        self.keeper = Keeper(self.leases, self.release, self.fail)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        self.released += [delivery.id for delivery in deliveries]
        self.watch.changed()
        if deliveries and self.gate is not None:
            await self.gate.wait()

    def fail(self, error: Exception) -> None:
        self.failures.append(error)


@asynccontextmanager
async def keeping(**leases: float | None) -> AsyncIterator[tuple[Case, asyncio.Task[None]]]:
    """Run a keeper of deliveries with these leases."""
    async with scripted() as (bus, transport):
        holder = bus.consumer("orders")._subscribe(1)
        given = [Delivery(arrival(mid, lease=lease), holder) for mid, lease in leases.items()]
        it = Case(ScriptedReceiver(transport, 1, lambda *_: None), given)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(it.keeper.run())
            yield it, task
            it.keeper.stop()


async def test_leases_are_extended_when_they_are_due():
    """New ones are heeded when it is told to look again."""
    async with keeping(a1=0.04) as (it, _):
        await asyncio.sleep(0)
        it.leases.note(it.deliveries, anyio.current_time())
        it.keeper.go_on()
        await it.receiver.until(lambda: len(it.receiver.extended) == 2)
    assert it.failures == []


async def test_what_is_not_wanted_is_released():
    """Together; what comes meanwhile is released after it, without another call."""
    async with keeping(a1=None, b1=None, c1=None) as (it, _):
        it.gate = anyio.Event()
        it.keeper.give_back(it.deliveries[0])
        it.keeper.give_back(it.deliveries[1])
        it.keeper.go_on()
        await it.watch.until(lambda: it.released == ["a1", "b1"])
        it.keeper.give_back(it.deliveries[2])
        it.gate.set()
        await it.watch.until(lambda: it.released == ["a1", "b1", "c1"])


@pytest.mark.parametrize(
    "error", [TransportError("gone"), ValueError("bug"), asyncio.CancelledError()], ids=repr
)
async def test_a_failure_ends_it(error: BaseException):
    """What does not pass, and a cancellation that nobody asked for, are told once."""
    async with keeping(a1=0.02) as (it, task):
        it.receiver.extends.append(error)
        it.leases.note(it.deliveries, anyio.current_time())
        await task
        assert len(it.failures) == 1
        assert error in {it.failures[0], it.failures[0].__cause__}


async def test_stopping_cancels_the_call_under_way():
    """And nothing follows it."""
    async with keeping(a1=30.0) as (it, task):
        it.receiver.extends.append(anyio.Event())
        it.leases.note(it.deliveries, anyio.current_time() - 20)
        await it.receiver.until(lambda: it.receiver.extended)
        it.keeper.stop()
        await task
    assert it.failures == []


async def test_cancelling_everything_ends_it():
    """The cancellation of its task goes on."""
    async with keeping(a1=30.0) as (it, task):
        it.receiver.extends.append(anyio.Event())
        it.leases.note(it.deliveries, anyio.current_time() - 20)
        await it.receiver.until(lambda: it.receiver.extended)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    assert it.failures == []
