"""The memory that one message holds while it is on its way, one message after the other.

Each sample is the peak of what is allocated between the end of one message and the end of
the next, above what was allocated at its beginning (tracemalloc, in the whole process); the
median of them stands in the table. Freed memory is counted as long as it was held at once,
so this is not the sum of all allocations, which Python does not tell.
"""

from __future__ import annotations

import asyncio
import statistics
import tracemalloc
from collections.abc import Mapping

from benchmarks.contender import Contender, Maker
from benchmarks.ledger import Ledger
from benchmarks.places import prepared
from benchmarks.rounds import Work, reason_of
from benchmarks.telemetry import Telemetry


class Peaks:
    """Samples of the peak, each above the level at the end of the one before."""

    def __init__(self) -> None:
        self.samples: list[int] = []
        self._level = 0

    def begin(self) -> None:
        """Begin a sample now."""
        tracemalloc.reset_peak()
        self._level = tracemalloc.get_traced_memory()[0]

    def end(self) -> None:
        """End the sample, and begin the next."""
        self.samples.append(tracemalloc.get_traced_memory()[1] - self._level)
        self.begin()

    def median(self, messages: int) -> float | None:
        """Return the bytes for each of so many messages in a sample."""
        later = self.samples[len(self.samples) // 4 :]
        return statistics.median(later) / messages if later else None


async def allocations_of(
    maker: Maker, transport: str, address: str, telemetry: Telemetry, work: Work, *, timeout: float
) -> Mapping[str, object]:
    """Send and receive with the memory traced, which takes several times as long.

    Returns:
        Bytes a message, `send` and `receive`; or `void`, with the reason.
    """
    place = await prepared(transport, address)
    contender = maker(place, telemetry.mode)
    ledger = Ledger(work.messages, work.size, contender.joins)
    sending, receiving = Peaks(), Peaks()
    ledger.after_each = receiving.end
    size = work.batch or 1
    tracemalloc.start()
    try:
        async with asyncio.timeout(timeout):
            await contender.open()
            try:
                with telemetry.sending():
                    await _send(contender, ledger, work.batch, sending)
                receiving.begin()
                if work.batch:
                    await contender.receive_batches(ledger, size)
                else:
                    await contender.receive(ledger)
            finally:
                await contender.aclose()
    except Exception as error:  # noqa: BLE001 - a contender may fail in any way: its row says so
        return {"void": reason_of(error)}
    finally:
        tracemalloc.stop()
        telemetry.collected()
    return {"send": sending.median(size), "receive": receiving.median(size), "void": None}


async def _send(contender: Contender, ledger: Ledger, batch: int, peaks: Peaks) -> None:
    bodies = list(ledger.bodies())
    peaks.begin()
    for at in range(0, len(bodies), batch or 1):
        if batch:
            await contender.send_batch(bodies[at : at + batch])
        else:
            await contender.send(bodies[at])
        peaks.end()
