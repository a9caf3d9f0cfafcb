"""Delivery and Batch: messages given to the application, each to be settled once."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, overload

import anyio

from linkbus._errors import CapabilityError, SettleError, UsageError
from linkbus._message import Headers, Message
from linkbus._own_header import NAME
from linkbus._retry import shown
from linkbus._seam import Arrival, Capabilities, Outcome, SettleResult, SettleStatus
from linkbus._text import to_bytes
from linkbus._tracing._incoming import Incoming
from linkbus._tracing._process import UNPROCESSED, Process
from linkbus._tracing._processing import ConsumerTracer

logger = logging.getLogger("linkbus")


class Holder(ABC):
    """The consumer that holds deliveries, as they see it."""

    source: str
    tracer: ConsumerTracer
    capabilities: Capabilities

    @abstractmethod
    async def settle(
        self,
        deliveries: Sequence[Delivery],
        outcome: Outcome,
        *,
        delay: float = 0.0,
        process: Process | None = None,
    ) -> Sequence[SettleResult]:
        """Tell the transport one outcome of deliveries that were claimed."""

    @abstractmethod
    async def settle_late(
        self, deliveries: Sequence[Delivery], outcome: Outcome, process: Process | None
    ) -> None:
        """Settle at the end of a block: what is in vain is counted and logged."""

    @abstractmethod
    def can_reject(self) -> bool:
        """Whether a message has a place to go that nobody takes."""

    @abstractmethod
    async def reject(self, delivery: Delivery, process: Process | None) -> None:
        """Dead-letter a claimed delivery, or reject it natively."""

    @abstractmethod
    def check_open(self) -> None:
        """Raise `UsageError` if the consumer was closed."""


class Delivery(Incoming):
    """A message that the application was given, to be settled exactly once.

    `async with delivery` opens the process span, linked to where the message was made,
    acknowledges on success and releases if the block raises; or call one of `ack`,
    `release` and `reject`. What is not settled when the consumer closes is released.

    Used by one task at a time.

    Attributes:
        attempt: The broker's count of deliveries (1 where it does not count), plus the
            retries made here.
    """

    __slots__ = (
        "_given",
        "_held_until",
        "_holder",
        "_lost",
        "_outcome",
        "_process",
        "_released",
        "_revoked",
        "_settled",
        "_since",
    )

    def __init__(self, arrival: Arrival, holder: Holder) -> None:
        super().__init__(arrival, holder.tracer)
        if not holder.capabilities.counts_deliveries:
            self.attempt = 1
        self._holder = holder
        self._process: Process | None = None
        self._outcome: str | None = None
        self._settled = False
        self._lost = False
        self._given = False
        self._released = False
        self._revoked = False
        self._since = 0.0
        self._held_until: float | None = None

    @property
    def body(self) -> bytes:
        """The content."""
        return self._arrival.body

    @property
    def headers(self) -> Headers:
        """All headers that arrived, those of tracing and of linkbus included."""
        return self._arrival.headers

    @property
    def key(self) -> str | None:
        """The key, as stable text."""
        return self._arrival.key

    @property
    def key_bytes(self) -> bytes | None:
        """The key as the bytes that it stands for."""
        return None if self._arrival.key is None else to_bytes(self._arrival.key)

    @property
    def id(self) -> str | None:
        """The id it was sent with; None for a message from elsewhere that has none."""
        return self._arrival.id

    @property
    def source(self) -> str:
        """Where it was received from."""
        return self._holder.source

    @property
    def sent_at(self) -> float | None:
        """When it was sent, in seconds since the epoch, if the broker knows."""
        return self._arrival.sent_at

    @property
    def raw(self) -> object:
        """The client library's own object."""
        return self._arrival.raw

    @property
    def message(self) -> Message:
        """A message with the same body, key and headers, ready to be sent on.

        It has neither the id nor the trace headers of this one: it gets its own.
        """
        arrival = self._arrival
        kept = self._holder.tracer.strip(arrival.headers)
        if NAME in kept:
            kept = Headers.stable([pair for pair in kept.items() if pair[0] != NAME])
        return Message(arrival.body, key=arrival.key, headers=kept)

    async def ack(self) -> None:
        """Say that it is done.

        If cancelled, it counts as settled here, and the broker may give it again.

        Raises:
            SettleError: Too late, or in vain: the message may be delivered again.
            UsageError: It was settled before, or its consumer is closed.
        """
        await self._settle(Outcome.ACK)

    async def release(self, delay: float = 0.0) -> None:
        """Give it back, to be delivered again.

        If cancelled, it counts as settled here, and the broker gives it again in time.

        Args:
            delay: Seconds before that, at least 0.

        Raises:
            CapabilityError: The transport has no delays; the delivery stays unsettled.
            SettleError: Too late, or in vain: the message is delivered again anyway.
            UsageError: It was settled before, its consumer is closed, or `delay` is negative.
        """
        if not delay >= 0:
            msg = f"a release from {self.source!r} cannot be delayed by {delay} s: give 0 or more"
            raise UsageError(msg)
        if delay > 0 and not self._holder.capabilities.delayed_release:
            msg = f"a release from {self.source!r} cannot be delayed: release(0), or wait and hold"
            raise CapabilityError(msg)
        await self._settle(Outcome.RELEASE, delay)

    async def reject(self, reason: str = "") -> None:
        """Never take it again: to the consumer's `dead_letter`, or the broker's own.

        If cancelled before its copy was confirmed, it is released.

        Args:
            reason: For the log; never sent anywhere.

        Raises:
            CapabilityError: There is neither; the delivery stays unsettled.
            DeliveryError: The dead letter could not be sent; the message was released.
            SettleError: Too late, or in vain: the message may be delivered again.
            UsageError: It was settled before, or its consumer is closed.
        """
        if not self._holder.can_reject():
            raise CapabilityError(no_dead_letter(self.source))
        self._claim()
        if reason:
            logger.info("rejecting %s: %s", self, reason)
        await self._holder.reject(self, self._process)

    async def __aenter__(self) -> Self:
        self._holder.check_open()
        if self._settled:
            raise UsageError(_twice(self))
        if self._process is not None:
            msg = f"{self} is being processed already: `run` and a block both open its span"
            raise UsageError(msg)
        self._process = self._holder.tracer.begin(self, None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            await leave([self], process, error)

    def __repr__(self) -> str:
        return f"<Delivery {self.id} from {self.source!r}, attempt {self.attempt}>"

    async def _settle(self, outcome: Outcome, delay: float = 0.0) -> None:
        self._claim()
        self._outcome = outcome.value
        process = self._process
        results = await self._holder.settle([self], outcome, delay=delay, process=process)
        result = results[0]
        if result.status is not SettleStatus.OK:
            raise settle_error(self, result)

    def _claim(self) -> None:
        """Make this settlement the only one."""
        self._holder.check_open()
        if self._settled:
            raise UsageError(_twice(self))
        self._settled = True
        if self._lost:
            self._outcome = "lost"
            raise settle_error(self, SettleResult(SettleStatus.STALE))


class Batch(Sequence[Delivery]):
    """Deliveries to be worked on together, in order.

    `async with batch` opens one process span, linked to every message in it; on success
    it acknowledges those that were not settled one by one, and releases them if the
    block raises. Used by one task at a time.
    """

    __slots__ = ("_deliveries", "_is_left", "_process")

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self._deliveries = tuple(deliveries)
        self._process: Process | None = None
        self._is_left = False

    @overload
    def __getitem__(self, index: int) -> Delivery: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Delivery]: ...

    def __getitem__(self, index: int | slice) -> Delivery | Sequence[Delivery]:
        return self._deliveries[index]

    def __len__(self) -> int:
        return len(self._deliveries)

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self._deliveries)

    async def __aenter__(self) -> Self:
        first = self._deliveries[0]
        first._holder.check_open()
        if self._is_left:
            msg = f"{self} was processed already: process each batch once"
            raise UsageError(msg)
        if self._process is not None or any(d._process is not None for d in self):
            msg = f"{self} is being processed already: `run_batches` and a block both open its span"
            raise UsageError(msg)
        self._process = process = first._holder.tracer.begin_batch(self, None)
        for delivery in self:
            delivery._process = process
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        self._is_left = True
        for delivery in self:
            delivery._process = None
        if process is not None:
            await leave(self, process, error)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} from {self._deliveries[0].source!r}>"


