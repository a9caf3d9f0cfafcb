"""assert_every_message_linked holds for what linkbus does, and names each message that lost it."""

from functools import partial

import anyio
import pytest
from altering_transport import (
    Altering,
    with_broken_context,
    with_contexts_reversed,
    without_context,
)
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

import linkbus
from linkbus.abc import Envelope
from linkbus.testing import SpanRecorder, assert_every_message_linked
from linkbus.transports.memory import MemoryTransport


@pytest.fixture
def spans():
    """Record the spans of a provider of its own."""
    with SpanRecorder(TracerProvider(shutdown_on_exit=False)) as recorder:
        yield recorder
    recorder.assert_no_leaks()


@pytest.fixture
async def bus(spans):
    """Open a bus in memory whose spans are recorded."""
    async with linkbus.Bus(MemoryTransport(), tracing=tracing(spans)) as bus:
        yield bus


def tracing(spans, **options):
    """Return a configuration with the provider of a recorder."""
    return linkbus.Tracing(tracer_provider=spans.tracer_provider, **options)


def failure(spans, **options):
    """Return what a failure says."""
    with pytest.raises(AssertionError) as caught:
        spans.assert_every_message_linked(**options)
    return str(caught.value)


async def process(bus, source, count=1, **options):
    """Process so many messages one by one."""
    async with bus.consumer(source, **options) as consumer:
        for _ in range(count):
            async with await anext(consumer):
                pass


async def process_batch(bus, source, count):
    """Process so many messages in one batch."""
    async with bus.consumer(source) as consumer:
        batch = await anext(consumer.batches(max_messages=count, max_wait=5.0))
        async with batch:
            pass


@pytest.mark.parametrize("relation", ["link", "parent", "both", "auto"])
async def test_messages_one_by_one(spans, relation):
    """Every relation keeps the link that the check looks for."""
    async with linkbus.Bus(MemoryTransport(), tracing=tracing(spans, relation=relation)) as bus:
        for _ in range(3):
            await bus.producer("orders").send(b"two books")
        await process(bus, "orders", 3)
    spans.assert_every_message_linked()


@pytest.mark.parametrize("create_spans", [True, False])
async def test_batches_above_every_limit(spans, create_spans):
    """Links on chunk children count, and so does one context behind many messages."""
    async with linkbus.Bus(MemoryTransport(), tracing=tracing(spans, max_links=7)) as bus:
        orders = bus.producer("orders", create_spans=create_spans)
        await orders.send_batch([linkbus.Message(b"%d" % n) for n in range(30)])
        await process_batch(bus, "orders", 30)
    assert len(spans.named("process orders links")) == (4 if create_spans else 0)
    spans.assert_every_message_linked()


async def test_attempts_groups_and_dead_letters(bus, spans):
    """Retries, a second group and a dead letter leave every message linked."""
    done = anyio.Event()

    async def fail(delivery):
        if delivery.attempt == 2:
            done.set()
        raise ValueError

    policy = linkbus.RetryPolicy(max_attempts=2, initial_delay=0.001)
    failing = bus.consumer("orders", group="a", retry=policy, dead_letter="orders.dead")
    async with bus.consumer("orders", group="b") as other, anyio.create_task_group() as tasks:
        await bus.producer("orders").send(b"two books", id="4711")
        tasks.start_soon(failing.run, fail)
        await done.wait()
        await process(bus, "orders.dead")
        async with await anext(other):
            pass
        tasks.cancel_scope.cancel()
    assert len(spans.named("process orders")) == 3
    spans.assert_every_message_linked()


