"""aiokafka with OpenTelemetry's instrumentation of it.

Its send span ends before the broker has confirmed. Its receive span, a child of the send
span, ends before the message is handled; for many records at once, each has one. So
nothing joins the handling to the sending, and nothing is checked.
"""

from __future__ import annotations

from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor

from benchmarks.contender import Mode, Place
from benchmarks.peers.kafka_client import KafkaClient


class KafkaContrib(KafkaClient):
    """The client, instrumented."""

    def __init__(self, place: Place, mode: Mode) -> None:
        instrumentor = AIOKafkaInstrumentor()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument()
        super().__init__(place, mode)
