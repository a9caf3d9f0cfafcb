"""A cancellation that nobody asked for."""

from __future__ import annotations

import asyncio

from linkbus.transports.rabbitmq._cancelling import Cancelling


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
