"""What the tests of traces share: a bus on the memory transport, and a recorder of its spans."""

from collections.abc import AsyncIterator, Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

import linkbus
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryTransport

pytest.register_assert_rewrite("flows")


@pytest.fixture
def provider() -> TracerProvider:
    """Make a provider of this test alone, which records everything."""
    return TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)


@pytest.fixture
def spans(provider: TracerProvider) -> Iterator[SpanRecorder]:
    """Record what the provider makes; in the end nothing is left open or current."""
    with SpanRecorder(provider) as recorder:
        yield recorder
    recorder.assert_no_leaks()


@pytest.fixture
def global_spans() -> Iterator[SpanRecorder]:
    """Record what the provider of the whole process makes, for what uses no other."""
    with SpanRecorder() as recorder:
        yield recorder
    recorder.assert_no_leaks()


@pytest.fixture
def app(provider: TracerProvider) -> Tracer:
    """Give the application's own tracer."""
    return provider.get_tracer("application")


@pytest.fixture
def transport() -> MemoryTransport:
    """Give the transport of `bus`, with a broker of its own."""
    return MemoryTransport()


@pytest.fixture
async def bus(
    provider: TracerProvider, spans: SpanRecorder, transport: MemoryTransport
) -> AsyncIterator[linkbus.Bus]:
    """Open a bus whose spans are recorded."""
    async with linkbus.Bus(
        transport, tracing=linkbus.Tracing(tracer_provider=provider)
    ) as open_bus:
        yield open_bus
