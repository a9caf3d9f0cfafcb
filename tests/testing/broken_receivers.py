"""Receivers with one deliberate defect each, for the kit to find."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace

import anyio
from anyio.lowlevel import checkpoint
from tiny_transport import Group, Stored, TinyReceiver

from linkbus.abc import (
    Arrival,
    Outcome,
    Settlement,
    SettleResult,
    SettleStatus,
)


class ParsesTheContext(TinyReceiver):
    """Decodes the traceparent of each message, as instrumented clients do."""

    def arrival(self, stored: Stored) -> Arrival:
        arrival = super().arrival(stored)
        if "traceparent" in arrival.headers:
            arrival.headers.get_bytes("traceparent").decode("ascii")
        return arrival


class LosesReleased(TinyReceiver):
    """Takes a release for an acknowledgement."""

    def give_back(self, stored: Stored, delay: float = 0.0) -> None:
        """Do nothing."""


class LosesUnsettledOnClose(TinyReceiver):
    """Forgets what it held when it is closed."""

    async def aclose(self) -> None:
        self.held.clear()
        await super().aclose()


class ForgetsAcknowledgements(TinyReceiver):
    """Says OK to an acknowledgement and gives all back when it is closed."""

    async def aclose(self) -> None:
        for stored in self.acknowledged:
            self.group.put(stored)
        await super().aclose()

    def __init__(self, group: Group) -> None:
        super().__init__(group)
        self.acknowledged: list[Stored] = []

    def settled(self, settlement: Settlement) -> SettleStatus:
        if settlement.outcome is Outcome.ACK:
            self.acknowledged.append(settlement.arrival.receipt)
        return super().settled(settlement)


class AcknowledgesAsALog(TinyReceiver):
    """Takes an acknowledgement for one of all that came before."""

    def settled(self, settlement: Settlement) -> SettleStatus:
        number = settlement.arrival.receipt.number
        status = super().settled(settlement)
        self.held = {one: stored for one, stored in self.held.items() if one > number}
        return status


class ReordersAKey(TinyReceiver):
    """Returns what it took in the opposite order."""

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        return (await super().receive(max_messages, wait))[::-1]


class ReleasesToTheEnd(TinyReceiver):
    """Puts what was released behind all others, as many brokers do."""

    later = itertools.count(10**9)

    def give_back(self, stored: Stored, delay: float = 0.0) -> None:
        super().give_back(replace(stored, number=next(self.later)), delay)


class LosesOnCancel(TinyReceiver):
    """Waits once more when it has taken messages."""

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        arrivals = await super().receive(max_messages, wait)
        await checkpoint()
        return arrivals


class SettlesStaleAsOk(TinyReceiver):
    """Answers OK whatever it was."""

    def settled(self, settlement: Settlement) -> SettleStatus:
        super().settled(settlement)
        return SettleStatus.OK


class SettlesOutOfOrder(TinyReceiver):
    """Groups settlements by outcome, and its results too."""

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        by_outcome = sorted(settlements, key=lambda settlement: settlement.outcome)
        return await super().settle(by_outcome)


class IgnoresDelays(TinyReceiver):
    """Gives at once what was released for later."""

    def give_back(self, stored: Stored, delay: float = 0.0) -> None:
        super().give_back(stored)


class DelaysEverything(TinyReceiver):
    """Gives nothing while something waits for its delay."""

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        if any(stored.due > time.monotonic() for stored in self.group.waiting):
            await anyio.sleep(min(wait, 0.1))
            return []
        return await super().receive(max_messages, wait)


class CountsNoDeliveries(TinyReceiver):
    """Calls every attempt the first."""

    def arrival(self, stored: Stored) -> Arrival:
        arrival = super().arrival(stored)
        arrival.attempt = 1
        return arrival


class ReturnsMoreThanAsked(TinyReceiver):
    """Returns whatever it has."""

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        return await super().receive(max_messages + 2, wait)


class WaitsForMore(TinyReceiver):
    """Returns when it has as many as it may, or at the end of the wait."""

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        arrivals: list[Arrival] = []
        with anyio.move_on_after(wait):
            while len(arrivals) < max_messages and not self.closed:
                arrivals += await super().receive(max_messages - len(arrivals), 0.2)
        return arrivals


class WaitsTooLong(TinyReceiver):
    """Takes the wait for a hint."""

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        return await super().receive(max_messages, wait + 2.0)


class BlocksOnClose(TinyReceiver):
    """Waits for an answer that never comes when it is closed."""

    async def aclose(self) -> None:
        await super().aclose()
        await anyio.sleep_forever()


class WakesNobody(TinyReceiver):
    """Leaves its waiting receive alone when it is closed."""

    async def aclose(self) -> None:
        for stored in self.held.values():
            self.give_back(stored)


class ClosesOnce(TinyReceiver):
    """Raises when it is closed a second time."""

    async def aclose(self) -> None:
        if self.closed:
            raise LookupError
        await super().aclose()
