"""Shape 3, its limits: what one span cannot hold goes to child spans, whatever the limit is."""

from collections import Counter

import pytest
from flows import facts, ids, link_facts, linked, only, parent, process_batch
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

import linkbus
from linkbus import Bus, Message, Tracing
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryTransport

TRACE = "0af7651916cd43dd8448eb211c80319c"


def limited(**limits):
    """Make a provider with limits of its own."""
    return TracerProvider(
        sampler=ALWAYS_ON, span_limits=SpanLimits(**limits), shutdown_on_exit=False
    )


async def batch_of(provider, count, **tracing):
    """Send so many messages with as many contexts, process one batch, return the spans."""
    with SpanRecorder(provider) as spans:
        bus = Bus(MemoryTransport(), tracing=Tracing(tracer_provider=provider, **tracing))
        async with bus, bus.consumer("orders", prefetch=count) as consumer:
            await bus.producer("orders").send_batch([Message(b"")] * count)
            await process_batch(consumer, count)
    spans.assert_no_leaks()
    return spans


def chunks(spans, name):
    """Return how many links a span and each of its children has."""
    return [len(only(spans, name).links), *(len(s.links) for s in spans.named(f"{name} links"))]


async def test_above_a_hundred(provider):
    """The hundred-and-first link is on a child span, of the send and of the process span."""
    spans = await batch_of(provider, 101)
    assert chunks(spans, "send orders") == [100, 1]
    assert chunks(spans, "process orders") == [100, 1]
    process, child = only(spans, "process orders"), only(spans, "process orders links")
    assert parent(child) == ids(process)
    assert child.kind.name == "INTERNAL"
    assert child.end_time <= process.end_time
    assert facts(process)["linkbus.link.count"] == 101
    assert sorted(linked(process) + linked(child)) == sorted(
        ids(span) for span in spans.named("create orders")
    )


async def test_a_hundred(provider):
    """Exactly a hundred links need no child span."""
    spans = await batch_of(provider, 100)
    assert chunks(spans, "process orders") == [100]


async def test_child_spans_carry_their_mirrors_and_nothing_of_messaging(provider):
    """A child span names its own links, up to forty, and no `messaging.*` attribute."""
    spans = await batch_of(provider, 45, max_links=42)
    assert chunks(spans, "process orders") == [42, 3]
    process, child = only(spans, "process orders"), only(spans, "process orders links")
    assert facts(process)["linkbus.links"] == spelled(process)[:40]
    assert facts(child) == {"linkbus.links": spelled(child)}


def spelled(span):
    """Return the links of a span as the mirrors spell them."""
    return tuple(f"{trace:032x}-{span:016x}" for trace, span in linked(span))


async def test_of_the_bus(provider):
    """A bus may be told to put fewer links on one span."""
    spans = await batch_of(provider, 5, max_links=2)
    assert chunks(spans, "process orders") == [2, 2, 1]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (3, [3, 3, 1]),
        (2, [2, 2, 2, 1]),
        (1, [1] * 7),
        (0, [0]),
        (6, [6, 1]),
        (7, [7]),
        (SpanLimits.UNSET, [7]),
    ],
)
async def test_of_the_provider(limit, expected):
    """What the provider would drop in silence goes to child spans; with 0 it is counted only."""
    spans = await batch_of(limited(max_links=limit), 7)
    for name in ("send orders", "process orders"):
        assert chunks(spans, name) == expected
    process = only(spans, "process orders")
    assert facts(process)["linkbus.link.count"] == 7
    if limit != 0:
        found = Counter(linked(process))
        found.update(pair for s in spans.named("process orders links") for pair in linked(s))
        assert found == Counter(ids(span) for span in spans.named("create orders"))
        assert facts(process)["linkbus.links"] == spelled(process)
        assert "linkbus.link.span_id" not in facts(process)


