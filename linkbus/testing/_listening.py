"""Hears of the spans of a tracer provider for a while.

The SDK can add a processor to a provider and cannot remove one, so each provider is given
one processor, once, which passes on to whoever listens at the moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakKeyDictionary

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON


class Listener(Protocol):
    """Is told of spans."""

    def on_start(self, span: ReadableSpan) -> None:
        """Hear of a span that begins."""

    def on_end(self, span: ReadableSpan) -> None:
        """Hear of a span that has ended."""


@contextmanager
def listening(provider: TracerProvider, listener: Listener) -> Iterator[None]:
    """Tell a listener of every span of a provider while the block runs."""
    if provider not in _exchanges:
        _exchanges[provider] = _Exchange()
        provider.add_span_processor(_exchanges[provider])
    exchange = _exchanges[provider]
    exchange.listeners = (*exchange.listeners, listener)
    try:
        yield
    finally:
        exchange.listeners = tuple(one for one in exchange.listeners if one is not listener)


def global_provider() -> TracerProvider:
    """Return OpenTelemetry's global provider, set to one of the SDK if it is not set.

    Raises:
        RuntimeError: It is set to something that is not the SDK's.
    """
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        trace.set_tracer_provider(TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False))
        provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        msg = (
            f"OpenTelemetry's global provider is a {type(provider).__name__}, which cannot be"
            " listened to: give SpanRecorder a TracerProvider of the SDK, and the bus"
            " Tracing(tracer_provider=…) the same"
        )
        raise RuntimeError(msg)  # noqa: TRY004 - the state of the process is wrong, no argument
    return provider


class _Exchange(SpanProcessor):
    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        for listener in self.listeners:
            listener.on_start(span)

    def on_end(self, span: ReadableSpan) -> None:
        for listener in self.listeners:
            listener.on_end(span)


_exchanges: WeakKeyDictionary[TracerProvider, _Exchange] = WeakKeyDictionary()
"""By provider: state of the process, as the providers themselves are."""
