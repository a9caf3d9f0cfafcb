"""Steps that many tests of traces take, and what they look at in a span."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from textwrap import dedent

import anyio
from opentelemetry.sdk.trace import ReadableSpan

import linkbus
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryBroker, MemoryTransport

Ids = tuple[int, int]
Handler = Callable[[linkbus.Delivery], Awaitable[None]]

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACEPARENT_IDS = (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)


async def process_next(consumer: linkbus.Consumer) -> linkbus.Delivery:
    """Process one message, in the block that acknowledges it."""
    (delivery,) = await take(consumer, 1)
    async with delivery:
        return delivery


async def take(consumer: linkbus.Consumer, count: int) -> list[linkbus.Delivery]:
    """Take deliveries by iteration, and process none."""
    taken: list[linkbus.Delivery] = []
    async for delivery in consumer:
        taken.append(delivery)
        if len(taken) == count:
            break
    return taken


async def next_batch(consumer: linkbus.Consumer, count: int) -> linkbus.Batch:
    """Take one batch of so many messages, which are there already."""
    return await anext(consumer.batches(max_messages=count, max_wait=10.0))


async def process_batch(consumer: linkbus.Consumer, count: int) -> linkbus.Batch:
    """Process one batch of so many messages."""
    batch = await next_batch(consumer, count)
    async with batch:
        return batch


async def handle(consumer: linkbus.Consumer, handler: Handler, count: int = 1) -> None:
    """Run a handler until it was called so often, and end it by cancellation."""
    done = anyio.Event()
    calls = 0

    async def counted(delivery: linkbus.Delivery) -> None:
        nonlocal calls
        calls += 1
        if calls == count:
            done.set()
        await handler(delivery)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.run, counted)
        await done.wait()
        tasks.cancel_scope.cancel()


async def reject(delivery: linkbus.Delivery) -> None:
    """Handle a delivery by taking it never again."""
    raise linkbus.Reject


async def nothing(delivery: linkbus.Delivery) -> None:
    """Handle a delivery by doing nothing."""


async def send_raw(broker: MemoryBroker, body: bytes, headers: Mapping[str, object]) -> None:
    """Send a message as a stranger does: its headers are stored as they are."""
    transport = MemoryTransport(broker)
    await transport.open()
    given = linkbus.Headers.received(headers.items())
    await send_envelope(transport, body, given)


async def send_envelope(transport: MemoryTransport, body: bytes, headers: linkbus.Headers) -> None:
    """Hand one envelope to a transport, to the destination `orders`."""
    (result,) = await transport.send("orders", [linkbus.abc.Envelope("id", body, None, headers)])
    assert result.status is linkbus.SendStatus.SENT


def expect(
    spans: SpanRecorder, expected: str, *, attributes: Sequence[str] = (), width: int = 100
) -> None:
    """Compare the printed tree of all spans; of links only their relation is printed.

    `pytest -rP` shows the trees.
    """
    relation = ("linkbus.link.relation",)
    tree = spans.tree(attributes=attributes, link_attributes=relation, width=width)
    sys.stdout.write(f"{tree}\n")
    assert tree == dedent(expected).strip("\n")


def only(spans: SpanRecorder, name: str) -> ReadableSpan:
    """Return the one span of a name."""
    (span,) = spans.named(name)
    return span


def facts(span: ReadableSpan) -> dict[str, object]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> Ids:
    """Return what a link to this span holds."""
    return span.context.trace_id, span.context.span_id


def parent(span: ReadableSpan) -> Ids | None:
    """Return the ids of the span that this is a child of."""
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


def linked(span: ReadableSpan) -> list[Ids]:
    """Return the ids of the spans that this one links to, in order."""
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def link_facts(span: ReadableSpan) -> list[dict[str, object]]:
    """Return the attributes of each link of a span, in order."""
    return [dict(link.attributes or {}) for link in span.links]
