"""The task that receives: one call at a time, as long as there is room."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from time import monotonic, time_ns

import anyio

from linkbus._backoff import Backoff
from linkbus._bell import Bell
from linkbus._cancelled import failure
from linkbus._errors import TransportError
from linkbus._seam import Arrival
from linkbus._tracing._suppressing import Alone
from linkbus.abc import Receiver

logger = logging.getLogger("linkbus")

MAX_WAIT = 5.0
"""Seconds that one `receive` may wait, by the contract."""
_AT_ONCE = 0.001
"""Seconds: an empty `receive` that took less did not wait."""
_BREATH = 0.002
"""Seconds before the next call after such a one."""


class Taker(ABC):
    """Who takes what is received."""

    @abstractmethod
    def space(self) -> int:
        """Return how many to receive now; 0: none until `go_on`."""

    @abstractmethod
    async def take(self, arrivals: Sequence[Arrival], started: int) -> None:
        """Take what was received by a call that began at `started`, in ns since the epoch."""

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Take note that nothing will be received any more."""


class Receiving:
    """Receives from one receiver until it is stopped or fails.

    Args:
        receiver: The transport's.
        source: For the log.
        taker: Says how many to receive, and takes them.
    """

    def __init__(self, receiver: Receiver, source: str, taker: Taker) -> None:
        self._receiver = receiver
        self._source = source
        self._taker = taker
        self._scope = anyio.CancelScope(shield=True)
        self._room = Bell()
        self._ended = anyio.Event()
        self._is_stopping = False

    def go_on(self) -> None:
        """Look again whether there is space."""
        self._room.ring()

    def stop(self, *, cancel: bool) -> None:
        """Make no further call.

        Args:
            cancel: Cancel the call under way. Else it ends by itself, and what it brings
                is given to the taker.
        """
        self._is_stopping = True
        self._room.ring()
        if cancel:
            self._scope.cancel()

    async def aclose(self) -> None:
        """Wait for the call under way, which the receiver's `aclose` has ended."""
        try:
            with anyio.move_on_after(MAX_WAIT):
                await self._ended.wait()
        finally:
            self._scope.cancel()

    async def run(self) -> None:
        """Receive; the body of the task."""
        try:
            with Alone(), self._scope:
                while not self._is_stopping:
                    space = self._taker.space()
                    if space > 0:
                        await self._receive(space)
                    else:
                        await self._room.wait()
        except BaseException as error:
            failed = failure(error, "receiving")
            if failed is None:
                raise
            self._taker.fail(failed)  # it ends the consumer, which raises it
        finally:
            self._ended.set()

    async def _receive(self, most: int) -> None:
        """Receive once; a failure that may pass is waited out."""
        backoff = Backoff()
        while not self._is_stopping:
            asked, started = monotonic(), time_ns()
            try:
                arrivals = await self._receiver.receive(most, MAX_WAIT)
            except TransportError as error:
                if not error.retryable:
                    raise
                logger.warning("receiving from %r failed, trying again: %s", self._source, error)
                with anyio.move_on_after(backoff.next()):
                    await self._room.wait()
                continue
            if arrivals:
                await self._taker.take(arrivals, started)
            elif monotonic() - asked < _AT_ONCE:
                await anyio.sleep(_BREATH)  # an early empty return is fine, a busy loop is not
            return
