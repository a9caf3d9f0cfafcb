"""Subscription: what a consumer holds of a source, from the transport to the application."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

import anyio
from anyio.abc import TaskGroup

from linkbus._bell import Bell
from linkbus._buffer import Buffer
from linkbus._dead_letter import DeadLetters, dead_lettered_as
from linkbus._delivery import Delivery, Holder, settle_error
from linkbus._errors import UsageError
from linkbus._keeping import Keeper
from linkbus._leases import Leases
from linkbus._producer import Producer
from linkbus._receiving import Receiving, Taker
from linkbus._seam import Arrival, Outcome, SettleResult, SettleStatus
from linkbus._settling import STALE, Settler, log_in_vain
from linkbus._tracing._process import Process
from linkbus._tracing._processing import ConsumerTracer
from linkbus.abc import Receiver, Transport

logger = logging.getLogger("linkbus")

_CLOSING_PATIENCE = 1.0
"""Seconds for which a settlement that fails is tried again while closing."""
_OK = SettleStatus.OK


class Subscription(Holder, Taker):
    """One receiver, what it brought, and the two tasks that look after it.

    One task receives, as long as there is room for `prefetch` deliveries that were not
    given yet. The other extends leases, ends what was lost and releases what is not
    wanted. `buffer` has what was not given, `held` all that is not settled.

    Args:
        transport: Open.
        source: Where to receive from.
        group: The group to join.
        prefetch: The most deliveries that wait to be given.
        tracer: The consumer's.
        dead_letter: Where rejected messages go, if anywhere.
    """

    def __init__(
        self,
        transport: Transport,
        source: str,
        group: str,
        *,
        prefetch: int,
        tracer: ConsumerTracer,
        dead_letter: Producer | None,
    ) -> None:
        self.source = source
        self.tracer = tracer
        self.capabilities = transport.capabilities
        self.buffer = Buffer()
        self.failure: BaseException | None = None
        self.is_closed = False
        self.traces_receives = tracer.traces_receives
        self.on_arrival: Callable[[], None] = self._ring_arrived
        self.on_lost: Callable[[Delivery], None] | None = None
        self._transport = transport
        self._group = group
        self._prefetch = prefetch
        self._wanted = 0
        self.dead_letters = DeadLetters(dead_letter, native=self.capabilities.native_dead_letter)
        self._held: dict[Arrival, Delivery] = {}
        self._arrived = Bell()
        self._left = anyio.Event()
        self._is_stopping = False
        self._is_closing = False
        self._receiver: Receiver | None = None

    # Opening and closing

    async def open(self) -> None:
        """Join the group; what is sent after this arrives.

        Raises:
            TransportError: The transport could not subscribe.
            UsageError: The bus was closed meanwhile.
        """
        try:
            receiver = await self._transport.subscribe(
                self.source, self._group, prefetch=self._prefetch, lost=self._note_lost
            )
        except BaseException:  # cancelled, too
            self.is_closed = True
            raise
        if self._is_closing:
            self.is_closed = True
            await receiver.aclose()
            self.check_open()
        self._receiver = receiver
        self._settler = Settler(receiver, self.tracer, self.fail)
        self._leases = Leases(
            receiver,
            self._held,
            self._lose,
            extendable=self.capabilities.extendable_lease,
        )
        self._keeper = Keeper(self._leases, self._release_quietly, self.fail)
        self._receiving = Receiving(receiver, self.source, self)

    def start(self, tasks: TaskGroup) -> None:
        """Start receiving."""
        tasks.start_soon(self._receiving.run, name=f"linkbus receive {self.source}")
        tasks.start_soon(self._keeper.run, name=f"linkbus keep {self.source}")

    def stop_receiving(self) -> None:
        """Receive no more; what a call under way brings is released."""
        self._is_stopping = True
        self._receiving.stop(cancel=self.capabilities.receive_cancel_safe)

    def hurry(self) -> None:
        """Be quick from now on: what cannot be settled soon comes again by itself."""
        self._settler.patience = _CLOSING_PATIENCE

    async def release_unstarted(self) -> None:
        """Give back all that was not given to the application."""
        await self._release_quietly(self.buffer.withdraw_all())

    async def release_held(self, deliveries: Sequence[Delivery]) -> None:
        """Give back deliveries that were given, and are not settled."""
        for delivery in deliveries:
            delivery._settled = True
        await self._release_quietly(deliveries)

    async def release_behind(self, keys: Iterable[str]) -> None:
        """Give back what waits behind deliveries of these keys, which were released."""
        for key in keys:
            while behind := self.buffer.withdraw_behind(key):  # more may arrive meanwhile
                await self._release_quietly(behind)
        self._receiving.go_on()

    async def aclose(self) -> None:
        """Release what is not settled, and leave the group.

        A second caller waits for the first. If cancelled, it still leaves.
        """
        if self._is_closing or self._receiver is None:
            if self._receiver is not None:
                await self._left.wait()
            self._is_closing = True
            return
        self._is_closing = True
        self.hurry()
        self.stop_receiving()
        try:
            await self._release_all()
        finally:
            self.is_closed = True
            self._settler.close()
            self._keeper.stop()
            self.fail(self._closed())
            self._arrived.ring()
            try:
                await self._leave(self._receiver)
            finally:
                self._left.set()

    async def _release_all(self) -> None:
        """Give back all at once, in the order of arrival."""
        self.buffer.withdraw_all()
        await self.release_held([d for d in self._held.values() if not d._settled])

    async def _leave(self, receiver: Receiver) -> None:
        try:
            await receiver.aclose()
        except Exception:  # what was settled is settled, and the rest has to be closed too
            logger.exception("closing the receiver of %r failed", self.source)
        finally:
            await self._receiving.aclose()

    def fail(self, error: BaseException) -> None:
        """End with an error: whoever waits for messages gets it."""
        if self.failure is None:
            self.failure = error
        self._is_stopping = True
        self._receiving.stop(cancel=False)
        self.on_arrival()

    def check_open(self) -> None:
        """Raise `UsageError` if it is closed."""
        if self.is_closed:
            raise self._closed()

    def _closed(self) -> UsageError:
        msg = f"the consumer of {self.source!r} is closed: what it held was released"
        return UsageError(msg)

    # Giving

    async def wait_for(self, count: int, max_bytes: int | None = None) -> None:
        """Wait until so many deliveries, or bytes, are there to be given.

        Raises:
            TransportError: The consumer ended.
        """
        while not self.has(count, max_bytes):
            self.check_open()
            self.want(count)
            await self._arrived.wait()

    def want(self, count: int) -> None:
        """Receive until so many wait, `prefetch` permitting."""
        self._wanted = count
        self._receiving.go_on()

    def give(self) -> Delivery | None:
        """Give the next delivery, if there is one."""
        if self.failure is not None:
            raise self.failure
        if self.buffer.first() is None:
            return None
        delivery = self.buffer.take()
        delivery._given = True
        if self._has_room():
            self._receiving.go_on()
        return delivery

    def give_many(self, most: int, max_bytes: int | None = None) -> list[Delivery]:
        """Give deliveries that are there, up to both limits."""
        given = self.buffer.take_many(most, max_bytes)
        for delivery in given:
            delivery._given = True
        self._wanted = 0
        if self._has_room():
            self._receiving.go_on()
        return given

    def has(self, count: int, max_bytes: int | None = None) -> bool:
        """Whether so many deliveries, or bytes, are there to be given.

        Raises:
            TransportError: The consumer ended.
        """
        if self.failure is not None:
            raise self.failure
        if self.buffer.available >= count:
            return True
        is_heavy = max_bytes is not None and self.buffer.bytes >= max_bytes
        return is_heavy and self.buffer.available > 0

    def _has_room(self) -> bool:
        """Whether to receive: not for each delivery that leaves, and never beyond prefetch."""
        waiting = len(self.buffer)
        return waiting <= self._prefetch // 2 or waiting < min(self._wanted, self._prefetch)

    def _ring_arrived(self) -> None:
        self._arrived.ring()

    # Settling

    async def settle(
        self,
        deliveries: Sequence[Delivery],
        outcome: Outcome,
        *,
        delay: float = 0.0,
        process: Process | None = None,
    ) -> Sequence[SettleResult]:
        """Tell the transport one outcome of deliveries that were claimed."""
        try:
            return await self._settler.settle(deliveries, outcome, delay=delay, process=process)
        finally:
            for delivery in deliveries:
                self._held.pop(delivery._arrival, None)
                delivery._released = outcome is Outcome.RELEASE

    async def settle_late(
        self,
        deliveries: Sequence[Delivery],
        outcome: Outcome,
        process: Process | None,
        delay: float = 0.0,
    ) -> None:
        """Settle at the end of a block or a handler: what is in vain is counted and logged."""
        ours = [d for d in deliveries if not d._lost]
        if len(ours) < len(deliveries):
            for delivery in deliveries:
                if delivery._lost:
                    log_in_vain(delivery, outcome, STALE)
            if not ours:
                return
        results = await self.settle(ours, outcome, delay=delay, process=process)
        for index, result in enumerate(results):
            if result.status is not _OK:
                log_in_vain(ours[index], outcome, result)

    def can_reject(self) -> bool:
        """Whether a message that nobody takes has a place to go."""
        return self.dead_letters.exist

    async def reject(self, delivery: Delivery, process: Process | None) -> None:
        """Dead-letter a claimed delivery, or reject it natively."""
        try:
            outcome = await self.dead_letters.send(delivery, None)
        except BaseException:  # a cancellation too: it must not stay held
            delivery._outcome = Outcome.RELEASE.value
            with anyio.CancelScope(shield=True):
                await self.settle_late([delivery], Outcome.RELEASE, process)
            raise
        delivery._outcome = dead_lettered_as(outcome)
        results = await self.settle([delivery], outcome, process=process)
        if results[0].status is not _OK:
            raise settle_error(delivery, results[0])

    async def _release_quietly(self, deliveries: Sequence[Delivery]) -> None:
        """Release deliveries that no span tells of; a broker that is gone does it by itself."""
        ours = [d for d in deliveries if not d._lost]
        if not ours or self.is_closed:
            return
        try:
            await self._settler.settle_untraced(ours, Outcome.RELEASE)
        except Exception as error:  # noqa: BLE001 - the consumer may have ended for that reason
            logger.warning("releasing messages of %r failed: %s", self.source, error)
        for delivery in ours:
            self._held.pop(delivery._arrival, None)

    # Losing

    def _note_lost(self, arrivals: Sequence[Arrival], grace: float) -> None:
        """Take note that arrivals stop being ours, now or within `grace` seconds."""
        if not self._held:
            return
        until = monotonic() + grace
        for arrival in arrivals:
            delivery = self._held.get(arrival)
            if delivery is None or delivery._settled:
                continue
            if delivery._given:
                if grace > 0:
                    self._leases.revoke(delivery, until)
                else:
                    self._lose(delivery)
            elif not delivery._revoked:
                delivery._revoked = True
                self.buffer.withdraw(delivery)
                if grace > 0:
                    self._keeper.give_back(delivery)
                else:
                    del self._held[arrival]
        self._keeper.go_on()
        self._receiving.go_on()

    def _lose(self, delivery: Delivery) -> None:
        delivery._lost = True
        self._held.pop(delivery._arrival, None)
        if not delivery._given:
            if not delivery._revoked:
                self.buffer.withdraw(delivery)
                self._receiving.go_on()
        elif self.on_lost is not None:
            self.on_lost(delivery)

    # Receiving

    async def take(self, arrivals: Sequence[Arrival], started: int) -> None:
        """Take what was received; what comes too late goes back."""
        deliveries = [Delivery(arrival, self) for arrival in arrivals]
        if self._is_stopping:
            with anyio.CancelScope(shield=True):
                await self._release_quietly(deliveries)
            return
        now = monotonic()
        for delivery in deliveries:
            delivery._since = now
            self._held[delivery._arrival] = delivery
        self.buffer.push(deliveries)
        self.tracer.given(len(deliveries))
        if self.traces_receives:
            self.tracer.received(deliveries, started)
        if self._leases.note(deliveries, now):
            self._keeper.go_on()
        self.on_arrival()

    def space(self) -> int:
        """Return how many to receive now, 0 for none."""
        return self._prefetch - len(self.buffer) if self._has_room() else 0
