"""Whatever a propagator, a sampler, a processor or a provider raises: the messages go on."""

import logging

import pytest
from flows import TRACEPARENT, process_batch, process_next, take
from opentelemetry import propagate
from opentelemetry import trace as api
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from linkbus import Bus, Message, SendStatus, Tracing, capture_context, linked_span
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryTransport


class BrokenError(RuntimeError):
    """Raised by everything here."""


class BrokenSampler(Sampler):
    """Raises, for spans whose name begins as it is told."""

    def __init__(self, prefix=""):
        self.prefix = prefix

    def should_sample(self, parent_context, trace_id, name, *args, **options):
        if name.startswith(self.prefix):
            raise BrokenError
        return ALWAYS_ON.should_sample(parent_context, trace_id, name, *args, **options)

    def get_description(self):
        return "broken"


class BrokenOnStart(SpanProcessor):
    """Raises for every span that starts."""

    def on_start(self, span, parent_context=None):
        raise BrokenError


class BrokenOnEnd(SpanProcessor):
    """Raises for every span that ends."""

    def on_end(self, span):
        raise BrokenError


class BrokenPropagator(TextMapPropagator):
    """Raises in the methods that it is told, and else does as the usual one."""

    def __init__(self, *methods):
        self.methods = methods
        self.usual = TraceContextTextMapPropagator()

    def inject(self, carrier, context=None, setter=None):
        if "inject" in self.methods:
            raise BrokenError
        self.usual.inject(carrier, context)

    def extract(self, carrier, context=None, getter=None):
        if "extract" in self.methods:
            raise BrokenError
        return self.usual.extract(carrier, context)

    @property
    def fields(self):
        if "fields" in self.methods:
            raise BrokenError
        return self.usual.fields


class BrokenProvider(api.TracerProvider):
    """Raises when it is asked for a tracer."""

    def get_tracer(self, *args, **options):
        raise BrokenError


def sdk(sampler=ALWAYS_ON, processor=None):
    """Make a provider of the SDK with these parts."""
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    if processor is not None:
        provider.add_span_processor(processor)
    return provider


