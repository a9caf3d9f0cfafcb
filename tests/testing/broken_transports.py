"""Transports with one deliberate defect each, for the kit to find."""

import asyncio
from collections.abc import Callable, Sequence

import anyio
from anyio.lowlevel import checkpoint
from opentelemetry import trace
from tiny_transport import Group, TinyReceiver, TinyTransport

from linkbus import Headers
from linkbus.abc import (
    Arrival,
    Envelope,
    Receiver,
    SendResult,
    SendStatus,
    SettleResult,
    SettleStatus,
)
from linkbus.transports.memory import MemoryTransport


def changed(envelope: Envelope, **fields: object) -> Envelope:
    """Return an envelope with other fields."""
    before = {name: getattr(envelope, name) for name in ("id", "body", "key", "headers", "context")}
    return Envelope(**{**before, **fields})


class ChangesWhatIsSent(TinyTransport):
    """Stores something else than what it was given."""

    def stored(self, envelope: Envelope) -> Envelope:
        return envelope

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        return await super().send(destination, [self.stored(one) for one in batch])


class DropsAHeader(ChangesWhatIsSent):
    """Keeps no more than two headers."""

    def stored(self, envelope: Envelope) -> Envelope:
        kept = list(envelope.wire_headers.items())[:2]
        return changed(envelope, headers=Headers(kept), context={})


class CollapsesRepeatedHeaders(ChangesWhatIsSent):
    """Makes a dict of the headers."""

    def stored(self, envelope: Envelope) -> Envelope:
        return changed(envelope, headers=Headers(dict(envelope.headers.items())))


class LowersHeaderNames(ChangesWhatIsSent):
    """Takes header names for HTTP's."""

    def stored(self, envelope: Envelope) -> Envelope:
        pairs = [(name.lower(), value) for name, value in envelope.headers.items()]
        return changed(envelope, headers=Headers(pairs))


class ManglesBinaryHeaders(ChangesWhatIsSent):
    """Replaces what is no UTF-8."""

    def stored(self, envelope: Envelope) -> Envelope:
        raw = {name: envelope.headers.get_bytes(name) for name in envelope.headers}
        text = {name: value.decode("utf-8", "replace") for name, value in raw.items()}
        return changed(envelope, headers=Headers(text))


class ManglesBinaryBodies(ChangesWhatIsSent):
    """Takes bodies for text."""

    def stored(self, envelope: Envelope) -> Envelope:
        return changed(envelope, body=envelope.body.decode("utf-8", "replace").encode())


class ConfusesNoKeyWithEmpty(ChangesWhatIsSent):
    """Has no way to say that there is no key."""

    def stored(self, envelope: Envelope) -> Envelope:
        return changed(envelope, key=envelope.key or "")


class MakesIdsOfItsOwn(ChangesWhatIsSent):
    """Gives every message a new id."""

    def stored(self, envelope: Envelope) -> Envelope:
        return changed(envelope, id=f"own-{envelope.id}")


class DropsTheContext(ChangesWhatIsSent):
    """Keeps the application's headers only."""

    def stored(self, envelope: Envelope) -> Envelope:
        return changed(envelope, context={})


class RepairsTheContext(ChangesWhatIsSent):
    """Drops a traceparent that it does not like."""

    def stored(self, envelope: Envelope) -> Envelope:
        pairs = [it for it in envelope.headers.items() if it[0] != "traceparent"]
        return changed(envelope, headers=Headers(pairs))


class AddsAContext(ChangesWhatIsSent):
    """Is instrumented: adds the context of a span of its own."""

    def stored(self, envelope: Envelope) -> Envelope:
        mine = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        return changed(
            envelope, headers=Headers([*envelope.wire_headers.items(), mine]), context={}
        )


class SharesOneContext(TinyTransport):
    """Gives a whole batch the trace context of its first message."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        return await super().send(
            destination, [changed(one, context=batch[0].context) for one in batch]
        )


class SwallowsAFailure(TinyTransport):
    """Answers SENT for a body that it found too large."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        await super().send(destination, [one for one in batch if len(one.body) < 50_000])
        return [SendResult(SendStatus.SENT, one.id) for one in batch]


class LosesBeforeASubscription(TinyTransport):
    """Answers SENT for what reaches no group."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        if self.broker.groups[destination]:
            return await super().send(destination, batch)
        return [SendResult(SendStatus.SENT, one.id) for one in batch]


class ResultsOutOfOrder(TinyTransport):
    """Returns results as they come in, the last one first."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        return (await super().send(destination, batch))[::-1]


