"""Telling a cancellation that somebody asked for from one that a library let out by itself."""

from __future__ import annotations

import asyncio


class UnaskedCancellation(RuntimeError):  # noqa: N818 - what it is, not that it is an error
    """A cancellation came out of code that nobody had cancelled.

    asyncio uses one exception for "you are cancelled" and "what you await was cancelled".
    The second is a failure like others, and must not end what it happens in.
    """


def failure(error: BaseException, culprit: str) -> Exception | None:
    """Return the failure that an error is; None for what must go on as it is.

    Args:
        error: What `culprit` raised, in the task that runs now.
        culprit: For the message.
    """
    if isinstance(error, Exception):
        return error
    if not isinstance(error, asyncio.CancelledError) or _is_being_cancelled():
        return None
    msg = f"{culprit} let out a cancellation that nobody asked for: something it awaits was ended"
    unasked = UnaskedCancellation(msg)
    unasked.__cause__ = error
    return unasked


def _is_being_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # another event loop, which never raises asyncio's exception
        return False
    return task is not None and task.cancelling() > 0
