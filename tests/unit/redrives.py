"""What the tests of redrives share: dead letters, and a redrive of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from linkbus import Headers
from linkbus._redrive import Redrive
from linkbus.abc import Arrival
from tests.unit.scripted import ScriptedTransport, ended, running, scripted

PATIENCE = 0.3
"""Seconds: long for what is there already, and no test's time."""
CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ORIGIN = {"traceparent": CONTEXT, "source": "orders", "attempts": 3, "id": "7", "error": "KeyError"}


def dead(mid: str, origin: object = None, **facts: object) -> Arrival:
    """Return a dead letter without a key."""
    headers = Headers({"linkbus": json.dumps({"origin": origin})} if origin else {})
    return Arrival(id=mid, body=mid.encode(), headers=headers, **facts)


@asynccontextmanager
async def redriving(
    *arrivals: Arrival | str, **options: object
) -> AsyncIterator[tuple[Redrive, ScriptedTransport, asyncio.Task[None]]]:
    """Redrive these dead letters to `orders`."""
    async with scripted() as (bus, transport):
        redrive = Redrive(bus, "orders.dead", "orders", **{"patience": PATIENCE} | options)
        async with running(redrive.run()) as task:
            await give(transport, *arrivals)
            yield redrive, transport, task


async def redriven(*arrivals: Arrival | str, **options: object) -> tuple[Redrive, list[str]]:
    """Redrive these to the end; return that, and what was sent."""
    async with redriving(*arrivals, **options) as (redrive, transport, task):
        assert await ended(task) is None
        return redrive, [envelope.body.decode() for envelope in transport.envelopes]


async def give(transport: ScriptedTransport, *arrivals: Arrival | str) -> None:
    """Have dead letters received, as soon as somebody does."""
    await transport.watch.until(lambda: transport.receivers)
    transport.receiver.give(*arrivals)
