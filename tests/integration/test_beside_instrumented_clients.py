"""Linkbus alone makes the spans of its messages, and the application's own clients keep theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from textwrap import dedent

import pytest
from opentelemetry.sdk.trace import TracerProvider

import linkbus
from linkbus.testing import SpanRecorder
from tests.integration.direct_clients import (
    DirectClient,
    direct,
    instrument,
    of_instrumentation,
    provider,
    spans,
)

__all__ = ["direct", "instrument", "provider", "spans"]

pytestmark = pytest.mark.broker


async def handle_one(consumer: linkbus.Consumer, handler: Callable[..., object]) -> None:
    """Run a handler for one message."""
    done = asyncio.Event()

    async def handle(delivery: linkbus.Delivery) -> None:
        await handler(delivery)
        done.set()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(consumer.run(handle))
        ended = tasks.create_task(done.wait())
        await asyncio.wait([running, ended], return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        ended.cancel()


def expect(spans: SpanRecorder, replace: Mapping[str, str], expected: str) -> None:
    """Compare the printed tree of all spans, whoever made them."""
    tree = spans.tree(attributes=(), link_attributes=(), replace=replace)
    assert tree == dedent(expected).strip("\n")


def contexts_of(delivery: linkbus.Delivery) -> list[str]:
    """Return the names of all places in which a trace context arrived, as often as there is one."""
    names = [name.lower() for name, _ in delivery.headers.items()]
    facts = delivery.raw.get("Attributes", ()) if isinstance(delivery.raw, dict) else ()
    return [name for name in [*names, *facts] if name in {"traceparent", "AWSTraceHeader"}]


@pytest.mark.parametrize("when", ["before linkbus opens", "afterwards"])
async def test_before_while_and_after_linkbus_is_used(
    direct: DirectClient,
    instrument: Callable[[], None],
    provider: TracerProvider,
    spans: SpanRecorder,
    when: str,
) -> None:
    """Of linkbus's messages there are its own spans and one context, of the others all spans."""
    app = provider.get_tracer("application")
    tracing = linkbus.Tracing(tracer_provider=provider)

    async def note() -> None:
        await direct.send(direct.notes, b"note")

    async def handle(delivery: linkbus.Delivery) -> None:
        assert contexts_of(delivery) == ["traceparent"]
        await note()

    async with AsyncExitStack() as stack:
        await direct.open(stack)
        if when == "before linkbus opens":
            instrument()
            await note()
        async with linkbus.Bus(direct.transport(), tracing=tracing) as bus:
            orders = bus.producer(direct.orders)
            if when == "afterwards":
                instrument()
                await note()
            async with bus.consumer(direct.orders) as consumer:
                with app.start_as_current_span("GET /order"):
                    await orders.send(b"1")
                    await note()
                await handle_one(consumer, handle)
            await orders.send_batch([linkbus.Message(b"2"), linkbus.Message(b"3")])
            async with bus.consumer(direct.orders) as consumer:
                batch = await anext(consumer.batches(max_messages=2, max_wait=10.0))
                async with batch:
                    assert [contexts_of(delivery) for delivery in batch] == [["traceparent"]] * 2
                    await note()
        await note()
        sent = direct.send_span(direct.notes)
        expect(
            spans,
            {direct.orders: "orders", sent: "note"},
            f"""
            A  note            {direct.kind}
            B  GET /order      INTERNAL
                 send orders   PRODUCER
                 note          {direct.kind}
            C  process orders  CONSUMER  ⇢ B/send orders
                 note          {direct.kind}
            D  create orders   PRODUCER
            E  create orders   PRODUCER
            F  send orders     CLIENT    ⇢ D/create orders  ⇢ E/create orders
            G  process orders  CONSUMER  ⇢ D/create orders  ⇢ E/create orders
                 note          {direct.kind}
            H  note            {direct.kind}
            """,
        )
        await direct.receive(direct.notes, 5)
    assert of_instrumentation(spans) == {sent: 5, direct.receive_span(direct.notes): 5}


async def test_extra_spans(
    direct: DirectClient,
    instrument: Callable[[], None],
    provider: TracerProvider,
    spans: SpanRecorder,
) -> None:
    """The spans of polls and settlements are linkbus's own too, and there is no other."""
    instrument()
    extra = frozenset({"receive", "settle"})
    tracing = linkbus.Tracing(tracer_provider=provider, spans=extra)
    async with (
        linkbus.Bus(direct.transport(), tracing=tracing) as bus,
        bus.consumer(direct.orders) as consumer,
    ):
        await bus.producer(direct.orders).send(b"order")
        async with await anext(consumer):
            pass
    expect(
        spans,
        {direct.orders: "orders"},
        """
        A  send orders      PRODUCER
        B  receive orders   CLIENT    ⇢ A/send orders
        C  process orders   CONSUMER  ⇢ A/send orders
             settle orders  CLIENT
        """,
    )
