"""One round of one contender: send all, receive all, check, and say what it took."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Self

from benchmarks.contender import Contender, Joins, Maker, Mode
from benchmarks.laps import Laps
from benchmarks.ledger import Ledger, Wrong
from benchmarks.places import prepared
from benchmarks.telemetry import Seen, Telemetry

_WARM_UP = 0.1
"""The part of the messages that is sent before the clock starts."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a round does.

    Attributes:
        messages: How many.
        size: Bytes of a body.
        senders: Tasks that send at once, one message each.
        batch: Messages sent together and received together; 0: each by itself.
        keys: How many there are; 0: none.
    """

    messages: int
    size: int = 100
    senders: int = 100
    batch: int = 0
    keys: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One half of a round.

    Attributes:
        wall: µs a message.
        cpu: µs of this process a message.
        slices: µs a message in each slice of the half.
        spans: Made per message.
        links: Made per message.
        attributes: Of spans, per message.
    """

    wall: float
    cpu: float
    slices: list[float]
    spans: float
    links: float
    attributes: float

    @classmethod
    def of(cls, laps: Laps, seen: Seen, messages: int) -> Self:
        """Make it of what was seen in this half.

        Raises:
            Wrong: Too few messages were measured.
        """
        if not laps.messages:
            msg = "too few messages: the clock did not start before the last"
            raise Wrong(msg)
        return cls(
            wall=laps.seconds / laps.messages * 1e6,
            cpu=laps.cpu_seconds / laps.messages * 1e6,
            slices=laps.slices(),
            spans=len(seen.ended) / messages,
            links=seen.links / messages,
            attributes=seen.attributes / messages,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a round.

    Attributes:
        send: The first half; None: the round is void.
        receive: The second half.
        void: Why it counts for nothing.
    """

    send: Part | None = None
    receive: Part | None = None
    void: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return the same as data."""
        return asdict(self)


async def round_of(
    maker: Maker, transport: str, address: str, telemetry: Telemetry, work: Work, *, timeout: float
) -> Outcome:
    """Do one round, on a destination of its own, with everything put back afterwards.

    Args:
        maker: Makes the contender.
        transport: Its name.
        address: Of the broker.
        telemetry: This process's.
        work: What to do.
        timeout: Seconds, after which the round is void.
    """
    place = await prepared(transport, address)
    contender = maker(place, telemetry.mode)
    ledger = Ledger(work.messages, work.size, _joins(contender, in_batches=bool(work.batch)))
    try:
        async with asyncio.timeout(timeout):
            await contender.open()
            try:
                return await _measured(contender, telemetry, ledger, work)
            finally:
                await contender.aclose()
    except Wrong as why:
        return Outcome(void=str(why))
    except TimeoutError:
        return Outcome(void=f"{ledger.taken} of {work.messages} messages in {timeout:g} s")
    except Exception as error:  # noqa: BLE001 - a contender may fail in any way: its row says so
        return Outcome(void=reason_of(error))


def reason_of(error: BaseException) -> str:
    """Return an error in words: of several tasks that failed, the first one's."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:200]


def _joins(contender: Contender, *, in_batches: bool) -> Joins:
    """Return what is checked: with no spans, whether a context is passed on."""
    if contender.mode is Mode.RECORDING:
        of_batches = contender.joins_batches if in_batches else None
        return contender.joins if of_batches is None else of_batches
    is_passed = contender.mode is Mode.PASSING and contender.joins is Joins.LINK
    return Joins.CONTEXT if is_passed else Joins.NOTHING


async def _measured(
    contender: Contender, telemetry: Telemetry, ledger: Ledger, work: Work
) -> Outcome:
    telemetry.collected()
    gc.collect()
    sending = await _sent(contender, telemetry, ledger.bodies(), work)
    seen_sending = telemetry.collected()
    gc.collect()
    if work.batch:
        await contender.receive_batches(ledger, work.batch)
    else:
        await contender.receive(ledger)
    seen_receiving = telemetry.collected()
    ledger.check(seen_sending, seen_receiving, in_batches=bool(work.batch))
    return Outcome(
        Part.of(sending, seen_sending, work.messages),
        Part.of(ledger.laps, seen_receiving, work.messages),
    )


async def _sent(
    contender: Contender, telemetry: Telemetry, bodies: Iterator[bytes], work: Work
) -> Laps:
    """Send everything, and return the time it took after the warm-up."""
    laps = Laps(work.messages, int(work.messages * _WARM_UP))
    with telemetry.sending():
        if work.batch:
            await _send_batches(contender, bodies, laps, work.batch)
        else:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(work.senders, work.messages)):
                    tasks.create_task(_send_each(contender, bodies, laps))
    laps.stop()
    return laps


async def _send_each(contender: Contender, bodies: Iterator[bytes], laps: Laps) -> None:
    send = contender.send
    for body in bodies:
        await send(body)
        laps.reach(laps.count + 1)


async def _send_batches(
    contender: Contender, bodies: Iterator[bytes], laps: Laps, size: int
) -> None:
    while batch := list(islice(bodies, size)):
        await contender.send_batch(batch)
        laps.reach(laps.count + len(batch))
