"""Shape 11: with `LinkedSampler` linked traces are kept or dropped together, as their flow is."""

import json
from contextlib import asynccontextmanager
from functools import partial
from itertools import count

import anyio
import pytest
from flows import expect, handle, link_facts, process_next, send_raw, take
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, TraceIdRatioBased

from linkbus import Bus, RetryPolicy, Tracing, capture_context, linked_span
from linkbus.sampling import LinkedSampler
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryBroker, MemoryTransport

KEPT, DROPPED = 0x17, 0xFFFF_FFFF_FFFF_FF17
"""The ends of trace ids that a ratio of 0.1 keeps, and drops."""
EITHER = pytest.mark.parametrize(("first", "others"), [(KEPT, DROPPED), (DROPPED, KEPT)])
TENTH = TraceIdRatioBased(0.1)


class Traces(RandomIdGenerator):
    """Gives distinct trace ids, with the ends that a test says; after the last, it stays."""

    def __init__(self, *ends: int) -> None:
        self._ends = list(ends)
        self._numbers = count(1)

    def generate_trace_id(self) -> int:
        """Return the next."""
        end = self._ends.pop(0) if len(self._ends) > 1 else self._ends[0]
        return next(self._numbers) << 64 | end


def sampling(*ends, root=TENTH, batches="any"):
    """Make a provider whose traces get these ids, and that keeps a tenth of the flows."""
    sampler = ParentBased(LinkedSampler(root, batches=batches))
    return TracerProvider(sampler=sampler, id_generator=Traces(*ends), shutdown_on_exit=False)


@asynccontextmanager
async def traced(provider, transport=None, **tracing):
    """Open a bus of such a provider; give it with the spans."""
    with SpanRecorder(provider) as spans:
        config = Tracing(tracer_provider=provider, **tracing)
        async with Bus(transport or MemoryTransport(), tracing=config) as bus:
            yield bus, spans
    spans.assert_no_leaks()


def flow(headers):
    """Return the end of the flow's id that a message carries, or None."""
    state = headers.get("tracestate")
    return None if state is None else int(state.removeprefix("linkbus=")[16:], 16)


def is_sampled(headers):
    """Whether the context that a message brought is sampled."""
    return bool(int(headers["traceparent"][-2:], 16) & 1)


async def over_three_hops(provider):
    """Send an order, and have it forwarded twice; return the spans, and all headers received."""
    received = []

    async def note(delivery):
        received.append(delivery.headers)

    async with traced(provider) as (bus, spans):

        async def forward(delivery, *, to):
            await note(delivery)
            await bus.producer(to).send(b"")

        await bus.producer("orders").send(b"")
        await handle(bus.consumer("orders"), partial(forward, to="packing"))
        await handle(bus.consumer("packing"), partial(forward, to="mail"))
        await handle(bus.consumer("mail"), note)
    return spans, received


async def test_a_flow_that_is_kept():
    """Every trace of it is kept, whatever its own id, and its id travels in the tracestate."""
    spans, received = await over_three_hops(sampling(KEPT, DROPPED))
    expect(
        spans,
        """
        A  send orders      PRODUCER
        B  process orders   CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
             send packing   PRODUCER
        C  process packing  CONSUMER  ⇢ B/send packing {linkbus.link.relation=producer}
             send mail      PRODUCER
        D  process mail     CONSUMER  ⇢ C/send mail {linkbus.link.relation=producer}
        """,
    )
    assert [flow(headers) for headers in received] == [None, KEPT, KEPT]


async def test_a_flow_that_is_dropped():
    """Every trace of it is dropped, and its id travels all the same."""
    spans, received = await over_three_hops(sampling(DROPPED, KEPT))
    assert spans.finished == []
    assert [flow(headers) for headers in received] == [None, DROPPED, DROPPED]
    assert not any(is_sampled(headers) for headers in received)


async def test_without_the_sampler():
    """A root sampler alone decides for each trace by its own id, and the flow is torn."""
    ids = Traces(DROPPED, KEPT, DROPPED)
    alone = TracerProvider(sampler=ParentBased(TENTH), id_generator=ids, shutdown_on_exit=False)
    spans, _ = await over_three_hops(alone)
    expect(
        spans,
        """
        A  process orders  CONSUMER  ⇢ ? {linkbus.link.relation=producer}
             send packing  PRODUCER
        """,
    )