WAYS = {
    "a sampler": lambda: Tracing(tracer_provider=sdk(BrokenSampler())),
    "a processor, at the start": lambda: Tracing(tracer_provider=sdk(processor=BrokenOnStart())),
    "a processor, at the end": lambda: Tracing(tracer_provider=sdk(processor=BrokenOnEnd())),
    "a provider": lambda: Tracing(tracer_provider=BrokenProvider()),
    "inject": lambda: Tracing(tracer_provider=sdk(), propagator=BrokenPropagator("inject")),
    "extract": lambda: Tracing(tracer_provider=sdk(), propagator=BrokenPropagator("extract")),
    "fields": lambda: Tracing(tracer_provider=sdk(), propagator=BrokenPropagator("fields")),
    "all, without an SDK": lambda: Tracing(
        tracer_provider=api.NoOpTracerProvider(),
        propagator=BrokenPropagator("inject", "extract", "fields"),
    ),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
async def broken(request):
    """Open a bus whose tracing fails in one way, with settle spans too."""
    tracing = request.param()
    every = Tracing(
        tracer_provider=tracing.tracer_provider,
        propagator=tracing.propagator,
        spans=frozenset({"settle"}),
    )
    async with Bus(MemoryTransport(), tracing=every) as bus:
        yield bus


async def test_single_messages(broken):
    """Messages are sent, processed, settled and forwarded, and nothing stays current."""
    producer = broken.producer("orders")
    stored = Message(b"2", context={"traceparent": TRACEPARENT})
    async with broken.consumer("orders") as consumer:
        for message in (Message(b"1", headers={"traceparent": TRACEPARENT}), stored):
            assert (await producer.send(message)).status is SendStatus.SENT
        await producer.send(producer.create(b"3"))
        for body in (b"1", b"2"):
            assert (await process_next(consumer)).body == body
        (delivery,) = await take(consumer, 1)
        assert delivery.message.body == b"3"
        await delivery.ack()
    assert api.get_current_span() is api.INVALID_SPAN


async def test_batches(broken):
    """Batches are sent, received and processed, and nothing stays current."""
    producer = broken.producer("orders")
    messages = [Message(b"1"), producer.create(b"2")]
    async with broken.consumer("orders") as consumer:
        for _ in range(2):
            results = await producer.send_batch(messages)
            assert [result.status for result in results] == [SendStatus.SENT] * 2
        assert len(await process_batch(consumer, 2)) == 2
        for delivery in await consumer.receive(2, timeout=10.0):
            async with delivery:
                assert delivery.body in {b"1", b"2"}
    assert api.get_current_span() is api.INVALID_SPAN


async def test_an_error_in_a_block(broken):
    """The application's own exception is what leaves the block."""
    await broken.producer("orders").send(b"1")
    async with broken.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        with pytest.raises(LookupError):
            async with delivery:
                raise LookupError


async def test_what_fails_is_logged(caplog):
    """A failure of tracing is in the log, with where it came from."""
    tracing = Tracing(tracer_provider=sdk(BrokenSampler()))
    async with Bus(MemoryTransport(), tracing=tracing) as bus:
        await bus.producer("orders").send(b"1")
    (record,) = [one for one in caplog.records if one.name == "linkbus"]
    assert record.levelno == logging.ERROR
    assert record.exc_info[0] is BrokenError


async def test_a_propagator_that_cannot_inject(spans, provider):
    """The send span is made and ended all the same, and the message leaves without a context."""
    tracing = Tracing(tracer_provider=provider, propagator=BrokenPropagator("inject"))
    async with Bus(MemoryTransport(), tracing=tracing) as bus:
        await bus.producer("orders").send(b"1")
    assert [span.name for span in spans.finished] == ["send orders"]


async def test_child_spans_that_cannot_be_made():
    """Where the child spans for links fail, the span itself is made and ended."""
    provider = sdk(BrokenSampler("process orders links"))
    with SpanRecorder(provider) as spans:
        tracing = Tracing(tracer_provider=provider, max_links=1)
        async with Bus(MemoryTransport(), tracing=tracing) as bus:
            await bus.producer("orders").send_batch([Message(b"1"), Message(b"2")])
            async with bus.consumer("orders") as consumer:
                await process_batch(consumer, 2)
    spans.assert_no_leaks()
    assert len(spans.named("process orders")) == 1


def link_and_fail(span, contexts):
    """Link a span to contexts, and raise."""
    for context in contexts:
        span.link(context)
    raise LookupError


@pytest.mark.parametrize(
    "provider",
    [
        sdk(BrokenSampler()),
        sdk(BrokenSampler("report links")),
        sdk(processor=BrokenOnStart()),
        sdk(processor=BrokenOnEnd()),
        BrokenProvider(),
    ],
    ids=["sampler", "sampler of child spans", "on start", "on end", "provider"],
)
def test_a_job_over_stored_contexts(monkeypatch, provider):
    """The block of a `linked_span` runs, its late links are taken, and its error goes on."""
    monkeypatch.setattr(api, "get_tracer_provider", lambda: provider)
    contexts = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 300)]
    span = linked_span("report", contexts[:150])
    with pytest.raises(LookupError), span:
        link_and_fail(span, contexts)
    assert api.get_current_span() is api.INVALID_SPAN


def test_a_context_that_cannot_be_captured(monkeypatch):
    """Where the propagator fails, nothing is captured."""
    broken = BrokenPropagator("inject")
    monkeypatch.setattr(propagate, "get_global_textmap", lambda: broken)
    with api.use_span(api.NonRecordingSpan(api.SpanContext(1, 2, is_remote=False))):
        assert capture_context() == {}