async def leave(
    deliveries: Sequence[Delivery], process: Process, error: BaseException | None
) -> None:
    """Leave a block: end its span, then settle what was not settled by hand.

    Args:
        deliveries: Those of the block.
        process: Its span.
        error: What left the block.
    """
    left = [d for d in deliveries if not d._settled]
    outcome = Outcome.ACK if error is None else Outcome.RELEASE
    if process is not UNPROCESSED:
        cause, event = shown(error)
        name = outcome.value  # which only a span tells
        if process.span is not None:
            name = outcome_of(deliveries, name)
        process.finish(name, cause, event=event)
    if not left:
        return
    for delivery in left:
        delivery._settled = True
    holder = left[0]._holder
    if error is None or isinstance(error, Exception):
        await holder.settle_late(left, outcome, process)
    else:  # cancelled: give it back all the same
        with anyio.CancelScope(shield=True):
            await holder.settle_late(left, outcome, process)


def outcome_of(deliveries: Sequence[Delivery], otherwise: str) -> str:
    """Return what became of deliveries: one outcome, or "mixed".

    Args:
        deliveries: Settled by hand, lost, or neither.
        otherwise: The outcome of those that are neither.
    """
    outcomes = {d._outcome or ("lost" if d._lost else otherwise) for d in deliveries}
    return outcomes.pop() if len(outcomes) == 1 else "mixed"


def settle_error(delivery: Delivery, result: SettleResult) -> SettleError:
    """Return the error of a settlement that does not count."""
    if result.status is SettleStatus.STALE:
        why = "came too late"
    else:
        why = "failed" if result.error is None else f"failed ({result.error})"
    msg = (
        f"settling a message from {delivery.source!r} {why}: it may be delivered again; "
        "make the work on it repeatable"
    )
    error = SettleError(msg)
    error.__cause__ = result.error
    return error


def no_dead_letter(source: str) -> str:
    """Return why a message from `source` cannot be rejected."""
    return (
        f"a message from {source!r} cannot be rejected: this transport has no dead letters of "
        "its own, so give the consumer a dead_letter destination"
    )


def _twice(delivery: Delivery) -> str:
    return f"{delivery} was settled already: settle each delivery once"
