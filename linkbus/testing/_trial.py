"""Trial: what a check works with, and what closes everything that it opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self
from uuid import uuid4

import anyio

import linkbus
from linkbus import Headers, TransportError
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
from linkbus.testing._harness import TransportHarness

RETRY_INTERVAL = 0.1
"""Seconds between two calls when the first failed and may be repeated, as the core does."""


class Skipped(Exception):  # noqa: N818 - it is no error
    """A check does not apply to this transport; says why."""


class Trial:
    """One run of one check: opens transports and receivers, sends, receives and settles.

    Its methods raise `AssertionError` when the transport does not do what its contract
    says, so that a check says only what is special to it. Leaving the block closes
    receivers, then transports.

    Attributes:
        harness: The author's.
        transport: An open transport.
        lost: What `lost` of any receiver was called with.
    """

    harness: TransportHarness
    transport: Transport
    lost: list[tuple[Sequence[Arrival], float]]

    def __init__(self, harness: TransportHarness) -> None:
        self.harness = harness
        self.lost = []
        self._open: list[Transport | Receiver] = []

    async def __aenter__(self) -> Self:
        self.transport = await self.open_transport()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        problems = [problem for it in reversed(self._open) if (problem := await self._closing(it))]
        self._open.clear()
        if problems and error is None:
            raise AssertionError("; ".join(problems))
        for problem in problems:
            error.add_note(f"and afterwards: {problem}")  # type: ignore[union-attr]

    @property
    def capabilities(self) -> Capabilities:
        """What the transport says that it can do."""
        return self.transport.capabilities

    def new_destination(self) -> str:
        """Return a destination that was never used before."""
        return self.harness.new_destination()

    async def open_transport(self) -> Transport:
        """Open one more transport, which reaches the same broker."""
        transport = self.harness.transport()
        await transport.open()
        self._open.append(transport)
        return transport

    async def subscribe(
        self,
        source: str,
        group: str = "default",
        *,
        transport: Transport | None = None,
        prefetch: int = 100,
    ) -> Receiver:
        """Subscribe, and close the receiver at the end if `leave` did not."""
        receiver = await (transport or self.transport).subscribe(
            source, group, prefetch=prefetch, lost=lambda *lost: self.lost.append(lost)
        )
        self._open.append(receiver)
        return receiver

    async def leave(self, closed: Receiver | Transport) -> None:
        """Close a receiver or a transport now, once."""
        self._open.remove(closed)
        problem = await self._closing(closed)
        assert not problem, problem

    def bus(self, tracing: linkbus.Tracing | None = None) -> linkbus.Bus:
        """Make a bus, not open, on one more transport."""
        return linkbus.Bus(self.harness.transport(), tracing=tracing or linkbus.Tracing())

    def largest(self, limit: int) -> int:
        """Return the bytes of the largest message that may be sent, `limit` at most."""
        declared = self.capabilities.max_message_bytes
        return limit if declared is None else min(declared, limit)

    def envelope(
        self,
        body: bytes = b"",
        *,
        key: str | None = None,
        headers: Mapping[str, object] | Iterable[tuple[str, object]] = (),
        context: Mapping[str, str] | None = None,
    ) -> Envelope:
        """Make an envelope with a new id, as the core would."""
        limit = self.capabilities.max_headers
        return Envelope(uuid4().hex, body, key, Headers(headers), context or {}, max_headers=limit)

    async def send(
        self, destination: str, *batch: Envelope, transport: Transport | None = None
    ) -> None:
        """Send envelopes in batches as large as allowed; all of them must be SENT."""
        size = self.capabilities.max_batch or max(1, len(batch))
        for start in range(0, len(batch), size):
            results = await self.try_send(
                destination, batch[start : start + size], transport=transport
            )
            bad = [result for result in results if result.status is not SendStatus.SENT]
            assert not bad, f"{len(bad)} of {len(results)} were not SENT; the first: {bad[0]}"

    async def try_send(
        self, destination: str, batch: Sequence[Envelope], *, transport: Transport | None = None
    ) -> list[SendResult]:
        """Send one batch, what may be sent again too, and return one result for each."""
        results: dict[str, SendResult] = {}
        waiting = list(batch)
        end = anyio.current_time() + self.harness.patience
        while waiting:
            results |= await _sent(transport or self.transport, destination, waiting)
            waiting = [one for one in waiting if results[one.id].retryable]
            if anyio.current_time() > end:
                break
            await anyio.sleep(RETRY_INTERVAL if waiting else 0)
        return [results[one.id] for one in batch]

    async def send_bodies(self, destination: str, *bodies: bytes, key: str | None = None) -> None:
        """Send one message for each body, all with one key."""
        await self.send(destination, *[self.envelope(body, key=key) for body in bodies])

    async def poll(self, receiver: Receiver, max_messages: int, wait: float) -> list[Arrival]:
        """Call `receive` once; a failure that may be repeated is an empty return."""
        try:
            arrivals = list(await receiver.receive(max_messages, wait))
        except TransportError as error:
            if not error.retryable:
                raise
            await anyio.sleep(RETRY_INTERVAL)
            return []
        assert len(arrivals) <= max_messages, (
            f"receive({max_messages}, …) returned {len(arrivals)} messages, more than asked for"
        )
        return arrivals

    async def receive(
        self,
        receiver: Receiver,
        count: int,
        *,
        settle: Outcome | None = None,
        within: float | None = None,
    ) -> list[Arrival]:
        """Receive `count` messages, which must come in time, and settle each if told so."""
        limit = self.harness.patience if within is None else within
        deadline = anyio.current_time() + limit
        got: list[Arrival] = []
        while len(got) < count and (left := deadline - anyio.current_time()) > 0:
            more = await self.poll(receiver, count - len(got), min(left, 1.0))
            if settle is not None:
                await self.settle(receiver, settle, *more)
            got += more
        assert len(got) == count, (
            f"expected within {limit:g} seconds: {count} messages; came: {len(got)}: {shown(got)}"
        )
        return got

    async def consume(self, receiver: Receiver, count: int) -> list[Arrival]:
        """Receive `count` messages and acknowledge each before the next is asked for."""
        return await self.receive(receiver, count, settle=Outcome.ACK)

    async def receive_one(self, receiver: Receiver, *, within: float | None = None) -> Arrival:
        """Receive one message."""
        return (await self.receive(receiver, 1, within=within))[0]

    async def drain(self, receiver: Receiver, quiet: float | None = None) -> list[Arrival]:
        """Acknowledge all that comes until nothing has come for `quiet` seconds."""
        got: list[Arrival] = []
        pause = self.harness.quiet if quiet is None else quiet
        end = anyio.current_time() + pause
        while (left := end - anyio.current_time()) > 0:
            more = await self.poll(receiver, 100, min(left, 1.0))
            if more:
                await self.settle(receiver, Outcome.ACK, *more)
                end = anyio.current_time() + pause
            got += more
        return got

    async def expect_nothing(
        self, receiver: Receiver, why: str, *, quiet: float | None = None
    ) -> None:
        """Fail with `why` if a message comes."""
        got = await self.drain(receiver, quiet)
        assert not got, f"{why}; yet {len(got)} came: {shown(got)}"

    async def settle(
        self, receiver: Receiver, outcome: Outcome, *arrivals: Arrival, delay: float = 0.0
    ) -> None:
        """Settle arrivals alike; each must be OK."""
        if arrivals:
            results = await self.try_settle(
                receiver, *[Settlement(arrival, outcome, delay) for arrival in arrivals]
            )
            bad = [result for result in results if result.status is not SettleStatus.OK]
            assert not bad, f"{outcome} of {len(bad)} messages was not OK; the first: {bad[0]}"

    async def ack(self, receiver: Receiver, *arrivals: Arrival) -> None:
        """Acknowledge arrivals; each must be OK."""
        await self.settle(receiver, Outcome.ACK, *arrivals)

    async def release(self, receiver: Receiver, *arrivals: Arrival, delay: float = 0.0) -> None:
        """Release arrivals; each must be OK."""
        await self.settle(receiver, Outcome.RELEASE, *arrivals, delay=delay)

    async def try_settle(self, receiver: Receiver, *settlements: Settlement) -> list[SettleResult]:
        """Settle, and return one result for each settlement."""
        results = list(await receiver.settle(list(settlements)))
        assert len(results) == len(settlements), (
            f"settle returned {len(results)} results for {len(settlements)} settlements"
        )
        return results

    async def _closing(self, closed: Transport | Receiver) -> str | None:
        """Close, and say what went wrong, if anything did."""
        name = f"aclose of {type(closed).__name__}"
        limit = self.harness.patience
        with anyio.move_on_after(limit, shield=True) as scope:
            try:
                await closed.aclose()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                return f"{name} raised {error!r}"
        return f"{name} did not return within {limit:g} seconds" if scope.cancel_called else None


def shown(arrivals: Sequence[Arrival]) -> str:
    """Return the first bodies of arrivals, for a message."""
    bodies = ", ".join(repr(arrival.body[:24]) for arrival in arrivals[:8])
    return (bodies or "none") + (", …" if len(arrivals) > 8 else "")  # noqa: PLR2004 - as above


async def _sent(
    transport: Transport, destination: str, batch: Sequence[Envelope]
) -> dict[str, SendResult]:
    try:
        results = list(await transport.send(destination, list(batch)))
    except TransportError as error:
        failed = SendResult(SendStatus.FAILED, error=error, retryable=error.retryable)
        return {one.id: failed for one in batch}
    assert len(results) == len(batch), f"send returned {len(results)} results for {len(batch)}"
    return {one.id: result for one, result in zip(batch, results, strict=True)}
