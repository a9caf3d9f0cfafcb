"""Runs one check in an event loop of its own, with a time limit, and looks for leaks."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from linkbus.testing._check import Check
from linkbus.testing._harness import TransportHarness
from linkbus.testing._leaks import find_leaked_tasks, noticing, running_tasks
from linkbus.testing._trial import Skipped, Trial

TIME_LIMIT = 15.0


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
        time_limit: Seconds that the check may take.

    Raises:
        AssertionError: The transport does not do what the check's title says.
        Skipped: The check does not apply; the reason names the capability.
    """
    with noticing() as found:
        anyio.run(_run, check, harness, time_limit, backend=backend)
    assert not found, "left behind, unseen: " + "; ".join(found)


async def _run(check: Check, harness: TransportHarness, time_limit: float) -> None:
    why_not = check.lacking(harness.transport().capabilities, harness)
    if why_not is not None:
        raise Skipped(why_not)
    before = running_tasks()
    with _limited(time_limit):
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


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    steps = [frame for frame in frames if "_checks" in frame.filename] or list(frames)
    return f"{steps[-1].line} (line {steps[-1].lineno} of {steps[-1].filename})"
