"""What OpenTelemetry does in a worker, set globally, and what its spans were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from benchmarks.contender import Mode

OUTSIDE = SpanContext(1 << 100, 1 << 40, is_remote=True, trace_flags=TraceFlags(1))
"""What is current while a contender sends, in the mode that passes a context on."""


@dataclass(slots=True)
class Seen:
    """The spans of one part of a round.

    Attributes:
        made: The span ids of the producer spans, in the order in which they were started.
        ended: By span id: the parent's, those of the links, and how many attributes it had.
    """

    made: list[int]
    ended: dict[int, tuple[int, tuple[int, ...], int]]

    @property
    def links(self) -> int:
        """How many there were."""
        return sum(len(links) for _, links, _ in self.ended.values())

    @property
    def attributes(self) -> int:
        """How many there were on the spans themselves."""
        return sum(count for _, _, count in self.ended.values())


class Telemetry:
    """The spans of this process; one for each worker.

    Args:
        mode: Sets the global tracer provider. Without an SDK, none of it is imported.
    """

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self._seen = Seen([], {})
        if mode in {Mode.SAMPLER_OFF, Mode.RECORDING}:
            self._set_provider(mode)

    def collected(self) -> Seen:
        """Return what was seen since the last call."""
        seen, self._seen = self._seen, Seen([], {})
        return seen

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Make current what is current while the contender sends."""
        if self.mode is not Mode.PASSING:
            yield
            return
        token = attach(trace.set_span_in_context(NonRecordingSpan(OUTSIDE), Context()))
        try:
            yield
        finally:
            detach(token)

    def _set_provider(self, mode: Mode) -> None:
        from opentelemetry.sdk.trace import (  # noqa: PLC0415 - some workers run without it
            ReadableSpan,
            Span,
            SpanLimits,
            SpanProcessor,
            TracerProvider,
        )
        from opentelemetry.sdk.trace.sampling import (  # noqa: PLC0415 - as above
            ALWAYS_OFF,
            ALWAYS_ON,
        )

        telemetry = self

        class Counting(SpanProcessor):
            """Keeps ids instead of exporting spans."""

            def on_start(self, span: Span, parent_context: Context | None = None) -> None:
                """Note who may have made a message."""
                if span.kind is SpanKind.PRODUCER:
                    telemetry._seen.made.append(span.get_span_context().span_id)

            def on_end(self, span: ReadableSpan) -> None:
                """Note what is checked later, and nothing else of the span."""
                parent = 0 if span.parent is None else span.parent.span_id
                links = tuple([link.context.span_id for link in span.links])
                ended = telemetry._seen.ended
                identity = span.get_span_context()
                if identity is not None:
                    ended[identity.span_id] = parent, links, len(span.attributes or ())

        provider = TracerProvider(
            sampler=ALWAYS_ON if mode is Mode.RECORDING else ALWAYS_OFF,
            span_limits=SpanLimits(max_links=128),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(Counting())
        trace.set_tracer_provider(provider)
