"""Resident memory while messages flow: it must not grow with their number."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.contender import Contender, Inbox, Maker
from benchmarks.places import prepared
from benchmarks.rounds import Work, reason_of
from benchmarks.telemetry import Telemetry

_WINDOW = 5_000
"""Messages that are on their way at most."""
_FIRST, _APART = 1_000, 10**0.25
"""Messages before the first sample, and how much more there are before each later one."""
_PAGE = 4096


class Flow(Inbox):
    """Counts what is received, lets more be sent, and looks at the memory now and then.

    Attributes:
        samples: Messages so far, MiB resident, µs a message since the sample before.
    """

    def __init__(self, messages: int, telemetry: Telemetry) -> None:
        self.messages = messages
        self.is_full = False
        self.filled = asyncio.Event()
        self.samples: list[tuple[int, float, float]] = []
        self.sent = 0
        self._telemetry = telemetry
        self._room = asyncio.Event()
        self._taken = self._noted = self._dropped = 0
        self._began = perf_counter()
        self._next = float(min(_FIRST, messages))

    def take(self, body: bytes) -> None:
        """Count one message."""
        self.take_batch((body,))

    def take_batch(self, bodies: Sequence[bytes]) -> None:
        """Count a batch."""
        self._taken += len(bodies)
        self._room.set()
        if self._taken - self._dropped >= _WINDOW:
            self._dropped = self._taken
            self._telemetry.collected()  # what the harness keeps of spans is not the contender's
        is_last = self._taken >= self.messages
        if (is_last or self._taken >= round(self._next)) and not self.is_full:
            self._sample()
            self._next *= _APART
        if is_last:
            self.is_full = True
            self.filled.set()

    async def room(self) -> bool:
        """Return when one more may be sent; False when none is left to send."""
        while self.sent - self._taken >= _WINDOW:
            self._room.clear()
            await self._room.wait()
        self.sent += 1
        return self.sent <= self.messages

    def _sample(self) -> None:
        now, count = perf_counter(), self._taken - self._noted
        gc.collect()
        self.samples.append((self._taken, resident_mib(), (now - self._began) / count * 1e6))
        self._noted, self._began = self._taken, perf_counter()


async def resident_over(
    maker: Maker, transport: str, address: str, telemetry: Telemetry, work: Work, *, timeout: float
) -> Mapping[str, object]:
    """Send and receive at once, on one open contender.

    Returns:
        `samples`, as those of `Flow`; or `void`, with the reason.
    """
    place = await prepared(transport, address)
    contender = maker(place, telemetry.mode)
    flow = Flow(work.messages, telemetry)
    body = b"x" * work.size
    try:
        async with asyncio.timeout(timeout):
            await contender.open()
            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(work.senders):
                        tasks.create_task(_send(contender, flow, body))
                    tasks.create_task(contender.receive(flow))
            finally:
                await contender.aclose()
    except Exception as error:  # noqa: BLE001 - a contender may fail in any way: its row says so
        return {"void": reason_of(error)}
    return {"samples": flow.samples, "void": None}


async def _send(contender: Contender, flow: Flow, body: bytes) -> None:
    while await flow.room():
        await contender.send(body)


def resident_mib() -> float:
    """Return this process's resident memory; where the system does not tell, its peak."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**20
    import resource  # noqa: PLC0415 - not everywhere

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
