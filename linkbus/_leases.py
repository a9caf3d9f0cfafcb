"""Keeping what is held: leases are extended in time, and what is lost is known to be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic

import anyio

from linkbus._delivery import Delivery
from linkbus._errors import TransportError
from linkbus._seam import Arrival, SettleResult, SettleStatus
from linkbus.abc import Receiver

logger = logging.getLogger("linkbus")

RENEW_AT = 0.5
"""The share of a lease after which it is extended."""
_RETRY = 0.1
"""The share of a lease after which a failed extension is tried again."""
_PATIENCE = 0.25
"""The share of a lease for which an extension may take; the next attempt is still in time."""


class Leases:
    """Extends the leases of the deliveries that are held, and ends those that run out.

    Args:
        receiver: The transport's.
        held: All unsettled deliveries, by their arrivals.
        extendable: The transport can extend.
        lose: Called with a delivery that is not ours any more.
    """

    def __init__(
        self,
        receiver: Receiver,
        held: Mapping[Arrival, Delivery],
        lose: Callable[[Delivery], None],
        *,
        extendable: bool,
    ) -> None:
        self._receiver = receiver
        self._held = held
        self._lose = lose
        self._extendable = extendable
        self.next_at: float | None = None

    def note(self, deliveries: Iterable[Delivery], now: float) -> bool:
        """Start the leases of new deliveries; True if the next review is sooner for it."""
        before = self.next_at
        for delivery in deliveries:
            lease = delivery._arrival.lease
            if lease is not None:
                delivery._held_until = now + lease
                self._plan(now + lease * (RENEW_AT if self._extendable else 1))
        return self.next_at != before

    def revoke(self, delivery: Delivery, until: float) -> None:
        """Hold a delivery until then and no longer."""
        ends = delivery._held_until
        delivery._held_until = until if ends is None else min(ends, until)
        delivery._revoked = True
        self._plan(delivery._held_until)

    async def review(self) -> None:
        """Extend what is due, lose what ran out, and plan the next review.

        Raises:
            TransportError: The transport cannot go on.
        """
        now = monotonic()
        self.next_at = None
        due: dict[float, list[Delivery]] = {}
        for delivery in list(self._held.values()):
            ends = delivery._held_until
            if ends is None or delivery._settled:
                continue
            lease = delivery._arrival.lease
            if ends <= now:
                self._lose(delivery)
            elif lease is None or delivery._revoked or not self._extendable:
                self._plan(ends)
            elif ends - now <= lease * (1 - RENEW_AT) + 0.001:
                due.setdefault(lease, []).append(delivery)
            else:
                self._plan(ends - lease * (1 - RENEW_AT))
        for lease, deliveries in due.items():
            await self._extend(deliveries, lease)

    async def _extend(self, deliveries: list[Delivery], lease: float) -> None:
        asked = monotonic()
        results = await self._asked([d._arrival for d in deliveries], lease)
        if results is None:
            self._plan_again(deliveries, lease)
            return
        for delivery, result in zip(deliveries, results, strict=True):
            if result.status is SettleStatus.OK:
                if not delivery._revoked:
                    delivery._held_until = asked + lease
                    self._plan(asked + lease * RENEW_AT)
            elif result.status is SettleStatus.STALE:
                if not delivery._settled:
                    self._lose(delivery)
            else:
                self._plan_again([delivery], lease)

    async def _asked(self, arrivals: list[Arrival], lease: float) -> Sequence[SettleResult] | None:
        """Ask the transport for more time; None: no answer, but there may be one later."""
        results: Sequence[SettleResult] | None = None
        try:
            with anyio.move_on_after(lease * _PATIENCE):
                results = await self._receiver.extend(arrivals, lease)
        except TransportError as error:
            if not error.retryable:
                raise
            logger.warning("extending leases failed, trying again: %s", error)
        if results is not None and len(results) != len(arrivals):
            msg = (
                f"the transport gave {len(results)} results for {len(arrivals)} extensions: "
                "it is defective, and which leases still run is not known"
            )
            raise TransportError(msg)
        return results

    def _plan_again(self, deliveries: list[Delivery], lease: float) -> None:
        soon = monotonic() + lease * _RETRY
        for delivery in deliveries:
            if delivery._held_until is not None:
                self._plan(min(soon, delivery._held_until))

    def _plan(self, at: float) -> None:
        if self.next_at is None or at < self.next_at:
            self.next_at = at
