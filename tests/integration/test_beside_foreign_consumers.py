"""Other programs find one standard `traceparent` in linkbus's messages, and go on from there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import pytest
from aiokafka import AIOKafkaConsumer
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import linkbus
from linkbus.testing import SpanRecorder
from tests.integration.direct_clients import (
    DirectClient,
    DirectKafka,
    Pairs,
    direct,
    instrument,
    of_instrumentation,
    provider,
    spans,
)

__all__ = ["direct", "instrument", "provider", "spans"]

pytestmark = pytest.mark.broker

Ids = tuple[int, int]


async def sent(direct: DirectClient, provider: TracerProvider) -> None:
    """Send one message and a batch of two with linkbus, with a copied context besides."""
    copied = {"Traceparent": f"00-{'1' * 32}-{'1' * 16}-01", "tenant": "a"}
    tracing = linkbus.Tracing(tracer_provider=provider)
    async with linkbus.Bus(direct.transport(), tracing=tracing) as bus:
        orders = bus.producer(direct.orders)
        await orders.send(b"1", headers=copied)
        results = await orders.send_batch([linkbus.Message(b"2"), linkbus.Message(b"3")])
        assert {result.status for result in results} == {linkbus.SendStatus.SENT}


def creations(spans: SpanRecorder) -> list[ReadableSpan]:
    """Return the spans whose contexts left with the messages."""
    return [span for span in spans.finished if span.kind is trace.SpanKind.PRODUCER]


def ids_of(found: Sequence[ReadableSpan]) -> set[Ids]:
    """Return the ids of spans."""
    return {(span.context.trace_id, span.context.span_id) for span in found}


def extracted(headers: Pairs) -> Ids:
    """Return what another program reads from a message's headers."""
    assert [name.lower() for name, _ in headers].count("traceparent") == 1
    context = TraceContextTextMapPropagator().extract(dict(headers), Context())
    found = trace.get_current_span(context).get_span_context()
    return found.trace_id, found.span_id


async def test_a_client_that_reads_w3c_headers(
    direct: DirectClient, provider: TracerProvider, spans: SpanRecorder
) -> None:
    """Each message has one `traceparent`, of the span that made it."""
    async with AsyncExitStack() as stack:
        await direct.open(stack)
        await sent(direct, provider)
        messages = await direct.receive(direct.orders, 3)
    assert {extracted(headers) for headers in messages} == ids_of(creations(spans))
    assert len(creations(spans)) == 3


@pytest.mark.parametrize("direct", ["kafka", "rabbitmq"], indirect=True)
async def test_an_instrumented_client(
    direct: DirectClient,
    instrument: Callable[[], None],
    provider: TracerProvider,
    spans: SpanRecorder,
) -> None:
    """Instrumentation of the consumer makes each receive a child of the span that sent it."""
    instrument()
    async with AsyncExitStack() as stack:
        await direct.open(stack)
        await sent(direct, provider)
        await direct.receive(direct.orders, 3)
    receives = spans.named(direct.receive_span(direct.orders))
    parents = {(span.parent.trace_id, span.parent.span_id) for span in receives}
    assert parents == ids_of(creations(spans))
    assert of_instrumentation(spans) == {receives[0].name: 3}


@pytest.mark.parametrize("direct", ["kafka"], indirect=True)
async def test_an_instrumented_client_that_receives_many(
    direct: DirectKafka,
    instrument: Callable[[], None],
    provider: TracerProvider,
    spans: SpanRecorder,
) -> None:
    """So it does with a poll that brings several: one span a record, below each record's span."""
    instrument()
    await sent(direct, provider)
    consumer = AIOKafkaConsumer(
        direct.orders, bootstrap_servers=direct.servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(10):
            count = 0
            while count < 3:
                count += sum(map(len, (await consumer.getmany(timeout_ms=1000)).values()))
    finally:
        await consumer.stop()
    children = [span for span in spans.named(direct.receive_span(direct.orders)) if span.parent]
    parents = {(span.parent.trace_id, span.parent.span_id) for span in children}
    assert ids_of(creations(spans)) <= parents