async def test_of_the_provider_and_the_bus():
    """With both limits no span is above the smaller one, and nothing is lost."""
    for limit, most in ((2, 3), (3, 2)):
        spans = await batch_of(limited(max_links=limit), 7, max_links=most)
        assert sum(chunks(spans, "process orders")) == 7
        assert max(chunks(spans, "process orders")) == 2


async def test_of_the_environment(monkeypatch):
    """The limit of the environment is the provider's."""
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "4")
    spans = await batch_of(TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False), 9)
    assert chunks(spans, "process orders") == [4, 4, 1]


@pytest.mark.parametrize("limit", [1, 2])
async def test_with_a_link_to_the_attempt_before(limit):
    """A second attempt loses neither the link to the send span nor that to the first attempt."""
    provider = limited(max_links=limit)
    retry = linkbus.RetryPolicy(max_attempts=2, initial_delay=0.0)
    with SpanRecorder(provider) as spans:
        async with Bus(MemoryTransport(), tracing=Tracing(tracer_provider=provider)) as bus:
            await bus.producer("orders").send(b"")
            with pytest.raises(linkbus.DeliveryError):
                await bus.consumer("orders", retry=retry).run(fail)
    first, second = spans.named("process orders")
    found = linked(second) + [
        pair for s in spans.named("process orders links") for pair in linked(s)
    ]
    assert sorted(found) == sorted([ids(only(spans, "send orders")), ids(first)])


async def fail(delivery):
    """Handle nothing, ever."""
    raise ValueError


async def test_of_a_receive_span(provider):
    """The links of a receive span are chunked alike."""
    with SpanRecorder(provider) as spans:
        bus = Bus(MemoryTransport(), tracing=Tracing(tracer_provider=provider, max_links=2))
        async with bus, bus.consumer("orders") as consumer:
            await bus.producer("orders").send_batch([Message(b"")] * 3)
            held = await consumer.receive(3, timeout=10.0)
            assert len(held) == 3
    assert chunks(spans, "receive orders") == [2, 1]


async def test_recorded_targets_come_before_others(provider, spans):
    """A sampler sees the links of the span itself: the first, and those to what was recorded."""
    ids_of_spans = [f"{number:016x}" for number in range(1, 6)]
    contexts = [
        {"traceparent": f"00-{TRACE}-{span}-0{number // 3}"}
        for number, span in enumerate(ids_of_spans)
    ]
    tracing = Tracing(tracer_provider=provider, max_links=2)
    async with Bus(MemoryTransport(), tracing=tracing) as bus, bus.consumer("orders") as consumer:
        await bus.producer("orders").send_batch([Message(b"", context=one) for one in contexts])
        await process_batch(consumer, 5)
    assert [span for _, span in linked(only(spans, "process orders"))] == [1, 4]
    assert len(spans.named("process orders links")) == 2


async def test_nothing_below_a_span_that_is_not_recorded():
    """A span that is not recorded has no child spans for its links."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    spans = await batch_of(provider, 5, max_links=2)
    assert spans.finished == []


async def test_ten_thousand_messages(provider):
    """Ten thousand messages of ten thousand spans have ten thousand links, and none is lost."""
    spans = await batch_of(provider, 10_000)
    process, children = only(spans, "process orders"), spans.named("process orders links")
    everything = [process, *children]
    found = [pair for span in everything for pair in linked(span)]
    assert set(found) == {ids(span) for span in spans.named("create orders")}
    assert len(found) == len(set(found)) == 10_000
    assert len(everything) == 100
    assert all(len(span.links) == 100 for span in everything)
    assert all(facts(span)["linkbus.links"] == spelled(span)[:40] for span in everything)
    assert all(parent(child) == ids(process) for child in children)
    named = {fact["messaging.message.id"] for span in everything for fact in link_facts(span)}
    assert len(named) == 10_000
    counts = [facts(process)[f"linkbus.link.{name}"] for name in ("count", "missing", "invalid")]
    assert counts == [10_000, 0, 0]
    assert facts(process)["messaging.batch.message_count"] == 10_000
