"""assert_no_leaks names the spans that are open and the contexts that are attached still."""

import asyncio
import logging

import pytest
from opentelemetry import baggage
from opentelemetry.context import Context, attach, create_key, detach, set_value
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from linkbus.testing import SpanRecorder

STARTED = "started and never ended: "
ATTACHED = "attached and never detached: "
ELSEWHERE = (
    "attached in one task and detached in another: is a span current across the `yield` of a"
    " generator?"
)


@pytest.fixture
def provider():
    """Return a provider of its own."""
    return TracerProvider(shutdown_on_exit=False)


@pytest.fixture
def tracer(provider):
    """Return a tracer of that provider."""
    return provider.get_tracer("test")


def leaks(spans):
    """Return what the check says."""
    with pytest.raises(AssertionError) as caught:
        spans.assert_no_leaks()
    return str(caught.value)


def left(before, after, provider):
    """Return what is said when a block begins in one context and ends in another."""
    first = attach(before)
    with SpanRecorder(provider) as spans:
        second = attach(after)
        said = leaks(spans)
        detach(second)
        spans.assert_no_leaks()
    detach(first)
    return said


def test_spans_that_never_ended(provider, tracer):
    """They are named in the order of their starts, while there are any."""
    with SpanRecorder(provider) as spans:
        first, second = tracer.start_span("process orders"), tracer.start_span("charge card")
        assert leaks(spans) == f"{STARTED}'process orders', 'charge card'"
        first.end()
        assert leaks(spans) == f"{STARTED}'charge card'"
        second.end()
        spans.assert_no_leaks()


def test_a_span_that_is_still_current(provider, tracer):
    """One that has ended and is current is told from one that has not."""
    with SpanRecorder(provider) as spans:
        span = tracer.start_span("charge card")
        token = attach(set_span_in_context(span))
        assert leaks(spans) == f"{STARTED}'charge card'; {ATTACHED}the span 'charge card'"
        span.end()
        assert leaks(spans) == f"{ATTACHED}the span 'charge card', which has ended"
        detach(token)
        spans.assert_no_leaks()


def test_other_spans_that_are_current(provider, tracer):
    """A span that records nothing is named as such, and so is the lack of one."""
    remote = set_span_in_context(NonRecordingSpan(SpanContext(1, 2, is_remote=True)), Context())
    local = set_span_in_context(tracer.start_span("GET /order"), Context())
    assert left(Context(), remote, provider) == f"{ATTACHED}a span that is not recorded"
    assert left(local, remote, provider) == f"{ATTACHED}a span that is not recorded"
    assert left(remote, Context(), provider) == f"{ATTACHED}no span"


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ({}, {"tenant": "a"}, "'tenant'"),
        ({"tenant": "a"}, {"tenant": "b", "user": "c"}, "'tenant', 'user'"),
        ({"tenant": "a", "user": "c"}, {"user": "c"}, "'tenant'"),
    ],
)
def test_baggage(provider, before, after, names):
    """Entries that came, changed or went are named, without their values."""
    contexts = [Context(), Context()]
    for position, entries in enumerate((before, after)):
        for name, value in entries.items():
            contexts[position] = baggage.set_baggage(name, value, contexts[position])
    assert left(*contexts, provider) == f"{ATTACHED}the baggage {names}"


def test_values_of_extensions(provider, tracer):
    """Whatever else is in a context has a name too, with or without an id behind it."""
    made = set_value(create_key("suppress_instrumentation"), True, Context())
    span = set_span_in_context(tracer.start_span("GET /order"), set_value("plain", 1, made))
    assert left(Context(), span, provider) == (
        f"{ATTACHED}the span 'GET /order', 'plain', 'suppress_instrumentation'"
    )


def test_an_equal_context_is_none_left(provider):
    """Another object with the same values changes nothing."""
    with SpanRecorder(provider) as spans:
        token = attach(Context())
        spans.assert_no_leaks()
        detach(token)


async def test_a_generator_that_nobody_finished(provider, tracer, caplog):
    """A span across a `yield` stays current, and is refused where it is detached at last."""

    async def rows():
        with tracer.start_as_current_span("rows"):
            yield 1
            yield 2

    async def read_one():
        async for _ in rows():
            break

    logger = logging.getLogger("opentelemetry.context")
    filters = list(logger.filters)
    with SpanRecorder(provider) as spans:
        await asyncio.create_task(read_one())
        await asyncio.get_running_loop().shutdown_asyncgens()
        assert leaks(spans) == ELSEWHERE
    assert caplog.messages == ["Failed to detach context"]
    assert logger.filters == filters


async def test_what_another_task_leaves_attached(provider, tracer):
    """A task takes its context with it; what it attached is nobody's."""

    async def careless():
        attach(set_span_in_context(tracer.start_span("rows")))

    with SpanRecorder(provider) as spans:
        await asyncio.create_task(careless())
        assert leaks(spans) == f"{STARTED}'rows'"


def test_only_the_block_is_looked_at(provider, tracer):
    """What was open or attached before the block, and what is refused after it, is not its own."""
    before = tracer.start_span("GET /order")
    token = attach(set_span_in_context(before))
    with SpanRecorder(provider) as spans:
        spans.assert_no_leaks()
    logging.getLogger("opentelemetry.context").error("Failed to detach context")
    spans.assert_no_leaks()
    detach(token)


def test_other_complaints_are_not_counted(provider):
    """What else OpenTelemetry logs of contexts is no leak."""
    with SpanRecorder(provider) as spans:
        logging.getLogger("opentelemetry.context").error("Failed to load context: %s", "x")
        spans.assert_no_leaks()
