"""The push style: workers that call a handler until cancelled, then drain."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import count
from time import monotonic

import anyio
from anyio import get_cancelled_exc_class
from anyio.abc import TaskGroup

from linkbus._batching import BatchLimits
from linkbus._bell import Bell
from linkbus._cancelled import failure
from linkbus._delivery import Delivery
from linkbus._handling import Handling, Unit
from linkbus._subscription import Subscription
from linkbus._tracing._placing import leave_ambient


class Workers:
    """Up to `concurrency` tasks that take units of work, and one that times retries.

    A worker is started when there is work for it, and lives on: a message makes no task
    and no cancel scope. Each worker is shielded, so that the cancellation of `run` does not
    reach a handler before the time to drain is over.

    Args:
        subscription: Gives the deliveries.
        handling: Attempts them.
        concurrency: The most handlers at once.
        limits: Those of a batch; None: one delivery at a time.
        drain_timeout: Seconds that handlers may take to end.
    """

    def __init__(
        self,
        subscription: Subscription,
        handling: Handling,
        *,
        concurrency: int,
        limits: BatchLimits | None,
        drain_timeout: float,
    ) -> None:
        self._subscription = subscription
        self._handling = handling
        self._concurrency = concurrency
        self._limits = limits
        self._drain_timeout = drain_timeout
        self._idle: deque[anyio.Event] = deque()
        self._running: dict[anyio.CancelScope, Unit] = {}
        self._count = 0
        self._again: deque[Unit] = deque()
        self._waiting: list[tuple[float, int, Unit]] = []
        self._order = count()
        self._alarm = Bell()
        self._ended = Bell()
        self._over = Bell()
        self._timing = anyio.CancelScope(shield=True)
        self._is_stopping = False

    async def run(self, tasks: TaskGroup) -> None:
        """Work until cancelled or failed, then drain.

        Raises:
            LinkbusError: The transport or a message ended it.
        """
        self._tasks = tasks
        subscription = self._subscription
        subscription.buffer.order_keys()
        subscription.on_arrival = self._wake
        subscription.on_lost = self._lose
        if self._limits is not None:
            subscription.want(self._limits.max_messages)
        tasks.start_soon(self._time, name=f"linkbus retry {subscription.source}")
        self._wake()
        try:
            while subscription.failure is None:
                await self._over.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._drain()
        raise subscription.failure

    # Working

    async def _work(self) -> None:
        scope = anyio.CancelScope(shield=True)
        try:
            with scope:
                while not scope.cancel_called and (unit := await self._next()) is not None:
                    await self._attempt(unit, scope)
        finally:
            self._count -= 1
            self._ended.ring()
            self._wake()

    async def _attempt(self, unit: Unit, scope: anyio.CancelScope) -> None:
        keys = unit.keys()
        delay: float | None = None
        self._running[scope] = unit
        leave_ambient()  # where `run` was called, or what the handler before left behind
        try:
            delay = await self._handling.attempt(unit)
        except BaseException as error:
            failed = failure(error, "settling")
            if failed is None:
                raise
            self._subscription.fail(failed)  # it ends `run`, which raises it
        finally:
            del self._running[scope]
            if delay is None:
                self._subscription.buffer.done(keys)
            else:
                self._subscription.buffer.done(keys - unit.keys())
                heappush(self._waiting, (monotonic() + delay, next(self._order), unit))
                self._alarm.ring()
            if self._limits is not None:  # a batch may have kept back work for several
                self._wake()

    async def _next(self) -> Unit | None:
        """Return the next unit of work, or None when there will be no more."""
        while not self._is_stopping and self._subscription.failure is None:
            if self._again:
                unit = self._again.popleft()
                if self._forget_lost(unit):
                    return unit
                continue
            given, patience = self._given()
            if given:
                return Unit(given)
            event = anyio.Event()
            self._idle.append(event)
            if patience is None:
                await event.wait()
            else:
                with anyio.move_on_after(patience):
                    await event.wait()
                if not event.is_set():
                    self._idle.remove(event)
        return None

    def _given(self) -> tuple[list[Delivery], float | None]:
        """Return what there is to work on; else how many seconds to wait, None: for ever."""
        subscription, limits = self._subscription, self._limits
        if limits is None:
            delivery = subscription.give()
            return ([] if delivery is None else [delivery]), None
        patience = limits.missing_time(subscription)
        if limits.is_reached(subscription) or (patience is not None and patience <= 0):
            given = subscription.give_many(limits.max_messages, limits.max_bytes)
            subscription.want(limits.max_messages)
            return given, None
        return [], patience

    def _wake(self) -> None:
        """Wake as many workers as there is work for, or all of them to end."""
        if self._is_stopping or self._subscription.failure is not None:
            self._over.ring()
            while self._idle:
                self._idle.popleft().set()
            return
        ready = len(self._again) + self._subscription.buffer.available
        while ready > 0 and self._idle:
            self._idle.popleft().set()
            ready -= 1
        while ready > 0 and self._count < self._concurrency:
            self._count += 1
            self._tasks.start_soon(self._work, name=f"linkbus work {self._subscription.source}")
            ready -= 1

    def _lose(self, delivery: Delivery) -> None:
        """Cancel the handler of a delivery that is not ours any more, if one runs."""
        for scope, unit in self._running.items():
            if delivery in unit.deliveries:
                scope.cancel()

    # Retrying

    async def _time(self) -> None:
        with self._timing:
            while True:
                now = monotonic()
                while self._waiting and self._waiting[0][0] <= now:
                    self._bring_back(heappop(self._waiting)[2])
                left = self._waiting[0][0] - now if self._waiting else None
                with anyio.move_on_after(left):
                    await self._alarm.wait()

    def _bring_back(self, unit: Unit) -> None:
        """Make a unit ready for its next attempt."""
        if self._forget_lost(unit):
            self._again.append(unit)
        self._wake()

    def _forget_lost(self, unit: Unit) -> bool:
        """Take out of a unit what was lost since its attempt; False if nothing is left."""
        keys = unit.keys()
        unit.deliveries = [d for d in unit.deliveries if not d._lost]
        self._subscription.buffer.done(keys - unit.keys())
        return bool(unit.deliveries)

    # Draining

    async def _drain(self) -> None:
        """Let the handlers end, then give back what has not started. Shielded by the caller.

        A cancellation that reaches it all the same, a second one, cancels the handlers.
        """
        self._is_stopping = self._handling.is_draining = True
        self._subscription.stop_receiving()
        self._timing.cancel()
        self._wake()
        try:
            with anyio.move_on_after(self._drain_timeout):
                await self._all_ended()
        finally:
            await self._cancel_handlers()
            self._subscription.hurry()
            for unit in [*self._again, *(waiting[2] for waiting in self._waiting)]:
                await self._subscription.release_held(unit.deliveries)
            await self._subscription.release_unstarted()

    async def _all_ended(self) -> None:
        while self._count > 0:
            await self._ended.wait()

    async def _cancel_handlers(self) -> None:
        while self._count > 0:
            for scope in self._running:
                scope.cancel()
            try:
                await self._all_ended()
            except get_cancelled_exc_class():  # the one that brought us here goes on
                continue