async def test_created_early_and_settled_by_hand(bus, spans):
    """A stored creation context, sent later, is linked by the span of the settlement."""
    orders = bus.producer("orders")
    with spans.tracer_provider.get_tracer("app").start_as_current_span("POST /order"):
        message = orders.create(b"two books", id="4711")
    assert failure(spans) == (
        "not every message is linked:\n"
        "- message '4711', made by 'create orders', is linked by no span that sent it\n"
        "Messages that may be on their way are allowed by in_flight=['orders']."
    )
    await orders.send(message)
    assert "- message '4711', sent by 'send orders', is linked by no span" in failure(spans)
    async with bus.consumer("orders") as consumer:
        await (await anext(consumer)).ack()
    spans.assert_every_message_linked()


async def test_a_row_of_an_outbox_is_a_creation_context(bus, spans):
    """A message that is sent with the context of a request is linked to the request."""
    with spans.tracer_provider.get_tracer("app").start_as_current_span("POST /order"):
        row = linkbus.capture_context()
    await bus.producer("orders").send(linkbus.Message(b"two books", id="4711", context=row))
    assert "- message '4711', sent by 'send orders', is linked by no span" in failure(spans)
    await process(bus, "orders")
    spans.assert_every_message_linked()


async def test_lost_headers(spans):
    """A message that came without its context is named, once for all of its attempts."""
    async with linkbus.Bus(Altering(without_context), tracing=tracing(spans)) as bus:
        await bus.producer("orders").send(b"two books", id="4711")
        async with bus.consumer("orders") as consumer:
            with pytest.raises(ZeroDivisionError):
                async with await anext(consumer):
                    _ = 1 / 0
            async with await anext(consumer):
                pass
    assert len(spans.named("process orders")) == 2
    assert failure(spans) == (
        "not every message is linked:\n"
        "- 'process orders': message '4711' came without a trace context: were headers lost on"
        " the way?"
    )


async def test_lost_headers_in_a_batch(spans):
    """A batch says how many came without, and the sends say which those may be."""
    async with linkbus.Bus(
        Altering(partial(without_context, ids={"2"})), tracing=tracing(spans)
    ) as bus:
        messages = [linkbus.Message(b"", id=name) for name in ("1", "2", "3")]
        await bus.producer("orders").send_batch(messages)
        await process_batch(bus, "orders", 3)
    assert failure(spans) == (
        "not every message is linked:\n"
        "- 'process orders': 1 of 3 messages came without a trace context: were headers lost on"
        " the way?\n"
        "- message '2', sent by 'send orders', is linked by no span that processed it\n"
        "Messages that may be on their way are allowed by in_flight=['orders']."
    )


async def test_an_invalid_context(spans):
    """A context that cannot be read is told apart from one that is not there."""
    async with linkbus.Bus(Altering(with_broken_context), tracing=tracing(spans)) as bus:
        await bus.producer("orders").send(b"two books", id="4711")
        await process(bus, "orders")
    assert failure(spans) == (
        "not every message is linked:\n"
        "- 'process orders': message '4711' came with a trace context that is invalid"
    )


@pytest.mark.parametrize("at_once", [True, False])
async def test_contexts_of_other_messages(spans, at_once):
    """Where every send is linked, but by the wrong messages, each of those is named."""
    async with linkbus.Bus(Altering(with_contexts_reversed), tracing=tracing(spans)) as bus:
        messages = [linkbus.Message(b"", id=name) for name in ("1", "2")]
        await bus.producer("orders").send_batch(messages)
        await (process_batch(bus, "orders", 2) if at_once else process(bus, "orders", 2))
    assert failure(spans) == (
        "not every message is linked:\n"
        "- 'process orders': message '1' is linked to 'create orders' of message '2'\n"
        "- 'process orders': message '2' is linked to 'create orders' of message '1'"
    )


async def test_a_context_of_nobody_here(spans):
    """A message that was sent here, with the context of somebody unknown, is named."""

    def foreign(batch):
        context = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        return [Envelope(one.id, one.body, one.key, one.headers, context) for one in batch]

    async with linkbus.Bus(Altering(foreign), tracing=tracing(spans)) as bus:
        await bus.producer("orders").send(b"two books", id="4711")
        await process(bus, "orders")
    assert failure(spans, in_flight="orders") == (
        "not every message is linked:\n"
        "- 'process orders': message '4711' is linked to a span that was not recorded"
    )


