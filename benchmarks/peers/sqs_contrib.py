"""aiobotocore with OpenTelemetry's instrumentation of botocore.

It has a span for each request, and puts no context into messages, so nothing joins the
handling to the sending, and nothing is checked.
"""

from __future__ import annotations

from opentelemetry.instrumentation.botocore import AiobotocoreInstrumentor

from benchmarks.contender import Mode, Place
from benchmarks.peers.sqs_client import SQSClient


class SQSContrib(SQSClient):
    """The client, instrumented."""

    def __init__(self, place: Place, mode: Mode) -> None:
        instrumentor = AiobotocoreInstrumentor()  # type: ignore[no-untyped-call]  # it has no types
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument()
        super().__init__(place, mode)
