"""MemoryReceiver: gives the messages of a group to the core, and settles them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
from anyio.lowlevel import checkpoint

from linkbus._errors import CapabilityError, SettleError, UsageError
from linkbus.abc import (
    Arrival,
    Outcome,
    Receiver,
    Settlement,
    SettleResult,
    SettleStatus,
)
from linkbus.transports.memory._lane import Receipt
from linkbus.transports.memory._member import Member

YIELD_EVERY = 64
"""After so many messages without a wait a call lets other tasks run first."""

_OK = SettleResult(SettleStatus.OK)


class MemoryReceiver(Receiver):
    """A member of a group of a memory topic."""

    def __init__(self, source: str, member: Member, on_close: Callable[[Receiver], None]) -> None:
        self._source = source
        self._member = member
        self._group = member.group
        self._on_close = on_close
        self._since_yield = 0

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        """Return what is there, or wait for the first message.

        A message is taken in the call's last step, after it could be cancelled.
        """
        if self._member.is_closed:
            msg = f"the receiver of {self._source!r} is closed: consume it anew to receive more"
            raise UsageError(msg)
        if self._since_yield >= YIELD_EVERY:
            self._since_yield = 0
            await checkpoint()
        receipts = self._group.take(self._member, max_messages)
        if not receipts and wait > 0:
            receipts = await self._wait(max_messages, wait)
        self._since_yield += len(receipts)
        lease = self._group.lease
        return [_arrival(receipt, lease) for receipt in receipts]

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        """Note the outcomes, at once and without waiting."""
        now = self._group.catch_up()
        results: list[SettleResult] = []
        for settlement in settlements:
            receipt = self._receipt(settlement.arrival)
            if receipt is None:
                results.append(self._stale(settlement.arrival))
            elif settlement.outcome is Outcome.ACK:
                self._group.ack(receipt, now)
                results.append(_OK)
            elif settlement.outcome is Outcome.RELEASE:
                self._group.give_back(receipt, now, settlement.delay)
                results.append(_OK)
            else:
                results.append(self._refused())
        return results

    async def extend(self, arrivals: Sequence[Arrival], seconds: float) -> Sequence[SettleResult]:
        """Let the leases end `seconds` from now, which may be sooner than they would."""
        due = self._group.catch_up() + seconds
        results: list[SettleResult] = []
        for arrival in arrivals:
            receipt = self._receipt(arrival)
            if receipt is None:
                results.append(self._stale(arrival))
            else:
                self._group.extend(receipt, due)
                results.append(_OK)
        return results

    async def aclose(self) -> None:
        """Leave the group, which stays, and give back at once what is not settled."""
        if not self._member.is_closed:
            self._group.leave(self._member)
            self._on_close(self)

    async def _wait(self, limit: int, wait: float) -> list[Receipt]:
        self._since_yield = 0
        group, member = self._group, self._member
        deadline = anyio.current_time() + wait
        while not member.is_closed:
            awake, pause = group.enlist(member, deadline - anyio.current_time())
            try:
                with anyio.move_on_after(pause):
                    await awake.wait()
            except BaseException:  # cancelled: whoever waits next is woken instead
                group.dismiss(member)
                group.wake_one()
                raise
            group.dismiss(member)
            receipts = group.take(member, limit)
            if receipts or anyio.current_time() >= deadline:
                return receipts
        return []

    def _receipt(self, arrival: Arrival) -> Receipt | None:
        """Return what an arrival is settled by, or None when it is not ours any more."""
        receipt = arrival.receipt
        if not isinstance(receipt, Receipt) or receipt.member is not self._member:
            return None
        return None if receipt.due is None else receipt

    def _refused(self) -> SettleResult:
        msg = f"the memory transport has no dead letters: cannot reject from {self._source!r}"
        return SettleResult(SettleStatus.FAILED, CapabilityError(msg))

    def _stale(self, arrival: Arrival) -> SettleResult:
        msg = (
            f"message {arrival.id!r} from {self._source!r} is not this receiver's any more: it was "
            f"settled before, or its lease of {self._group.lease} s ended and it is given again"
        )
        return SettleResult(SettleStatus.STALE, SettleError(msg))


def _arrival(receipt: Receipt, lease: float) -> Arrival:
    held = receipt.held
    return Arrival(
        id=held.id,
        body=held.body,
        key=held.key,
        headers=held.headers,
        attempt=receipt.attempt,
        sent_at=held.sent_at,
        receipt=receipt,
        lease=lease,
    )
