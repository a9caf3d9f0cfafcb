"""Runs one check in an event loop of its own, with a time limit, and looks for leaks."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from linkbus import LinkbusError
from linkbus.testing._check import RESTART, Check
from linkbus.testing._harness import TransportHarness
from linkbus.testing._leaks import clear_frames, find_leaked_tasks, noticing, running_tasks
from linkbus.testing._trial import Skipped, Trial

TIME_LIMIT = 15.0
"""Seconds that a check may take."""
_WITH_FAULTS = 4
"""How many times as long it may take when it restarts the broker."""


def run_check(
    check: Check,
    harness: TransportHarness,
    *,
    backend: str = "asyncio",
    time_limit: float = TIME_LIMIT,
) -> None:
    """Run one check to its end; needs no test runner.

    Args:
        check: One of `linkbus.testing.CHECKS`.
        harness: Reaches the broker.
        backend: "asyncio" or "trio".
        time_limit: Seconds that the check may take; four times as long if it restarts
            the broker.

    Raises:
        AssertionError: The transport does not do what the check's title says.
        Skipped: The check does not apply; the reason names the capability.
    """
    with noticing() as found:
        try:
            anyio.run(_run, check, harness, limit_of(check, time_limit), backend=backend)
        except BaseException as error:
            clear_frames(error)
            raise
    assert not found, "left behind, unseen: " + "; ".join(found)


def limit_of(check: Check, time_limit: float) -> float:
    """Return the seconds that a check may take."""
    return time_limit * _WITH_FAULTS if RESTART in check.needs else time_limit


async def _run(check: Check, harness: TransportHarness, time_limit: float) -> None:
    why_not = check.lacking(harness.transport().capabilities, harness)
    if why_not is not None:
        raise Skipped(why_not)
    before = running_tasks()
    with _limited(time_limit), _findings():
        async with Trial(harness) as trial:
            await check.run(trial)
    leaked = await find_leaked_tasks(before)
    assert not leaked, leaked


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Turn a check that hangs into an `AssertionError` that says where it waited."""
    place = "nowhere known"
    with anyio.move_on_after(seconds) as scope:
        try:
            yield
        except anyio.get_cancelled_exc_class() as cancelled:
            place = _place(cancelled)
            raise
    if scope.cancel_called:
        msg = f"not finished within {seconds:g} seconds; it waited at: {place}"
        raise AssertionError(msg)


@contextmanager
def _findings() -> Iterator[None]:
    """Take errors out of the groups that tasks put around them, and say what they mean."""
    try:
        yield
    except Exception as raised:  # noqa: BLE001 - all of them are the finding
        error: Exception = raised
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, AssertionError | Skipped | LinkbusError):
            raise error from error.__cause__
        msg = f"{error!r} was raised, which linkbus.abc does not allow here"
        raise AssertionError(msg) from error


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    steps = [frame for frame in frames if "_checks" in frame.filename] or list(frames)
    return f"{steps[-1].line} (line {steps[-1].lineno} of {steps[-1].filename})"
