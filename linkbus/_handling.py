"""One attempt at a delivery or a batch, and what follows from how it ended."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import monotonic

import anyio

from linkbus._cancelled import failure
from linkbus._dead_letter import dead_lettered_as
from linkbus._delivery import Batch, Delivery, leave, no_dead_letter, outcome_of
from linkbus._errors import DeliveryError
from linkbus._retry import Reject, Retry, RetryPolicy, shown
from linkbus._seam import Outcome
from linkbus._subscription import Subscription
from linkbus._tracing._process import Process

logger = logging.getLogger("linkbus")

_ASKED = RetryPolicy()
"""What holds for a handler that raises `Retry` where the consumer has no policy."""

Handler = Callable[[Delivery], Awaitable[None]]
BatchHandler = Callable[[Batch], Awaitable[None]]


class Unit:
    """What a handler is called with once: a delivery, or the deliveries of a batch.

    Attributes:
        deliveries: Those not settled yet, when an attempt starts.
        runs: How often the handler was called with them.
        previous: The attempt before.
    """

    __slots__ = ("deliveries", "previous", "runs")

    def __init__(self, deliveries: list[Delivery]) -> None:
        self.deliveries = deliveries
        self.runs = 0
        self.previous: Process | None = None

    def keys(self) -> set[str]:
        """Return the keys that are taken while this is worked on."""
        return {d.key for d in self.deliveries if d.key is not None}

    def unsettled(self) -> list[Delivery]:
        """Return those that the handler did not settle by hand."""
        return [d for d in self.deliveries if not d._settled]


class Handling:
    """Calls one handler, and decides by the policy what a failure means.

    Args:
        subscription: Holds the deliveries.
        handler: Called with a delivery.
        batch_handler: Called with a batch; one of the two is given.
        retry: None is one attempt.
    """

    def __init__(
        self,
        subscription: Subscription,
        *,
        handler: Handler | None = None,
        batch_handler: BatchHandler | None = None,
        retry: RetryPolicy | None,
    ) -> None:
        self._subscription = subscription
        self._handler = handler
        self._batch_handler = batch_handler
        self._retry = retry
        self.is_draining = False

    async def attempt(self, unit: Unit) -> float | None:
        """Call the handler once, trace it and settle.

        Cancelled, the deliveries are released.

        Returns:
            None: it is finished. Else the seconds after which to attempt it again.

        Raises:
            DeliveryError: Nobody can take a message; it was released.
            TransportError: The transport cannot go on.
        """
        unit.runs += 1
        given = unit.deliveries
        process = self._begin(unit)
        for delivery in given:
            delivery._process = process
        try:
            await self._call(unit)
        except BaseException as error:
            failed = failure(error, "the handler")
            if failed is not None:  # what a handler raises is for the policy
                return await self._failed(unit, process, failed)
            await leave(given, process, error)
            raise
        else:
            await leave(given, process, None)
            return None
        finally:
            is_back = False
            for delivery in given:
                delivery._process = None
                is_back = is_back or delivery._released or delivery._lost
            if is_back:
                await self._release_behind(given)

    def _begin(self, unit: Unit) -> Process:
        tracer = self._subscription.tracer
        previous = None if unit.previous is None else unit.previous.span_context
        if self._batch_handler is not None:
            return tracer.begin_batch(unit.deliveries, previous)
        return tracer.begin(unit.deliveries[0], previous)

    async def _call(self, unit: Unit) -> None:
        if self._handler is not None:
            await self._handler(unit.deliveries[0])
        elif self._batch_handler is not None:
            await self._batch_handler(Batch(unit.deliveries))

    async def _failed(self, unit: Unit, process: Process, error: Exception) -> float | None:
        """Decide what a failed attempt means, and do it."""
        left = unit.unsettled()
        if not left or any(d._lost for d in left):
            logger.error("handling %s failed", unit.deliveries, exc_info=error)
            await leave(unit.deliveries, process, error)
            if isinstance(error, DeliveryError):  # of a rejection by hand: nobody takes it
                raise error
            return None
        delay = self._delay(unit, error)
        if delay is None:
            await self._give_up(unit, left, process, error)
            return None
        if self.is_draining or not self._can_hold(left, delay):
            await self._release(unit, left, process, error, delay)
            return None
        logger.warning(
            "attempt %d at %s failed, again in %.3g s: %r", unit.runs, left, delay, error
        )
        cause, event = shown(error)
        process.finish(outcome_of(unit.deliveries, "retry"), cause, event=event)
        unit.deliveries = left
        unit.previous = process
        for delivery in left:
            delivery._process = None
            delivery.attempt += 1
        return delay

    def _delay(self, unit: Unit, error: Exception) -> float | None:
        """Return the seconds until another attempt, or None if this was the last."""
        if isinstance(error, Reject):
            return None
        if isinstance(error, Retry):
            policy = self._retry or _ASKED
            is_again = unit.runs < policy.max_attempts
            delay = policy.delay(unit.runs) if error.delay is None else error.delay
            return delay if is_again else None
        policy = self._retry or RetryPolicy(max_attempts=1)
        if isinstance(error, policy.retry_on) and unit.runs < policy.max_attempts:
            return policy.delay(unit.runs)
        return None

    def _can_hold(self, deliveries: list[Delivery], seconds: float) -> bool:
        """Whether the deliveries stay ours for so long."""
        is_extendable = self._subscription.capabilities.extendable_lease
        until = monotonic() + seconds
        return all(
            d._held_until is None or (is_extendable and not d._revoked) or d._held_until > until
            for d in deliveries
        )

    async def _release(
        self,
        unit: Unit,
        left: list[Delivery],
        process: Process,
        error: Exception,
        delay: float = 0.0,
    ) -> None:
        """Release what failed, to be tried again by whoever is given it."""
        cause, event = shown(error)
        process.finish(outcome_of(unit.deliveries, "release"), cause, event=event)
        for delivery in left:
            delivery._settled = True
        subscription = self._subscription
        later = delay if subscription.capabilities.delayed_release else 0.0
        await subscription.settle_late(left, Outcome.RELEASE, process, later)

    async def _release_behind(self, given: list[Delivery]) -> None:
        """Give back what waits behind those that come again, so that keys keep their order."""
        keys = {d.key for d in given if (d._released or d._lost) and d.key is not None}
        with anyio.CancelScope(shield=True):
            await self._subscription.release_behind(keys)

    async def _give_up(
        self, unit: Unit, left: list[Delivery], process: Process, error: Exception
    ) -> None:
        """Dead-letter or reject what the handler cannot take."""
        subscription = self._subscription
        logger.error("giving up on %s after %d attempts", left, unit.runs, exc_info=error)
        if not subscription.dead_letters.exist:
            subscription.stop_receiving()  # or what is released comes at once, again and again
            await self._release(unit, left, process, error)
            msg = f"handling {left[0]} failed for good: {no_dead_letter(left[0].source)}"
            raise DeliveryError(msg) from error
        done: list[Delivery] = []
        try:
            for delivery in left:
                outcome = await subscription.dead_letters.send(delivery, error)
                done.append(delivery)
        except BaseException as stopped:  # whatever it was, nothing must stay held
            await self._give_up_partly(unit, done, process, stopped, error)
            raise
        name = dead_lettered_as(outcome)
        cause, event = shown(error)
        process.finish(outcome_of(unit.deliveries, name), cause, event=event)
        for delivery in left:
            delivery._settled = True
        await subscription.settle_late(left, outcome, process)

    async def _give_up_partly(
        self,
        unit: Unit,
        done: list[Delivery],
        process: Process,
        stopped: BaseException,
        error: Exception,
    ) -> None:
        """Acknowledge what has its copy already, and release the rest."""
        for delivery in done:
            delivery._settled = True
            delivery._outcome = dead_lettered_as(Outcome.ACK)
        if isinstance(stopped, Exception):
            self._subscription.stop_receiving()
            await self._release(unit, unit.unsettled(), process, error)
        else:
            await leave(unit.deliveries, process, stopped)
        if done:
            with anyio.CancelScope(shield=True):
                await self._subscription.settle_late(done, Outcome.ACK, process)
