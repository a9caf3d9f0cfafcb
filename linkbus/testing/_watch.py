"""Watches one test of pytest: records its spans, and finds what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from inspect import iscoroutinefunction

import pytest
from opentelemetry.context import attach, get_current

from linkbus.testing._left_behind import never_ended, refused_detaches, still_attached
from linkbus.testing._recorder import SpanRecorder

_Test = Callable[..., Coroutine[object, object, object]]


class Watch:
    """Looks at one test, from the set-up of its fixture until all of its fixtures are gone.

    Plugins run tests that are coroutines in a context of their own, which nobody sees after
    them. So such a test is wrapped, and its context is looked at from within.

    Attributes:
        spans: What the test has.
        has_passed: Whether the test did; what a failed one leaves says nothing new.
    """

    def __init__(self) -> None:
        self.spans = SpanRecorder()
        self.has_passed = False
        self._left: list[str] = []
        self._refused: list[str] = []
        self._recording = ExitStack()

    @contextmanager
    def over(self, item: pytest.Item) -> Iterator[None]:
        """Begin to record, and see whether the block ends in the context it began in."""
        self._recording.enter_context(self.spans)
        self._refused = self._recording.enter_context(refused_detaches())
        with self._same_context(), self._wrapped(item):
            yield

    def end(self) -> str | None:
        """End recording, and say what a test that passed has left behind."""
        self._recording.close()
        left = [*never_ended(self.spans.open), *self._left, *self._refused]
        return "; ".join(left) if self.has_passed and left else None

    @contextmanager
    def _same_context(self) -> Iterator[None]:
        """Note what the block leaves attached, and keep it from the tests that follow."""
        before = get_current()
        yield
        self._left += still_attached(before, get_current())
        attach(before)

    @contextmanager
    def _wrapped(self, item: pytest.Item) -> Iterator[None]:
        if not isinstance(item, pytest.Function) or not iscoroutinefunction(item.obj):
            yield
            return
        test = item.obj
        item.obj = self._within(test)
        try:
            yield
        finally:
            item.obj = test

    def _within(self, test: _Test) -> _Test:
        @wraps(test)
        async def watched(*args: object, **kwargs: object) -> object:
            __tracebackhide__ = True
            with self._same_context():
                return await test(*args, **kwargs)

        return watched