async def between(sender, receiver, **tracing):
    """Send with one provider, process with another one; return the process spans."""
    broker = MemoryBroker()
    async with (
        traced(sender, MemoryTransport(broker)) as (sending, _),
        traced(receiver, MemoryTransport(broker), **tracing) as (receiving, spans),
        receiving.consumer("orders") as consumer,
    ):
        await sending.producer("orders").send(b"")
        await process_next(consumer)
    return spans.named("process orders")


async def test_a_producer_that_keeps_less():
    """It does not silence a consumer that keeps more; the link is marked."""
    (process,) = await between(sampling(KEPT, root=ALWAYS_OFF), sampling(DROPPED))
    assert link_facts(process)[0]["linkbus.link.sampled"] is False


async def test_a_producer_that_keeps_more():
    """It does not make a consumer record what that would drop."""
    assert await between(sampling(DROPPED, root=ALWAYS_ON), sampling(KEPT)) == []


@pytest.mark.parametrize("inbound", ["untrusted", "ignore"])
@EITHER
async def test_a_stranger_decides_nothing(first, others, inbound):
    """Where a sender is not trusted, the new trace is decided for by its own id."""
    stranger = sampling(others, root=ALWAYS_ON)
    processes = await between(stranger, sampling(first), inbound=inbound)
    assert len(processes) == (first == KEPT)


@pytest.mark.parametrize("root", [ALWAYS_ON, ALWAYS_OFF])
async def test_the_child_of_a_producer(root):
    """With `relation="parent"` there is no new trace, and the producer's decision holds."""
    processes = await between(sampling(DROPPED, root=root), sampling(KEPT), relation="parent")
    assert len(processes) == (root is ALWAYS_ON)


@pytest.mark.parametrize(
    ("batches", "own", "goes_on"),
    [
        ("any", DROPPED, KEPT),
        ("first", KEPT, DROPPED),
        ("ratio", KEPT, KEPT),
        ("ratio", DROPPED, DROPPED),
    ],
)
async def test_a_batch(batches, own, goes_on):
    """Of its three flows the second is kept; who receives from it decides as it did."""
    async with (
        traced(sampling(DROPPED, KEPT, DROPPED, own, batches=batches)) as (bus, spans),
        bus.consumer("orders") as orders,
        bus.consumer("reports") as reports,
    ):
        for _ in range(3):
            await bus.producer("orders").send(b"")
        async with await anext(orders.batches(max_messages=3, max_wait=10.0)):
            await bus.producer("reports").send(b"")
        report = await process_next(reports)
    kept = int(goes_on == KEPT)
    assert len(spans.named("process orders")) == len(spans.named("process reports")) == kept
    assert flow(report.headers) == goes_on


@EITHER
async def test_a_batch_with_more_links_than_a_span_holds(first, others):
    """The child spans with the rest of the links are in its trace, and in its flow."""
    provider = sampling(first, others, batches="first")
    async with traced(provider, max_links=3) as (bus, spans), bus.consumer("orders") as orders:
        for _ in range(7):
            await bus.producer("orders").send(b"")
        async with await anext(orders.batches(max_messages=7, max_wait=10.0)):
            pass
    found = spans.named("process orders links") + spans.named("process orders")
    assert [len(span.links) for span in found] == ([3, 1, 3] if first == KEPT else [])
    assert all(flow({"tracestate": s.context.trace_state.to_header()}) == first for s in found)


@pytest.mark.parametrize("inbound", ["untrusted", "ignore"])
@EITHER
async def test_attempts(first, others, inbound):
    """All attempts are decided for as the first one was, if nothing else counts."""
    calls = []

    async def fail_twice(delivery):
        calls.append(delivery)
        if len(calls) < 3:
            raise ValueError

    async with traced(sampling(others, first, others), inbound=inbound) as (bus, spans):
        await bus.producer("orders").send(b"")
        retry = RetryPolicy(max_attempts=3, initial_delay=0.0)
        await handle(bus.consumer("orders", retry=retry), fail_twice, 3)
    assert len(spans.named("process orders")) == (3 if first == KEPT else 0)


@pytest.mark.parametrize(("batches", "kept"), [("any", 2), ("first", 0), ("ratio", 2)])
async def test_attempts_at_a_batch(batches, kept):
    """The second is decided for as the first was, though another part of the batch is left."""
    attempts = []
    done = anyio.Event()

    async def fail_once(batch):
        attempts.append(len(batch))
        if len(attempts) == 2:
            done.set()
            return
        await batch[1].ack()
        raise ValueError

    provider = sampling(DROPPED, KEPT, DROPPED, KEPT, DROPPED, batches=batches)
    async with traced(provider) as (bus, spans):
        for _ in range(3):
            await bus.producer("orders").send(b"")
        consumer = bus.consumer("orders", retry=RetryPolicy(initial_delay=0.0))
        run = partial(consumer.run_batches, max_messages=3, max_wait=10.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, fail_once)
            await done.wait()
            tasks.cancel_scope.cancel()
    assert attempts == [3, 2]
    assert len(spans.named("process orders")) == kept