@pytest.mark.parametrize("in_flight", ["bills", ["bills"], ("b*",), "*"])
async def test_messages_in_flight(bus, spans, in_flight):
    """Messages that nobody processes are named, unless their destination is said."""
    await bus.producer("orders").send(b"two books")
    await process(bus, "orders")
    await bus.producer("bills").send(b"a bill", id="4711")
    await bus.producer("bills", create_spans=False).send_batch([linkbus.Message(b"a bill")] * 2)
    assert failure(spans) == (
        "not every message is linked:\n"
        "- message '4711', sent by 'send bills', is linked by no span that processed it\n"
        "- a message, sent by 'send bills', is linked by no span that processed it\n"
        "Messages that may be on their way are allowed by in_flight=['bills']."
    )
    spans.assert_every_message_linked(in_flight=in_flight)


async def test_contexts_of_strangers(spans):
    """Several messages of strangers with one context are no messages that were sent here."""
    broker = linkbus.transports.memory.MemoryBroker()
    foreign = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    transport = MemoryTransport(broker)
    await transport.open()
    async with linkbus.Bus(MemoryTransport(broker), tracing=tracing(spans)) as bus:
        messages = [linkbus.Message(b"")] * 2
        await bus.producer("orders", create_spans=False).send_batch(messages)
        await transport.send(
            "orders", [Envelope(name, b"", None, context=foreign) for name in "ab"]
        )
        await process_batch(bus, "orders", 4)
    await transport.aclose()
    spans.assert_every_message_linked()


async def test_sent_by_another_process(spans):
    """A message that was made here need not have been sent here, if it arrived."""
    broker = linkbus.transports.memory.MemoryBroker()
    elsewhere = linkbus.Tracing(tracer_provider=TracerProvider(shutdown_on_exit=False))
    async with (
        linkbus.Bus(MemoryTransport(broker), tracing=tracing(spans)) as bus,
        linkbus.Bus(MemoryTransport(broker), tracing=elsewhere) as relay,
    ):
        await relay.producer("orders").send(bus.producer("orders").create(b"two books"))
        await process(bus, "orders")
    spans.assert_every_message_linked()


async def test_a_failed_send_need_not_arrive(spans):
    """What the broker refused is missed by nobody."""
    transport = MemoryTransport(linkbus.transports.memory.MemoryBroker(max_messages=1))
    async with linkbus.Bus(transport, tracing=tracing(spans), send_timeout=0.0) as bus:
        orders = bus.producer("orders")
        await orders.send(b"two books")
        with pytest.raises(linkbus.SendError):
            await orders.send(b"a lamp")
        await process(bus, "orders")
    spans.assert_every_message_linked()


async def test_strangers_and_stored_contexts_are_let_be(bus, spans):
    """Spans of others are not looked at, whatever they are called."""
    tracer = spans.tracer_provider.get_tracer("opentelemetry.instrumentation.aiokafka")
    named = {"messaging.operation.name": "send"}
    tracer.start_span("send orders", kind=SpanKind.PRODUCER, attributes=named).end()
    await bus.producer("orders").send(b"two books")
    await process(bus, "orders")
    spans.assert_every_message_linked()


async def test_a_limit_of_zero():
    """Links that the provider drops, all of them, are missed."""
    limits = SpanLimits(max_links=0)
    with SpanRecorder(TracerProvider(span_limits=limits, shutdown_on_exit=False)) as spans:
        async with linkbus.Bus(MemoryTransport(), tracing=tracing(spans)) as bus:
            orders = bus.producer("orders", create_spans=False)
            await orders.send(b"two books", id="4711")
            await process(bus, "orders")
            await orders.send_batch([linkbus.Message(b"")] * 3)
            await process_batch(bus, "orders", 3)
    assert failure(spans, in_flight="*") == (
        "not every message is linked:\n"
        "- 'process orders' of message '4711' has links to 0 of 1 creation contexts: did the"
        " SpanLimits of its provider drop the others?\n"
        "- 'process orders' has links to 0 of 1 creation contexts: did the SpanLimits of its"
        " provider drop the others?"
    )


