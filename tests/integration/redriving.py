"""What the tests of `linkbus redrive` share: brokers with dead letters, and the command."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import linkbus

COMMAND = str(Path(sys.executable).with_name("linkbus"))
_PATIENCE = 40.0


@dataclass(frozen=True)
class Place:
    """Where dead letters are, and where they go.

    Attributes:
        url: Of the broker, with options.
        dead: What dead letters are sent to.
        source: Where they are received from: in RabbitMQ this may be another name.
        destination: Where they are sent back to.
        many: As many dead letters as are not sent within a moment.
        wait: Seconds, as text, after which no dead letter comes any more.
        wait_for_killed: The same, though somebody was killed who held some.
    """

    url: str
    dead: str
    source: str
    destination: str
    many: int = 1500
    wait: str = "2"
    wait_for_killed: str = "2"

    def command(self, *more: str) -> list[str]:
        """Return the arguments of `linkbus`."""
        return ["redrive", self.url, self.source, self.destination, "--wait", self.wait, *more]

    async def fill(self, count: int) -> None:
        """Send numbered dead letters, of which nothing tells where they come from."""
        messages = [linkbus.Message(b"%d" % n, key=f"{n % 20}") for n in range(count)]
        async with linkbus.connect(self.url) as bus:
            for result in await bus.producer(self.dead).send_batch(messages):
                assert result.status == "sent", result

    async def fail(self, count: int) -> None:
        """Have numbered messages fail at the destination, which makes them dead letters."""
        failed: set[bytes] = set()
        have_failed = asyncio.Event()

        async def reject(delivery: linkbus.Delivery) -> None:
            failed.add(delivery.body)
            if len(failed) == count:
                have_failed.set()
            raise linkbus.Reject

        async with linkbus.connect(self.url) as bus:
            consumer = bus.consumer(self.destination, dead_letter=self.dead, concurrency=8)
            serving = asyncio.create_task(consumer.run(reject))
            producer = bus.producer(self.destination)
            for n in range(count):
                await producer.send(b"%d" % n, key=f"{n}", headers={"tenant": "a"})
            async with asyncio.timeout(_PATIENCE):
                await have_failed.wait()
            serving.cancel()
            await asyncio.wait([serving])


class Done(NamedTuple):
    """How a command ended."""

    code: int | None
    out: str
    err: str


@asynccontextmanager
async def started(arguments: Sequence[str]) -> AsyncIterator[Process]:
    """Run the command as its user does; it is killed if it has not ended at the end."""
    process = await asyncio.create_subprocess_exec(COMMAND, *arguments, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ended(process: Process) -> Done:
    """Wait for the end of a command."""
    async with asyncio.timeout(_PATIENCE):
        out, err = await process.communicate()
    return Done(process.returncode, out.decode(), err.decode())


async def run(arguments: Sequence[str]) -> Done:
    """Run the command to its end."""
    async with started(arguments) as process:
        return await ended(process)


class Ledger:
    """Notes what arrives at a destination.

    Attributes:
        arrived: How often each body did.
        deliveries: In order.
    """

    def __init__(self) -> None:
        self.arrived: Counter[bytes] = Counter()
        self.deliveries: list[linkbus.Delivery] = []
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def kept(self, place: Place) -> AsyncIterator[None]:
        """Process what arrives meanwhile."""
        async with (
            linkbus.connect(place.url) as bus,
            bus.consumer(place.destination, concurrency=8) as consumer,
        ):
            serving = asyncio.create_task(consumer.run(self._note))
            try:
                yield
            finally:
                serving.cancel()
                await asyncio.wait([serving])

    async def until(self, count: int) -> None:
        """Wait until so many different bodies have arrived."""
        async with asyncio.timeout(_PATIENCE):
            while len(self.arrived) < count:
                self._changed.clear()
                await self._changed.wait()

    async def _note(self, delivery: linkbus.Delivery) -> None:
        self.arrived[delivery.body] += 1
        self.deliveries.append(delivery)
        self._changed.set()