@EITHER
async def test_a_dead_letter(first, others):
    """It carries its flow on, and is decided for as the message that failed."""

    async def fail(delivery):
        raise ValueError

    async with traced(sampling(first, others)) as (bus, spans), bus.consumer("dead") as dead:
        await bus.producer("orders").send(b"")
        await handle(bus.consumer("orders", dead_letter="dead"), fail)
        letter = await process_next(dead)
    kept = int(first == KEPT)
    assert len(spans.named("process orders")) == len(spans.named("process dead")) == kept
    assert flow(letter.headers) == first


@EITHER
async def test_a_message_that_was_sent_again(first, others):
    """What somebody sent again outside of its flow is decided for as its origin."""
    origin = {"traceparent": f"00-{first:032x}-{1:016x}-01"}
    again = f"00-{others:032x}-{2:016x}-01"
    transport = MemoryTransport()
    async with (
        traced(sampling(others), transport) as (bus, spans),
        bus.consumer("orders") as consumer,
    ):
        headers = {"linkbus": json.dumps({"origin": origin}), "traceparent": again}
        await send_raw(transport.broker, b"", headers)
        await process_next(consumer)
    assert len(spans.named("process orders")) == (first == KEPT)


@EITHER
async def test_a_message_that_was_made_early(first, others):
    """Who sends it later, and who processes it, keep what is kept of its making."""
    async with traced(sampling(first, others)) as (bus, spans), bus.consumer("orders") as consumer:
        message = bus.producer("orders").create(b"")
        await bus.producer("orders").send(message)
        await process_next(consumer)
    names = ["create orders", "send orders", "process orders"]
    assert [span.name for span in spans.finished] == (names if first == KEPT else [])


async def test_below_a_span_of_the_application():
    """What is pulled below a span is of that span's trace, and what it sends of its flow."""
    provider = sampling(DROPPED, KEPT, DROPPED)
    app = provider.get_tracer("application")
    async with (
        traced(provider) as (bus, spans),
        bus.consumer("orders") as orders,
        bus.consumer("mail") as mail,
    ):
        await bus.producer("orders").send(b"")
        with app.start_as_current_span("cron"):
            (delivery,) = await take(orders, 1)
            async with delivery:
                await bus.producer("mail").send(b"")
        await process_next(mail)
    expect(
        spans,
        """
        A  cron              INTERNAL
             process orders  CONSUMER  ⇢ ? {linkbus.link.relation=producer}
               send mail     PRODUCER
        B  process mail      CONSUMER  ⇢ A/send mail {linkbus.link.relation=producer}
        """,
    )


@pytest.mark.parametrize(
    ("batches", "own", "kept"),
    [("any", DROPPED, 1), ("first", KEPT, 0), ("ratio", KEPT, 1), ("ratio", DROPPED, 0)],
)
def test_a_job_over_stored_contexts(monkeypatch, batches, own, kept):
    """`linked_span` is decided for as a batch, by the contexts that it is given on entry."""
    provider = sampling(DROPPED, KEPT, own, batches=batches)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    rows = []
    with SpanRecorder(provider) as spans:
        for _ in range(2):
            with provider.get_tracer("application").start_as_current_span("POST /order"):
                rows.append(capture_context())
        with linked_span("nightly report", rows):
            pass
    assert len(spans.named("nightly report")) == kept


@EITHER
def test_a_job_without_contexts(monkeypatch, first, others):
    """It is kept with the span that it runs in, to which it links."""
    provider = sampling(first, others)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    app = provider.get_tracer("application")
    with (
        SpanRecorder(provider) as spans,
        app.start_as_current_span("cron"),
        linked_span("nightly report"),
    ):
        pass
    names = ["nightly report", "cron"]
    assert [span.name for span in spans.finished] == (names if first == KEPT else [])


def test_a_job_over_what_jobs_stored(monkeypatch):
    """A context that is stored has the flow's id with it, so a flow goes on over many jobs."""
    provider = sampling(KEPT, DROPPED)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    stored = {}
    with SpanRecorder(provider) as spans:
        for _ in range(4):
            with linked_span("job", [stored]):
                stored = capture_context()
    assert len(spans.named("job")) == 4
