"""The metrics of the messaging conventions, and linkbus's own two."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.metrics import Meter

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The buckets that the conventions give for both durations."""
_WAITS = (0.005, 0.05, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)

Attributes = Mapping[str, str | int]


class Meters:
    """The instruments; made once a meter provider is there."""

    __slots__ = ("consumed", "invalid", "operation", "process", "sent", "wait")

    def __init__(self, meter: Meter) -> None:
        self.operation = meter.create_histogram(
            "messaging.client.operation.duration",
            unit="s",
            description="Duration of a send, receive or settle operation.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.process = meter.create_histogram(
            "messaging.process.duration",
            unit="s",
            description="Duration of processing a message or a batch.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.sent = meter.create_counter(
            "messaging.client.sent.messages",
            unit="{message}",
            description="Messages that a producer attempted to send.",
        )
        self.consumed = meter.create_counter(
            "messaging.client.consumed.messages",
            unit="{message}",
            description="Messages that were given to the application.",
        )
        self.wait = meter.create_histogram(
            "linkbus.queue.wait",
            unit="s",
            description="Time between the sending of a message and the start of its processing.",
            explicit_bucket_boundaries_advisory=_WAITS,
        )
        self.invalid = meter.create_counter(
            "linkbus.context.invalid",
            unit="{message}",
            description="Messages whose trace context was there and could not be read.",
        )
