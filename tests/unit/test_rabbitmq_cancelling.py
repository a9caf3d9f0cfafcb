"""A cancellation that nobody asked for."""

from __future__ import annotations

import asyncio

import pytest

from linkbus import ConnectError
from linkbus.transports.rabbitmq._cancelling import Cancelling, shared


async def test_an_error_that_looks_like_one() -> None:
    """A library that raises `CancelledError` has cancelled nobody."""
    cancelling = Cancelling()
    future = asyncio.get_running_loop().create_future()
    future.set_exception(asyncio.CancelledError())
    try:
        await future
    except asyncio.CancelledError:
        assert not cancelling.is_real


async def test_a_real_one() -> None:
    """A task that is cancelled is, also when it was before and went on."""
    seen: list[bool] = []

    async def work() -> None:
        for _ in range(2):
            cancelling = Cancelling()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append(cancelling.is_real)

    task = asyncio.create_task(work())
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])
    assert seen == [True, True]


async def test_a_task_that_many_wait_for() -> None:
    """It goes on when one of them is cancelled, and its own end is an error for the others."""
    task = asyncio.create_task(asyncio.Event().wait())
    first, second = asyncio.create_task(shared(task)), asyncio.create_task(shared(task))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    assert not task.done()
    task.cancel()
    with pytest.raises(ConnectError, match="closed meanwhile"):
        await second
