"""Bell: wakes all that wait, and remembers nothing."""

from __future__ import annotations

import anyio
import pytest

from linkbus._bell import Bell


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_ring_wakes_all_that_wait(backend: str):
    """Every waiter of that moment, on every event loop."""
    anyio.run(_rings, backend=backend)


async def _rings() -> None:
    bell, woken, waiting = Bell(), [], anyio.Event()

    async def wait(number: int) -> None:
        if number == 1:
            waiting.set()
        await bell.wait()
        woken.append(number)

    with anyio.fail_after(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, 0)
            tasks.start_soon(wait, 1)
            await waiting.wait()
            await anyio.lowlevel.checkpoint()
            bell.ring()
    assert sorted(woken) == [0, 1]


async def test_a_ring_that_nobody_waits_for_is_forgotten():
    """Who waits later waits for the next one."""
    bell = Bell()
    bell.ring()
    with anyio.move_on_after(0.01) as scope:
        await bell.wait()
    assert scope.cancelled_caught
