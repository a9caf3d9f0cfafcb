"""Deadlines of many calls: each cancels what is waited for, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from linkbus.transports._deadlines import Deadlines


async def test_what_ends_in_time_is_left_alone() -> None:
    """Errors pass, and what comes after the block is not cancelled."""
    deadlines = Deadlines(0.01)
    with deadlines.limit():
        pass
    with pytest.raises(KeyError), deadlines.limit():
        raise KeyError
    await asyncio.sleep(0.03)  # the deadline passes after its block: nothing may happen
    with deadlines.limit():
        pass
    deadlines.close()


async def test_what_takes_too_long_is_a_timeout() -> None:
    """Each call at its own time, and its task can go on as before."""
    deadlines = Deadlines(0.05)
    loop = asyncio.get_running_loop()

    async def wait() -> float:
        began = loop.time()
        with pytest.raises(TimeoutError), deadlines.limit():
            await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return loop.time() - began

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(wait())
        with deadlines.limit():
            await asyncio.sleep(0.02)  # so that the two deadlines differ
        second = tasks.create_task(wait())
    assert min(first.result(), second.result()) > 0.045
    deadlines.close()


async def test_a_cancellation_from_outside_passes() -> None:
    """Alone, and together with the deadline."""
    for seconds in (10.0, 0.0):
        deadlines = Deadlines(seconds)

        async def wait(deadlines: Deadlines = deadlines) -> None:
            with deadlines.limit():
                task = asyncio.current_task()
                assert task is not None
                asyncio.get_running_loop().call_later(0.0, task.cancel)
                await asyncio.Event().wait()

        waiting = asyncio.create_task(wait())
        with pytest.raises(asyncio.CancelledError):
            await waiting
        deadlines.close()


def test_it_needs_a_task() -> None:
    """Without one there is nothing to cancel."""
    loop = asyncio.new_event_loop()
    raised: list[BaseException] = []

    def limit() -> None:
        with pytest.raises(RuntimeError) as error:
            Deadlines(1.0).limit()
        raised.append(error.value)

    loop.call_soon(limit)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert len(raised) == 1
