"""A small, correct transport: what the broken ones of these tests are derived from."""

import bisect
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import anyio
from anyio.lowlevel import checkpoint

from linkbus import DestinationNotFound
from linkbus.abc import (
    Arrival,
    Capabilities,
    Envelope,
    Outcome,
    Receiver,
    SendResult,
    SendStatus,
    Settlement,
    SettleResult,
    SettleStatus,
    Transport,
)
from linkbus.testing import TransportHarness


@dataclass(order=True)
class Stored:
    """A message as one group has it."""

    number: int
    envelope: Envelope = field(compare=False)
    sent_at: float = field(compare=False, default_factory=time.time)
    attempt: int = field(compare=False, default=1)
    due: float = field(compare=False, default=0.0)


class Group:
    """What waits for one group, in order, and who shall be woken."""

    def __init__(self) -> None:
        self.waiting: list[Stored] = []
        self.changed = anyio.Event()

    def put(self, stored: Stored) -> None:
        bisect.insort(self.waiting, stored)
        self.wake()

    def wake(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    def take(self, count: int) -> list[Stored]:
        """Take the first messages that are due, none past a delayed one of its key."""
        blocked: set[str] = set()
        taken: list[Stored] = []
        for stored in self.waiting:
            key = stored.envelope.key
            if stored.due > time.monotonic() and key is not None:
                blocked.add(key)
            elif stored.due <= time.monotonic() and key not in blocked and len(taken) < count:
                taken.append(stored)
        self.waiting = [stored for stored in self.waiting if stored not in taken]
        return taken


class TinyBroker:
    """Topics and their groups, shared by the transports of one harness."""

    def __init__(self) -> None:
        self.log: dict[str, list[Envelope]] = defaultdict(list)
        self.groups: dict[str, dict[str, Group]] = defaultdict(dict)
        self.numbers = itertools.count()

    def group(self, topic: str, name: str) -> Group:
        if name not in self.groups[topic]:
            self.groups[topic][name] = group = Group()
            for envelope in self.log[topic]:
                group.put(Stored(next(self.numbers), envelope))
        return self.groups[topic][name]

    def append(self, topic: str, envelope: Envelope) -> None:
        self.log[topic].append(envelope)
        number = next(self.numbers)
        for group in self.groups[topic].values():
            group.put(Stored(number, envelope))


class TinyReceiver(Receiver):
    """A member of a group; its receipts are the stored messages."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.held: dict[int, Stored] = {}
        self.closed = False

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        with anyio.move_on_after(wait):
            await checkpoint()
            while not self.closed:
                if taken := self.group.take(max_messages):
                    return [self.arrival(stored) for stored in taken]
                await self.changed()
        return []

    async def changed(self) -> None:
        now = time.monotonic()
        due = min((s.due for s in self.group.waiting if s.due > now), default=now + 60)
        with anyio.move_on_after(due - now):
            await self.group.changed.wait()

    def arrival(self, stored: Stored) -> Arrival:
        self.held[stored.number] = stored
        envelope = stored.envelope
        return Arrival(
            id=envelope.id,
            body=envelope.body,
            key=envelope.key,
            headers=envelope.wire_headers,
            attempt=stored.attempt,
            sent_at=stored.sent_at,
            receipt=stored,
        )

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        await checkpoint()
        return [SettleResult(self.settled(settlement)) for settlement in settlements]

    def settled(self, settlement: Settlement) -> SettleStatus:
        stored = settlement.arrival.receipt
        assert isinstance(stored, Stored)
        if self.held.get(stored.number) is not stored:
            return SettleStatus.STALE
        del self.held[stored.number]
        if settlement.outcome is Outcome.RELEASE:
            self.give_back(stored, settlement.delay)
        return SettleStatus.OK

    def give_back(self, stored: Stored, delay: float = 0.0) -> None:
        due = time.monotonic() + delay if delay else 0.0
        again = Stored(stored.number, stored.envelope, stored.sent_at, stored.attempt + 1, due)
        self.group.put(again)

    async def aclose(self) -> None:
        self.closed = True
        while self.held:
            self.give_back(self.held.popitem()[1])
        self.group.wake()
        await checkpoint()


class TinyTransport(Transport):
    """Everything that a transport can do but leases and dead letters."""

    receiver: ClassVar[type[TinyReceiver]] = TinyReceiver
    system = "tiny"
    capabilities = Capabilities(
        groups=True,
        ordering="key",
        delayed_release=True,
        counts_deliveries=True,
        repeated_headers=True,
        max_batch=50,
        max_message_bytes=100_000,
        receive_cancel_safe=True,
    )

    def __init__(self, broker: TinyBroker) -> None:
        self.broker = broker

    async def open(self) -> None:
        await checkpoint()

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        await checkpoint()
        for envelope in batch:
            self.broker.append(destination, envelope)
        return [SendResult(SendStatus.SENT, envelope.id) for envelope in batch]

    async def subscribe(
        self,
        source: str,
        group: str,
        *,
        prefetch: int,
        lost: Callable[[Sequence[Arrival], float], None],
    ) -> Receiver:
        await checkpoint()
        return self.receiver(self.broker.group(source, group))

    async def aclose(self) -> None:
        await checkpoint()


class PlainReceiver(TinyReceiver):
    """Does not count deliveries."""

    def arrival(self, stored: Stored) -> Arrival:
        arrival = super().arrival(stored)
        arrival.attempt = 1
        return arrival


class PlainTransport(TinyTransport):
    """Can what the tiny one cannot, and nothing that it can; refuses what nobody made."""

    receiver = PlainReceiver
    capabilities = Capabilities(native_dead_letter=True, max_headers=9)

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        if self.broker.groups[destination]:
            return await super().send(destination, batch)
        error = DestinationNotFound(f"nobody has subscribed to {destination!r}")
        return [SendResult(SendStatus.FAILED, error=error) for _ in batch]

    async def subscribe(
        self,
        source: str,
        group: str,
        *,
        prefetch: int,
        lost: Callable[[Sequence[Arrival], float], None],
    ) -> Receiver:
        if source.endswith("-missing"):
            msg = f"there is no {source!r}"
            raise DestinationNotFound(msg)
        return await super().subscribe(source, group, prefetch=prefetch, lost=lost)


class TinyHarness(TransportHarness):
    """Makes transports of one class, all reaching one broker in this process."""

    quiet = 0.05
    patience = 4.0

    def __init__(self, kind: type[TinyTransport] = TinyTransport) -> None:
        self.kind = kind
        self.broker = TinyBroker()
        self.names = itertools.count()

    def transport(self) -> Transport:
        return self.kind(self.broker)

    def new_destination(self) -> str:
        return f"topic-{next(self.names)}"
