"""aio-pika with OpenTelemetry's instrumentation of it.

It has a span for each message that `iterator` gives, which ends before the message is
handled, so nothing joins the handling to the sending, and nothing is checked.
"""

from __future__ import annotations

from opentelemetry.instrumentation.aio_pika import AioPikaInstrumentor

from benchmarks.contender import Mode, Place
from benchmarks.peers.rabbitmq_client import RabbitMQClient


class RabbitMQContrib(RabbitMQClient):
    """The client, instrumented."""

    def __init__(self, place: Place, mode: Mode) -> None:
        instrumentor = AioPikaInstrumentor()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument()
        super().__init__(place, mode)
