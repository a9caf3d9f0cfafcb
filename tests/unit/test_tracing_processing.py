"""The consumer's spans: broker facts, and what remains where an instrument or a header fails."""

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NoOpTracerProvider

from linkbus import Headers, Tracing
from linkbus._tracing._core import TracingCore
from linkbus._tracing._incoming import Incoming
from linkbus._tracing._process import UNPROCESSED
from linkbus._tracing._processing import ConsumerTracer
from linkbus.abc import Arrival
from linkbus.testing import SpanRecorder

PARTITION, OFFSET = "messaging.destination.partition.id", "messaging.kafka.offset"
FACTS = {"server.address": "broker", "server.port": 9092}


def undescribed(destination, group):
    """Say nothing of a destination, as most transports do."""
    return {}


@pytest.fixture
def spans():
    """Record the spans of a provider of this test."""
    with SpanRecorder(TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)) as recorder:
        yield recorder


@pytest.fixture
def tracer(spans):
    """Make the tracer of a consumer of a broker that has facts."""
    core = TracingCore(
        Tracing(tracer_provider=spans.tracer_provider), "kafka", lambda: FACTS, lambda *_: {}
    )
    return ConsumerTracer(core, "orders", "billing", None)


def incoming(tracer, number, *, partition="0", headers=None, **options):
    """Make a message as a broker with partitions and offsets gives it."""
    traceparent = f"00-{number:032x}-{number:016x}-01"
    given = Headers({"traceparent": traceparent} if headers is None else headers)
    attributes = {PARTITION: partition, OFFSET: number}
    options = {"id": str(number), "attributes": attributes, **options}
    return Incoming(Arrival(body=b"", headers=given, **options), tracer)


def test_facts_about_one_message(tracer, spans):
    """The broker's facts about a single message are on its span, those of the broker too."""
    tracer.begin(incoming(tracer, 7), None).finish("ack")
    (span,) = spans.named("process orders")
    assert dict(span.attributes).items() >= {PARTITION: "0", OFFSET: 7, **FACTS}.items()
    assert "linkbus.queue.wait_ms" not in span.attributes


def test_facts_about_a_batch(tracer, spans):
    """What all messages share is on the span, what differs on the link of its message."""
    tracer.begin_batch([incoming(tracer, 7), incoming(tracer, 8)], None).finish("ack")
    (span,) = spans.named("process orders")
    assert span.attributes[PARTITION] == "0"
    assert OFFSET not in span.attributes
    assert [link.attributes[OFFSET] for link in span.links] == [7, 8]
    assert all(PARTITION not in link.attributes for link in span.links)


def test_facts_about_messages_that_share_none(tracer, spans):
    """Where messages share no fact, each link has its own."""
    tracer.begin_batch(
        [incoming(tracer, 7), incoming(tracer, 8, partition="1"), incoming(tracer, 9)], None
    ).finish("ack")
    (span,) = spans.named("process orders")
    assert [link.attributes[PARTITION] for link in span.links] == ["0", "1", "0"]


def test_a_message_without_an_id_or_a_time(tracer, spans):
    """A foreign message that has no id and no time has no such attributes."""
    one = incoming(tracer, 7, id=None)
    tracer.begin(one, None).finish("ack")
    tracer.begin_batch([one], None).finish("ack")
    tracer.settling([one], None).end(None)
    for span in spans.finished:
        assert "messaging.message.id" not in span.attributes
        assert "messaging.message.id" not in span.links[0].attributes


def test_a_settlement_beside_a_processing_without_a_span(spans):
    """A settlement whose processing could not be traced has a span, below nothing."""
    config = Tracing(tracer_provider=spans.tracer_provider, spans=frozenset({"settle"}))
    tracer = ConsumerTracer(
        TracingCore(config, "kafka", dict, undescribed), "orders", "billing", None
    )
    tracer.settling([incoming(tracer, 7)], UNPROCESSED).end(None)
    (span,) = spans.named("settle orders")
    assert (span.parent, span.links) == (None, ())


class BrokenMeterProvider(NoOpMeterProvider):
    """Makes meters whose counters raise."""

    def get_meter(self, *args, **options):
        return _Meter()


class _Meter:
    def create_counter(self, *args, **options):
        return self

    create_histogram = create_counter

    def add(self, *args):
        raise LookupError

    record = add


@pytest.mark.parametrize("traced", [True, False])
def test_instruments_that_fail(traced):
    """An instrument that raises spoils nothing: the message is given, read and processed."""
    provider = TracerProvider(shutdown_on_exit=False) if traced else NoOpTracerProvider()
    config = Tracing(tracer_provider=provider, meter_provider=BrokenMeterProvider())
    tracer = ConsumerTracer(
        TracingCore(config, "kafka", dict, undescribed), "orders", "billing", None
    )
    tracer.given(1)
    bad = incoming(tracer, 7, headers={"traceparent": "junk"}, sent_at=1.0)
    assert bad.creation().span is None
    tracer.begin(bad, None).finish("ack")
    tracer.begin_batch([bad], None).finish("ack")
    tracer.received([bad], 0)
    tracer.settling([bad], None).end(None)