class ResultsTooFew(TinyTransport):
    """Returns one result for a batch."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        return (await super().send(destination, batch))[:1]


class DoubleDelivers(TinyTransport):
    """Stores every hundredth message twice."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        again = [one for one in batch if one.body.endswith(b"00")]
        await super().send(destination, [*batch, *again])
        return [SendResult(SendStatus.SENT, one.id) for one in batch]


class RaisesTheClientsError(TinyTransport):
    """Lets the client's own error out where a destination is missing."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        if destination.endswith("-missing"):
            raise LookupError(destination)
        return await super().send(destination, batch)


class EmitsASpan(TinyTransport):
    """Traces its own calls."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        with trace.get_tracer("tiny").start_as_current_span("publish"):
            return await super().send(destination, batch)


class SwallowsCancellation(TinyTransport):
    """Goes on when its send is cancelled."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        try:
            return await super().send(destination, batch)
        except anyio.get_cancelled_exc_class():
            return [SendResult(SendStatus.UNKNOWN, one.id) for one in batch]


class DoublesOnCancel(TinyTransport):
    """Stores a batch, and stores it again when its call is cancelled."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        results = await super().send(destination, batch)
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class():
            for one in batch:
                self.broker.append(destination, one)
            raise
        return results


class LeaksATask(TinyTransport):
    """Starts a task and forgets it."""

    async def open(self) -> None:
        self.task = asyncio.create_task(asyncio.sleep(3600), name="forgotten")


class LosesAnError(TinyTransport):
    """Starts a task that fails, and nobody looks."""

    async def open(self) -> None:
        async def fail() -> None:
            await checkpoint()
            raise LookupError

        task = asyncio.create_task(fail())
        await asyncio.wait([task])


class SharesItsGroups(TinyTransport):
    """Takes all groups for one."""

    async def subscribe(
        self,
        source: str,
        group: str,
        *,
        prefetch: int,
        lost: Callable[[Sequence[Arrival], float], None],
    ) -> Receiver:
        return await super().subscribe(source, "everybody", prefetch=prefetch, lost=lost)


class CriesWolf(TinyTransport):
    """Calls `lost` with what was never given."""

    async def subscribe(
        self,
        source: str,
        group: str,
        *,
        prefetch: int,
        lost: Callable[[Sequence[Arrival], float], None],
    ) -> Receiver:
        lost([Arrival(id=None, body=b"")], 0.0)
        return await super().subscribe(source, group, prefetch=prefetch, lost=lost)


class BeginsLate(TinyTransport):
    """Makes the group some time after subscribe has returned."""

    async def subscribe(
        self,
        source: str,
        group: str,
        *,
        prefetch: int,
        lost: Callable[[Sequence[Arrival], float], None],
    ) -> Receiver:
        receiver = self.receiver(Group())
        begin = iter([0])

        async def receive(max_messages: int, wait: float) -> Sequence[Arrival]:
            for _ in begin:
                receiver.group = self.broker.group(source, group)
                receiver.group.waiting.clear()
            return await TinyReceiver.receive(receiver, max_messages, wait)

        receiver.receive = receive
        return receiver


class MemoryWithReceiver(MemoryTransport):
    """Leases of half a second, and a receiver that is changed."""

    lease = 0.5

    def change(self, receiver: Receiver) -> None:
        """Change the receiver."""

    async def subscribe(
        self,
        source: str,
        group: str,
        *,
        prefetch: int,
        lost: Callable[[Sequence[Arrival], float], None],
    ) -> Receiver:
        receiver = await super().subscribe(source, group, prefetch=prefetch, lost=lost)
        self.change(receiver)
        return receiver


class ExtendsInWords(MemoryWithReceiver):
    """Answers OK to extend and does nothing."""

    def change(self, receiver: Receiver) -> None:
        async def extend(arrivals: Sequence[Arrival], seconds: float) -> Sequence[SettleResult]:
            return [SettleResult(SettleStatus.OK) for _ in arrivals]

        receiver.extend = extend


class TellsAnotherLease(MemoryWithReceiver):
    """Says that a message is ours for longer, or shorter, than it is."""

    told = 0.0

    def change(self, receiver: Receiver) -> None:
        right = receiver.receive

        async def receive(max_messages: int, wait: float) -> Sequence[Arrival]:
            arrivals = await right(max_messages, wait)
            for arrival in arrivals:
                arrival.lease = self.told
            return arrivals

        receiver.receive = receive


class LosesTooEarly(TellsAnotherLease):
    """Gives a message again long before the time that it told."""

    told = 2.0


class LosesTooLate(TellsAnotherLease):
    """Keeps a message for itself long after the time that it told."""

    lease = 60.0
    told = 0.1
