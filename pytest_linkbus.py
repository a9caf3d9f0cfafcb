"""pytest's part of `linkbus.testing`: the fixture `linkbus_spans`.

pytest imports this module in every session where linkbus is installed. So it imports nothing
that the session might want later: OpenTelemetry reads its environment variables when it is
imported, and coverage misses what was imported before it began.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from linkbus.testing import SpanRecorder
    from linkbus.testing._watch import Watch

_WATCH: pytest.StashKey[Watch] = pytest.StashKey()


@pytest.fixture
def linkbus_spans(request: pytest.FixtureRequest) -> Iterator[SpanRecorder]:
    """Record the spans of a test, which fails if it leaves one open or a context attached.

    A `linkbus.testing.SpanRecorder` on OpenTelemetry's global tracer provider. It records
    from its set-up until all fixtures of the test are gone; then it looks, if the test has
    passed, for spans that never ended, for a context that the test attached and did not
    detach, and for one that OpenTelemetry could not detach.
    """
    try:
        from linkbus.testing._watch import Watch  # noqa: PLC0415 - see the module's docstring
    except ModuleNotFoundError as error:
        reason = f'linkbus_spans needs {error.name}: pip install "linkbus[testing]"'
        raise pytest.fail.Exception(reason, pytrace=False) from None
    watch = request.node.stash[_WATCH] = Watch()
    with watch.over(request.node):
        yield watch.spans


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Note that a test has passed; called by pytest."""
    yield
    if watch := item.stash.get(_WATCH, None):
        watch.has_passed = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Look at what a test has left, when all of its fixtures are gone; called by pytest."""
    try:
        yield
    finally:
        watch = item.stash.get(_WATCH, None)
        left = watch.end() if watch else None
    if left:
        pytest.fail(f"linkbus_spans: {left}", pytrace=False)