async def test_a_limit_of_attributes():
    """Where links lose their attributes, what they stand for is not reckoned with."""
    limits = SpanLimits(max_link_attributes=0)
    with SpanRecorder(TracerProvider(span_limits=limits, shutdown_on_exit=False)) as spans:
        async with linkbus.Bus(MemoryTransport(), tracing=tracing(spans)) as bus:
            messages = [linkbus.Message(b"")] * 3
            await bus.producer("orders", create_spans=False).send_batch(messages)
            await process_batch(bus, "orders", 3)
    spans.assert_every_message_linked()


def test_links_for_fewer_messages(spans):
    """A batch whose links and counts tell of fewer messages than it has is wrong."""
    tracer = spans.tracer_provider.get_tracer("linkbus")
    send = tracer.start_span("send orders")
    send.end()
    attributes = {
        "messaging.operation.name": "process",
        "messaging.batch.message_count": 5,
        "linkbus.link.count": 1,
        "linkbus.link.missing": 1,
    }
    link = Link(send.get_span_context(), {"linkbus.link.messages": 3})
    tracer.start_span("process orders", attributes=attributes, links=[link]).end()
    assert failure(spans) == (
        "not every message is linked:\n"
        "- 'process orders': 1 of 5 messages came without a trace context: were headers lost on"
        " the way?\n"
        "- 'process orders' has 5 messages, and its links and counts tell of 4"
    )


async def test_many_faults(bus, spans):
    """Of many faults the first are listed, and the others counted."""
    for number in range(11):
        await bus.producer("bills").send(b"", id=f"{number}")
    lines = failure(spans).splitlines()
    assert len(lines) == 11
    assert lines[8:10] == [
        "- message '7', sent by 'send bills', is linked by no span that processed it",
        "- … and 3 more",
    ]


@pytest.mark.parametrize("in_flight", [(), "*"])
def test_nothing_to_check(spans, in_flight):
    """Where no message was traced, nothing is proved, and that fails."""
    assert failure(spans, in_flight=in_flight) == (
        "no message was processed, so there is nothing to check: does the bus use this tracer"
        " provider, and does it record?"
    )


async def test_unsampled():
    """Where nothing is recorded there is nothing to check, and that fails."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    with SpanRecorder(provider) as spans:
        async with linkbus.Bus(MemoryTransport(), tracing=tracing(spans)) as bus:
            await bus.producer("orders").send(b"two books")
            await process(bus, "orders")
    assert failure(spans).startswith("no message was processed")


async def test_while_a_message_is_sent_and_processed(bus, spans):
    """A message that is being processed counts as such, and one being sent is not missed."""
    await bus.producer("orders").send(b"two books")
    async with bus.consumer("orders") as consumer, await anext(consumer):
        tracer = spans.tracer_provider.get_tracer("linkbus")
        named = {"messaging.operation.name": "send"}
        sending = tracer.start_span("send bills", kind=SpanKind.PRODUCER, attributes=named)
        spans.assert_every_message_linked()
        sending.set_status(Status(StatusCode.ERROR))
        sending.end()


async def test_spans_of_an_exporter(spans, bus):
    """Spans that something else collected are as good, in any iterable."""
    exporter = InMemorySpanExporter()
    spans.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    await bus.producer("orders").send(b"two books", id="4711")
    with pytest.raises(AssertionError, match="- message '4711', sent by 'send orders'"):
        assert_every_message_linked(exporter.get_finished_spans())
    await process(bus, "orders")
    assert_every_message_linked(iter(exporter.get_finished_spans()))
