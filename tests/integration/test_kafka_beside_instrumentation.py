"""With aiokafka instrumented by others, linkbus passes their wrappers by, and nobody else does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer
from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from linkbus.abc import Envelope
from tests.brokers.fixtures import Kafka
from tests.integration.conftest import Members, Opening, received

pytestmark = pytest.mark.broker


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Instrument aiokafka, as an application may, and collect the spans of that."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = AIOKafkaInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()
    provider.shutdown()


async def test_only_the_application_is_instrumented(
    kafka: Kafka, opening: Opening, members: Members, spans: InMemorySpanExporter
) -> None:
    """Linkbus's messages carry its own context alone; a client of the application has spans."""
    topic = kafka.create_topic()
    transport = await opening()
    receiver = await members.join(transport, topic)
    context = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    await transport.send(topic, [Envelope("1", b"", context=context)])
    (ours,) = await received(receiver, 1)
    assert ours.headers.get_all("traceparent") == [context["traceparent"]]
    assert spans.get_finished_spans() == ()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    await producer.send_and_wait(topic, b"")
    await producer.stop()
    (theirs,) = await received(receiver, 1)
    assert len(theirs.headers.get_all("traceparent")) == 1
    assert [span.name for span in spans.get_finished_spans()] == [f"{topic} send"]
