"""Messages of other programs are linked to the spans that sent them, one by one and in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import pytest
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import linkbus
from linkbus.testing import SpanRecorder
from tests.brokers.fixtures import Kafka
from tests.integration.direct_clients import (
    DirectClient,
    DirectKafka,
    direct,
    instrument,
    of_instrumentation,
    provider,
    spans,
)

__all__ = ["direct", "instrument", "provider", "spans"]

pytestmark = pytest.mark.broker

Ids = tuple[int, int]

W3C = TraceContextTextMapPropagator()
TRACE = "0af7651916cd43dd8448eb211c80319c"
FIRST, SECOND = (f"00-{TRACE}-{span * 16}-01" for span in "12")
PROPAGATORS = [
    B3SingleFormat(),
    B3MultiFormat(),
    CompositePropagator([W3C, B3MultiFormat()]),
]


class Sent:
    """Sends foreign messages, each within a span of its own, and processes them with linkbus."""

    def __init__(self, direct: DirectClient, provider: TracerProvider) -> None:
        self._direct = direct
        self._provider = provider
        self._tracer = provider.get_tracer("foreign")

    async def processed(
        self, count: int, *, writing: TextMapPropagator | None, reading: TextMapPropagator = W3C
    ) -> None:
        """Send so many, with a context where somebody writes it; process one, then a batch."""
        tracing = linkbus.Tracing(tracer_provider=self._provider, propagator=reading)
        async with AsyncExitStack() as stack:
            await self._direct.open(stack)
            bus = linkbus.Bus(self._direct.transport(), tracing=tracing)
            await stack.enter_async_context(bus)
            consumer = await stack.enter_async_context(bus.consumer(self._direct.orders))
            for _ in range(count):
                with self._tracer.start_as_current_span("foreign"):
                    headers: dict[str, str] = {}
                    if writing is not None:
                        writing.inject(headers)
                    await self._direct.send(self._direct.orders, b"order", list(headers.items()))
            async with await anext(consumer):
                pass
            batch = await anext(consumer.batches(max_messages=count - 1, max_wait=10.0))
            async with batch:
                assert len(batch) == count - 1


def ids_of(found: Sequence[ReadableSpan]) -> set[Ids]:
    """Return what links to these spans hold."""
    return {(span.context.trace_id, span.context.span_id) for span in found}


def linked_by(spans: SpanRecorder) -> set[Ids]:
    """Return what all process spans link to, after a look at their counts."""
    single, batch = [span for span in spans.finished if span.name.startswith("process ")]
    assert single.parent is batch.parent is None
    assert not {"linkbus.link.missing", "linkbus.link.invalid"} & set(single.attributes)
    assert batch.attributes["linkbus.link.missing"] == batch.attributes["linkbus.link.invalid"] == 0
    links = [*single.links, *batch.links]
    assert len(links) == 1 + batch.attributes["messaging.batch.message_count"]
    return {(link.context.trace_id, link.context.span_id) for link in links}


async def test_of_an_instrumented_client(
    direct: DirectClient,
    instrument: Callable[[], None],
    provider: TracerProvider,
    spans: SpanRecorder,
) -> None:
    """The links lead to the spans that the instrumentation made of the sends, on SQS by X-Ray."""
    instrument()
    await Sent(direct, provider).processed(4, writing=None)
    sends = spans.named(direct.send_span(direct.orders))
    assert len(sends) == 4
    assert linked_by(spans) == ids_of(sends)
    assert of_instrumentation(spans) == {sends[0].name: 4}


async def test_of_a_client_with_w3c_headers(
    direct: DirectClient, provider: TracerProvider, spans: SpanRecorder
) -> None:
    """Where the program writes the standard headers itself, the links lead to its own spans."""
    await Sent(direct, provider).processed(4, writing=W3C)
    assert linked_by(spans) == ids_of(spans.named("foreign"))


@pytest.mark.parametrize("writing", PROPAGATORS[:2], ids=["in one header", "in several"])
@pytest.mark.parametrize("reading", PROPAGATORS, ids=["single", "multi", "W3C and multi"])
async def test_of_a_client_with_b3_headers(
    kafka: Kafka,
    provider: TracerProvider,
    spans: SpanRecorder,
    writing: TextMapPropagator,
    reading: TextMapPropagator,
) -> None:
    """Both forms of B3 are read by whatever propagator of B3 is in force."""
    await Sent(DirectKafka(kafka), provider).processed(3, writing=writing, reading=reading)
    assert linked_by(spans) == ids_of(spans.named("foreign"))


async def test_of_java(kafka: Kafka, provider: TracerProvider, spans: SpanRecorder) -> None:
    """Headers of any name may be repeated; a traceparent that is there twice counts as invalid."""
    direct = DirectKafka(kafka)
    tracing = linkbus.Tracing(tracer_provider=provider)
    messages = [
        [("traceparent", FIRST), ("kind", "a"), ("kind", "b")],
        [("traceparent", SECOND), ("tracestate", "a=b"), ("tracestate", "c=d")],
        [("traceparent", FIRST), ("traceparent", SECOND)],
        [("kind", "a")],
    ]
    async with AsyncExitStack() as stack:
        await direct.open(stack)
        bus = await stack.enter_async_context(linkbus.Bus(direct.transport(), tracing=tracing))
        for headers in messages:
            await direct.send(direct.orders, b"order", headers)
        consumer = await stack.enter_async_context(bus.consumer(direct.orders))
        batch = await anext(consumer.batches(max_messages=len(messages), max_wait=10.0))
        async with batch:
            assert batch[0].headers.get_all("kind") == ["a", "b"]
    (process,) = [span for span in spans.finished if span.name.startswith("process ")]
    linked = [f"{link.context.span_id:016x}" for link in process.links]
    assert linked == ["1" * 16, "2" * 16]
    counts = ("linkbus.link.count", "linkbus.link.missing", "linkbus.link.invalid")
    assert [(process.attributes or {})[name] for name in counts] == [2, 1, 1]


@pytest.mark.parametrize("direct", ["kafka"], indirect=True)
async def test_of_an_instrumented_client_that_forwards(
    direct: DirectClient,
    instrument: Callable[[], None],
    provider: TracerProvider,
    spans: SpanRecorder,
) -> None:
    """Where instrumentation adds its context to a copied one, none is linked, which is counted."""
    instrument()
    tracing = linkbus.Tracing(tracer_provider=provider)
    async with AsyncExitStack() as stack:
        await direct.open(stack)
        bus = await stack.enter_async_context(linkbus.Bus(direct.transport(), tracing=tracing))
        await direct.send(direct.notes, b"order")
        (headers,) = await direct.receive(direct.notes, 1)
        await direct.send(direct.orders, b"order", headers)
        consumer = await stack.enter_async_context(bus.consumer(direct.orders))
        async with await anext(consumer) as delivery:
            assert len(delivery.headers.get_all("traceparent")) == 2
    (process,) = spans.named(f"process {direct.orders}")
    assert process.links == ()
    assert process.attributes["linkbus.link.invalid"] == 1
