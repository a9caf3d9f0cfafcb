"""Consumer: receives messages of one source, in pull and push styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import time_ns
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from linkbus._batching import Batches, BatchLimits
from linkbus._delivery import Delivery
from linkbus._errors import UsageError
from linkbus._handling import BatchHandler, Handler, Handling
from linkbus._retry import RetryPolicy
from linkbus._subscription import Subscription
from linkbus._tracing._suppressing import Alone
from linkbus._workers import Workers

MIN_PREFETCH = 100
"""Deliveries that wait to be given, where the application does not say how many."""


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """What an application sets for one consumer.

    Raises:
        UsageError: A number is out of its range.
    """

    concurrency: int
    prefetch: int | None
    retry: RetryPolicy | None
    drain_timeout: float

    def __post_init__(self) -> None:
        is_too_small = self.prefetch is not None and self.prefetch < 1
        if self.concurrency < 1 or is_too_small or self.drain_timeout < 0:
            msg = (
                f"concurrency={self.concurrency}, prefetch={self.prefetch}, drain_timeout="
                f"{self.drain_timeout}: the first two are at least 1, the last at least 0"
            )
            raise UsageError(msg)

    def prefetched(self, at_least: int = 1) -> int:
        """Return how many deliveries may wait."""
        return max(self.prefetch or max(MIN_PREFETCH, 2 * self.concurrency), at_least)


class Consumer:
    """Receives messages of one source, as one member of a group; made by `Bus.consumer`.

    Pull: `async with consumer`, then `async for delivery in consumer`, `receive` or
    `batches`. Push: `run` or `run_batches`, which also enter by themselves. It is entered
    once. Entering returns when the group exists: what is sent after that arrives.
    Leaving releases what was not settled; it is entered and left in one task, as every
    block that has tasks of its own.

    The pull styles may be used by several tasks at once. Waiting for messages may be
    cancelled at any time, and nothing is lost by it.

    Attributes:
        source: Where it receives from, in the broker's own spelling.
        group: Whom it shares the work with.
    """

    def __init__(
        self,
        source: str,
        group: str,
        subscribe: Callable[[int], Subscription],
        options: ConsumerOptions,
    ) -> None:
        self.source = source
        self.group = group
        self._subscribe = subscribe
        self._options = options
        self._prefetch = options.prefetched()
        self._subscription: Subscription | None = None
        self._tasks: TaskGroup | None = None
        self._is_running = False

    async def __aenter__(self) -> Self:
        await self._enter(self._options.prefetched())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is None or self._subscription is None:
            return
        try:
            with anyio.CancelScope(shield=True), Alone():
                await self._subscription.aclose()
        finally:
            await tasks.__aexit__(None, None, None)

    def __aiter__(self) -> Self:
        self._opened()
        return self

    async def __anext__(self) -> Delivery:
        """Return the next delivery, when there is one.

        Raises:
            TransportError: The transport cannot go on.
            UsageError: The consumer is not open.
        """
        subscription = self._pulling()
        while (delivery := subscription.give()) is None:
            await subscription.wait_for(1)
        return delivery

    async def receive(
        self, max_messages: int = 1, *, timeout: float | None = None
    ) -> list[Delivery]:
        """Return the next deliveries, waiting for the first of them.

        Makes one receive span, linked to every message; none for an empty return. Each
        delivery is settled by itself.

        Args:
            max_messages: The most to return, up to `prefetch`.
            timeout: Seconds to wait, then return an empty list. None: for ever.

        Raises:
            TransportError: The transport cannot go on.
            UsageError: The consumer is not open, or `max_messages` is above `prefetch`.
        """
        self._check_prefetch(max_messages)
        subscription = self._pulling()
        subscription.traces_receives = False  # this call is the receive, not the polls behind it
        started = time_ns()
        if not subscription.has(1):
            with anyio.move_on_after(timeout):
                await subscription.wait_for(1)
        deliveries = subscription.give_many(max_messages)
        if deliveries:
            subscription.tracer.received(deliveries, started)
        return deliveries

    def batches(
        self, *, max_messages: int, max_wait: float, max_bytes: int | None = None
    ) -> Batches:
        """Return an iterator over batches, none of them empty.

        A batch is given when it has `max_messages` or `max_bytes`, or `max_wait` after its
        first message was received.

        Args:
            max_messages: The most deliveries in a batch, up to `prefetch`.
            max_wait: Seconds.
            max_bytes: The most bytes of bodies in a batch; a larger message comes alone.

        Raises:
            UsageError: The consumer is not open, a limit is out of its range, or
                `max_messages` is above `prefetch`.
        """
        limits = BatchLimits(max_messages, max_wait, max_bytes)
        self._check_prefetch(max_messages)
        return Batches(self._pulling(), limits)

    async def run(self, handler: Handler) -> None:
        """Call a handler with each delivery, until cancelled; then drain.

        Each call is a trace of its own, linked to where the message was made. On return
        the delivery is acknowledged. An exception is for the retry policy, then for the
        dead letters; where there are none, `run` ends. Up to `concurrency` calls run at
        once, those of one key one after the other.

        Cancelled, it receives no more, lets the handlers end for `drain_timeout` seconds,
        cancels those that have not, releases what is not done, and leaves the group. A
        second cancellation of the task cancels the handlers at once.

        Raises:
            DeliveryError: The handler cannot take a message, and nor can anything else.
            TransportError: The transport cannot go on.
            UsageError: The bus is not open, or the consumer was used before.
        """
        await self._push(None, handler=handler)

    async def run_batches(
        self, handler: BatchHandler, *, max_messages: int, max_wait: float
    ) -> None:
        """Call a handler with each batch, until cancelled; then drain. Else as `run`.

        What the handler did not settle by itself is acknowledged when it returns, and
        retried, dead-lettered or rejected together when it raises. A key is in one batch
        at a time. `prefetch` is raised to `max_messages`.

        Args:
            handler: Called with each batch.
            max_messages: The most deliveries in a batch.
            max_wait: Seconds, counted from the receipt of its first message.
        """
        limits = BatchLimits(max_messages, max_wait)
        await self._push(limits, batch_handler=handler)

    async def _push(
        self,
        limits: BatchLimits | None,
        *,
        handler: Handler | None = None,
        batch_handler: BatchHandler | None = None,
    ) -> None:
        at_least = 1 if limits is None else limits.max_messages
        if self._subscription is not None:
            await self._work(limits, at_least, handler, batch_handler)
        else:
            await self._enter(self._options.prefetched(at_least))
            try:
                await self._work(limits, at_least, handler, batch_handler)
            finally:
                await self.__aexit__(None, None, None)

    async def _work(
        self,
        limits: BatchLimits | None,
        at_least: int,
        handler: Handler | None,
        batch_handler: BatchHandler | None,
    ) -> None:
        self._check_prefetch(at_least)
        subscription, tasks = self._idle()
        self._is_running = True
        options = self._options
        handling = Handling(
            subscription, handler=handler, batch_handler=batch_handler, retry=options.retry
        )
        workers = Workers(
            subscription,
            handling,
            concurrency=options.concurrency,
            limits=limits,
            drain_timeout=options.drain_timeout,
        )
        await workers.run(tasks)

    async def _enter(self, prefetch: int) -> None:
        if self._subscription is not None:
            msg = f"the consumer of {self.source!r} was entered before: make a new one"
            raise UsageError(msg)
        self._subscription = subscription = self._subscribe(prefetch)
        try:
            with Alone():
                await subscription.open()
        except BaseException:  # cancelled, too
            self._subscription = None  # it may be entered again
            raise
        self._prefetch = prefetch
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks = tasks
        subscription.start(tasks)

    def _opened(self) -> tuple[Subscription, TaskGroup]:
        subscription, tasks = self._subscription, self._tasks
        if subscription is not None:
            subscription.check_open()
            if tasks is not None:
                return subscription, tasks
        msg = f"the consumer of {self.source!r} is not open: use it inside `async with`"
        raise UsageError(msg)

    def _idle(self) -> tuple[Subscription, TaskGroup]:
        opened = self._opened()
        if self._is_running:
            msg = f"the consumer of {self.source!r} runs a handler, and gives nothing else"
            raise UsageError(msg)
        return opened

    def _pulling(self) -> Subscription:
        return self._idle()[0]

    def _check_prefetch(self, max_messages: int) -> None:
        if not 1 <= max_messages <= self._prefetch:
            msg = (
                f"max_messages={max_messages} is not between 1 and prefetch={self._prefetch}: "
                "give the consumer a larger prefetch"
            )
            raise UsageError(msg)
