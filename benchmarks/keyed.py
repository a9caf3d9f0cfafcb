"""linkbus with many keys: what is kept for a key must go when its messages are settled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import perf_counter

import linkbus
from benchmarks.contender import PREFETCH, run_until_full
from benchmarks.resident import Flow, resident_mib
from benchmarks.rounds import Work, reason_of
from benchmarks.telemetry import Telemetry
from linkbus.transports.memory import MemoryTransport

_CONCURRENCY = 16


async def keyed(telemetry: Telemetry, work: Work, *, timeout: float) -> Mapping[str, object]:
    """Send and receive at once, with as many keys as `work.keys`, in turn.

    Returns:
        `wall`: µs a message; `resident`: MiB at the end; or `void`, with the reason.
    """
    flow = Flow(work.messages, telemetry)
    last: dict[str | None, bytes] = {}
    overtaken = 0

    async def handle(delivery: linkbus.Delivery) -> None:
        nonlocal overtaken
        if work.keys <= work.messages // 2:
            overtaken += last.get(delivery.key, b"") > delivery.body
            last[delivery.key] = delivery.body
        flow.take(delivery.body)

    async def send(producer: linkbus.Producer) -> None:
        while await flow.room():
            number = flow.sent - 1
            await producer.send(b"%012d" % number, key=str(number % work.keys))

    began = perf_counter()
    try:
        async with asyncio.timeout(timeout), linkbus.Bus(MemoryTransport()) as bus:
            consumer = bus.consumer("keyed", concurrency=_CONCURRENCY, prefetch=PREFETCH)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(run_until_full(flow, consumer.run(handle)))
                tasks.create_task(send(bus.producer("keyed")))
    except Exception as error:  # noqa: BLE001 - it may fail in any way: its point says so
        return {"void": reason_of(error)}
    wall = (perf_counter() - began) / work.messages * 1e6
    if overtaken:
        return {"void": f"{overtaken} messages overtook an earlier one of their key"}
    return {"wall": wall, "resident": resident_mib(), "void": None}
