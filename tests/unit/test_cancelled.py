"""Telling cancellations that were asked for from those that were let out."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from linkbus._cancelled import UnaskedCancellation, failure
from linkbus._tracing._operation import error_type


async def test_an_exception_is_a_failure():
    """As it is."""
    error = ValueError("no")
    assert failure(error, "the handler") is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
async def test_what_ends_a_program_is_no_failure(error: BaseException):
    """It goes on."""
    assert failure(error, "the handler") is None


async def test_a_cancellation_that_nobody_asked_for_is_a_failure():
    """It comes from something awaited; the error names the culprit and keeps the cause."""
    awaited = asyncio.get_running_loop().create_future()
    awaited.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await awaited
    found = failure(raised.value, "the handler")
    assert isinstance(found, UnaskedCancellation)
    assert found.__cause__ is raised.value
    assert "the handler let out a cancellation" in str(found)
    assert error_type(found) == "RuntimeError"


async def test_a_cancelled_task_s_cancellation_goes_on():
    """Cancelled natively or by a scope, it is no failure."""
    found: list[Exception | None] = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError as error:
            found.append(failure(error, "the handler"))
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    with anyio.move_on_after(0.01):
        await work()
    assert found == [None, None]


async def test_after_a_scope_within_the_task_is_not_cancelled():
    """A timeout that is over leaves nothing behind that would hide a later failure."""
    with anyio.move_on_after(0.001):
        await anyio.sleep_forever()
    assert failure(asyncio.CancelledError(), "it") is not None


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ValueError()])
def test_on_another_event_loop_asyncio_s_cancellation_is_a_failure(error: BaseException):
    """Nobody there can have asked for it; trio's own passes."""

    async def look() -> None:
        assert failure(error, "it") is not None
        with anyio.move_on_after(0):
            try:
                await anyio.sleep_forever()
            except BaseException as cancelled:
                passed.append(failure(cancelled, "it"))
                raise

    passed: list[Exception | None] = []
    anyio.run(look, backend="trio")
    assert passed == [None]
