"""What the checks of traces share: a bus whose spans are recorded, and how they are compared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from textwrap import dedent

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span

import linkbus
from linkbus.testing._recorder import SpanRecorder
from linkbus.testing._trial import Trial

COUNTS = ("linkbus.link.missing", "linkbus.link.invalid")


@asynccontextmanager
async def traced(trial: Trial) -> AsyncIterator[tuple[linkbus.Bus, SpanRecorder]]:
    """Open a bus whose spans are recorded."""
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    with SpanRecorder(provider) as spans:
        async with trial.bus(linkbus.Tracing(tracer_provider=provider)) as bus:
            yield bus, spans
    spans.assert_no_leaks()


@asynccontextmanager
async def application(spans: SpanRecorder, name: str) -> AsyncIterator[Span]:
    """Make a span of the application current."""
    tracer = spans.tracer_provider.get_tracer("application")
    with tracer.start_as_current_span(name) as span:
        yield span


async def process_next(consumer: linkbus.Consumer) -> linkbus.Delivery:
    """Process one message in the block that acknowledges it."""
    async for delivery in consumer:
        async with delivery:
            pass
        break
    return delivery


def expect_tree(
    spans: SpanRecorder, destination: str, expected: str, *, dead: str | None = None
) -> None:
    """Fail unless the spans are these: with `orders` for the destination, `orders.dead` for dead.

    Args:
        spans: What was recorded.
        destination: The one that the check made.
        expected: The tree.
        dead: Where the check sends dead letters.
    """
    names = {destination: "orders"} | ({} if dead is None else {dead: "orders.dead"})
    links = ("linkbus.link.relation",)
    tree = spans.tree(attributes=COUNTS, link_attributes=links, replace=names)
    expected = dedent(expected).strip()
    assert tree == expected, f"the traces should be\n{expected}\nand are\n{tree}"


def the_span(spans: SpanRecorder, name: str) -> ReadableSpan:
    """Return the only span of a name."""
    found = spans.named(name)
    assert len(found) == 1, f"{len(found)} spans are named {name!r}:\n{spans.tree()}"
    return found[0]


def linked(span: ReadableSpan) -> list[int]:
    """Return the ids of the spans that a span links to."""
    return [link.context.span_id for link in span.links]


def ids(spans: list[ReadableSpan]) -> list[int]:
    """Return the ids of spans."""
    return [span.context.span_id for span in spans if span.context]
