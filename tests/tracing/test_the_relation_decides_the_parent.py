"""Shape 4: `relation` decides whose child a process span is; the link is always there."""

from time import time

import pytest
from flows import (
    expect,
    facts,
    handle,
    ids,
    linked,
    nothing,
    only,
    parent,
    process_batch,
    process_next,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

import linkbus
from linkbus import Bus, RetryPolicy, Tracing
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryTransport


class Aged(MemoryTransport):
    """Gives messages that were sent so many seconds ago, or at a time that is not known."""

    def __init__(self, age):
        super().__init__()
        self.age = age

    async def subscribe(self, source, group, *, prefetch, lost):
        receiver = await super().subscribe(source, group, prefetch=prefetch, lost=lost)
        receive = receiver.receive

        async def aged(max_messages, wait):
            arrivals = await receive(max_messages, wait)
            for arrival in arrivals:
                arrival.sent_at = None if self.age is None else time() - self.age
            return arrivals

        receiver.receive = aged
        return receiver


async def pulled_in_a_job(bus, app, relation):
    """Send a message in a request, and process it in a job of the application."""
    async with bus.consumer("orders", relation=relation) as consumer:
        with app.start_as_current_span("GET /order"):
            await bus.producer("orders").send(b"order")
        with app.start_as_current_span("job"):
            await process_next(consumer)


async def test_parent(bus, app, spans):
    """`parent`: it is the producer's child and linked to it; an ambient span is left out."""
    await pulled_in_a_job(bus, app, "parent")
    expect(
        spans,
        """
        A  GET /order          INTERNAL
             send orders       PRODUCER
               process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        B  job                 INTERNAL
        """,
    )


async def test_both(bus, app, spans):
    """`both`: the same, and the ambient span is a second link."""
    await pulled_in_a_job(bus, app, "both")
    expect(
        spans,
        """
        A  GET /order          INTERNAL
             send orders       PRODUCER
               process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
                                         ⇢ B/job {linkbus.link.relation=ambient}
        B  job                 INTERNAL
        """,
    )
    found = facts(only(spans, "process orders"))
    assert found["linkbus.link.span_id"] == f"{only(spans, 'send orders').context.span_id:016x}"
    assert "linkbus.links" not in found


async def test_auto_inside_an_ambient_span(bus, app, spans):
    """`auto`: the ambient span is the parent where there is one."""
    await pulled_in_a_job(bus, app, "auto")
    expect(
        spans,
        """
        A  GET /order        INTERNAL
             send orders     PRODUCER
        B  job               INTERNAL
             process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        """,
    )


@pytest.mark.parametrize("relation", ["parent", "both", "auto"])
async def test_pushed(bus, spans, relation):
    """In a handler a fresh message's span is its producer's child, in all but `link`."""
    await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders", relation=relation), nothing)
    process, send = only(spans, "process orders"), only(spans, "send orders")
    assert parent(process) == ids(send)
    assert linked(process) == [ids(send)]


@pytest.mark.parametrize(
    ("age", "is_child"), [(0.0, True), (59.0, True), (61.0, False), (None, False)]
)
async def test_auto_by_age(provider, spans, age, is_child):
    """`auto`: a message older than a minute, or of unknown age, starts a trace of its own."""
    tracing = Tracing(tracer_provider=provider, relation="auto")
    async with Bus(Aged(age), tracing=tracing) as bus:
        await bus.producer("orders").send(b"order")
        await handle(bus.consumer("orders"), nothing)
    process, send = only(spans, "process orders"), only(spans, "send orders")
    assert parent(process) == (ids(send) if is_child else None)
    assert linked(process) == [ids(send)]


async def test_auto_of_a_later_attempt(bus, spans):
    """`auto`: a later attempt starts a trace of its own."""
    calls = []

    async def fail_once(delivery):
        calls.append(delivery)
        if len(calls) == 1:
            raise ValueError

    await bus.producer("orders").send(b"order")
    retry = RetryPolicy(max_attempts=2, initial_delay=0.0)
    await handle(bus.consumer("orders", relation="auto", retry=retry), fail_once, 2)
    first, second = spans.named("process orders")
    assert parent(first) == ids(only(spans, "send orders"))
    assert parent(second) is None


@pytest.mark.parametrize("relation", ["parent", "both", "auto"])
async def test_a_batch_is_never_a_producers_child(bus, spans, relation):
    """A batch, even of one message, is only linked."""
    async with bus.consumer("orders", relation=relation) as consumer:
        await bus.producer("orders").send(b"order")
        await process_batch(consumer, 1)
    assert parent(only(spans, "process orders")) is None
    assert linked(only(spans, "process orders")) == [ids(only(spans, "send orders"))]


async def test_of_the_bus(provider, spans):
    """The bus's relation holds for consumers that have none of their own."""
    tracing = Tracing(tracer_provider=provider, relation="parent")
    async with Bus(MemoryTransport(), tracing=tracing) as bus:
        for relation in (None, "link"):
            async with bus.consumer("orders", relation=relation) as consumer:
                await bus.producer("orders").send(b"order")
                await process_next(consumer)
    parents = [parent(span) for span in spans.named("process orders")]
    assert parents == [ids(spans.named("send orders")[0]), None]


async def test_a_message_without_a_context(bus, app, spans, transport):
    """A message without a context is processed below the ambient span, whatever the relation."""
    await transport.open()
    async with bus.consumer("orders", relation="parent") as consumer:
        await transport.send("orders", [linkbus.abc.Envelope("id", b"")])
        with app.start_as_current_span("job"):
            await process_next(consumer)
    assert parent(only(spans, "process orders")) == ids(only(spans, "job"))


@pytest.mark.parametrize(("relation", "count"), [("parent", 0), ("link", 1)])
async def test_an_unsampled_producer(relation, count):
    """A producer that was not sampled silences the consumer as its parent, and else does not."""
    broker = MemoryTransport().broker
    unsampled = Tracing(tracer_provider=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    async with Bus(MemoryTransport(broker), tracing=unsampled) as bus:
        await bus.producer("orders").send(b"order")
    provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)
    with SpanRecorder(provider) as spans:
        tracing = Tracing(tracer_provider=provider, relation=relation)
        async with Bus(MemoryTransport(broker), tracing=tracing) as bus:
            await handle(bus.consumer("orders"), nothing)
    processes = spans.named("process orders")
    assert len(processes) == count
    for process in processes:
        assert dict(process.links[0].attributes)["linkbus.link.sampled"] is False
