"""The cost of linkbus itself, and of its tracing: the memory transport, in one process."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import linkbus
from benchmarks.measure import Budget, Clock, Result, Row, Work, measured
from benchmarks.providers import NO_SDK, SAMPLED, UNSAMPLED
from linkbus.transports.memory import MemoryTransport

BODY = b"x" * 100
_INCOMING = NonRecordingSpan(
    SpanContext(1 << 100, 1 << 40, is_remote=True, trace_flags=TraceFlags(1))
)


async def benchmark(rounds: int) -> Result:
    """Send each message by itself, then handle each: the sum is what a message costs."""
    rows = [
        Row("no SDK", _flow(NO_SDK)),
        Row("no SDK, passing a context", _flow(NO_SDK, ambient=True)),
        Row("SDK, unsampled", _flow(UNSAMPLED)),
        Row("SDK, sampled", _flow(SAMPLED)),
    ]
    budgets = [
        Budget("no SDK, send to handled", lambda t: t["no SDK"], 25.0),
        Budget("passing a context adds", lambda t: t[rows[1].name] - t["no SDK"], 8.0),
        Budget("unsampled spans add", lambda t: t[rows[2].name] - t["no SDK"], 16.0),
    ]
    return await measured("memory: send and process", 5_000, rounds, rows, budgets)


def _flow(tracing: linkbus.Tracing, *, ambient: bool = False) -> Work:
    async def work(messages: int) -> float:
        clock = Clock()
        handled = 0

        async def handle(delivery: linkbus.Delivery) -> None:
            nonlocal handled
            handled += 1
            if handled == messages:
                running.cancel()

        token = context.attach(trace.set_span_in_context(_INCOMING)) if ambient else None
        async with linkbus.Bus(MemoryTransport(), tracing=tracing) as bus:
            producer = bus.producer("orders")
            with clock:
                for _ in range(messages):
                    await producer.send(BODY)
            with clock, suppress(asyncio.CancelledError):
                running = asyncio.create_task(bus.consumer("orders").run(handle))
                await running
        if token is not None:
            context.detach(token)
        assert handled == messages, "a message was lost"
        return clock.seconds

    return work
