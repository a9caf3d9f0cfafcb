"""A block in which nothing else makes spans."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import NonRecordingSpan, SpanContext

from linkbus._tracing._suppressing import AS_IT_IS, Alone

SPAN = SpanContext(1, 2, is_remote=False)


def current() -> tuple[bool, int, dict[str, object]]:
    """Return whether instrumentation is wanted, the span's id, and the baggage."""
    span = trace.get_current_span().get_span_context()
    return is_instrumentation_enabled(), span.span_id, dict(baggage.get_all())


def test_inside_and_after():
    """Inside, instrumentation is not wanted and nothing is current; after it, all is as before."""
    token = context.attach(baggage.set_baggage("a", "b"))
    with trace.use_span(NonRecordingSpan(SPAN)):
        before = current()
        with Alone():
            assert current() == (False, 0, {})
        assert current() == before == (True, 2, {"a": "b"})
    context.detach(token)


def test_the_keys_that_instrumentation_looks_at():
    """Both are set: the API's own, which has no public name, and the one that is plain text."""
    with Alone():
        assert dict(context.get_current()) == {
            context._SUPPRESS_INSTRUMENTATION_KEY: True,
            "suppress_instrumentation": True,
        }


def test_after_an_error():
    """An error that leaves the block changes nothing of that."""
    with pytest.raises(LookupError), Alone():
        raise LookupError
    assert is_instrumentation_enabled()


def test_one_in_another():
    """Blocks may be nested."""
    with Alone():
        with Alone():
            pass
        assert not is_instrumentation_enabled()
    assert is_instrumentation_enabled()


async def test_tasks():
    """Tasks at the same time are not touched; those begun inside are alone as well."""
    inside, outside = asyncio.Event(), asyncio.Event()

    async def other() -> bool:
        await inside.wait()
        outside.set()
        return is_instrumentation_enabled()

    async def begun() -> bool:
        return is_instrumentation_enabled()

    running = asyncio.create_task(other())
    with Alone():
        inside.set()
        await outside.wait()
        assert not await asyncio.create_task(begun())
    assert await running


def test_a_block_like_any_other():
    """Where nothing records, nothing changes."""
    with trace.use_span(NonRecordingSpan(SPAN)):
        with AS_IT_IS:
            assert current() == (True, 2, {})
        assert current() == (True, 2, {})
