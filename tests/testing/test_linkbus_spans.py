"""pytest's fixture `linkbus_spans` records a test, and fails it for what it leaves behind."""

from textwrap import dedent

import pytest

from linkbus.testing import _watch  # noqa: F401 - imported once, not again by each inner session

pytest_plugins = ["pytester"]

LEFT = "linkbus_spans: "
START = """
import asyncio

import anyio
import pytest
import unittest
from opentelemetry import baggage, trace
from opentelemetry.context import attach, get_current

import linkbus

tracer = trace.get_tracer("application")

def leave_attached():
    span = tracer.start_span("charge card")
    attach(trace.set_span_in_context(span))
    span.end()
"""


@pytest.fixture
def inner(pytester):
    """Give a folder for tests, with a configuration."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    return pytester


@pytest.fixture
def run(inner):
    """Give a function that runs tests, and returns what those that fail say, by their names."""

    def run(code, mode="auto"):
        inner.makepyfile(START + dedent(code))
        session = inner.inline_run(f"--asyncio-mode={mode}")
        reports = session.getreports("pytest_runtest_logreport")
        assert any(report.passed and report.when == "call" for report in reports)
        return {
            report.nodeid.partition("::")[2]: report.longreprtext
            for report in reports
            if report.failed
        }

    return run


def test_good_tests_pass(run):
    """What is recorded is the test's own, on every plugin that runs coroutines."""
    assert not run(
        """
        def names(spans):
            return [span.name for span in spans.finished]

        async def application(spans):
            async with linkbus.connect("memory://") as bus:
                await bus.producer("orders").send(b"two books")
                async with bus.consumer("orders") as consumer:
                    async with await anext(consumer):
                        pass
            assert names(spans) == ["send orders", "process orders"]
            spans.assert_every_message_linked()

        def test_a_function(linkbus_spans):
            asyncio.run(application(linkbus_spans))

        async def test_pytest_asyncio(linkbus_spans):
            await application(linkbus_spans)

        @pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
        def test_the_backend(linkbus_spans, anyio_backend):
            anyio.run(application, linkbus_spans, backend=anyio_backend)

        class TestMethods:
            async def test_a_method(self, linkbus_spans):
                await application(linkbus_spans)
        """
    )


def test_spans_that_never_ended(run):
    """A span that is open in the end fails the test that started it, and no other."""
    assert run(
        """
        seen = []

        def test_open(linkbus_spans):
            seen.append(linkbus_spans)
            tracer.start_span("charge card")

        async def test_open_in_a_coroutine(linkbus_spans):
            await asyncio.create_task(asyncio.to_thread(tracer.start_span, "charge card"))

        def test_after(linkbus_spans):
            assert not list(linkbus_spans)

        def test_without():
            tracer.start_span("charge card")
            assert len(list(seen[0])) == 1
        """
    ) == {
        "test_open": f"{LEFT}started and never ended: 'charge card'",
        "test_open_in_a_coroutine": f"{LEFT}started and never ended: 'charge card'",
    }


def test_contexts_that_are_still_attached(run):
    """Whoever runs a test, its context is looked at, and the next one begins with a clean one."""
    said = f"{LEFT}attached and never detached: the span 'charge card', which has ended"
    assert run(
        """
        def test_a_function(linkbus_spans):
            leave_attached()

        def test_after():
            assert not get_current()

        async def test_pytest_asyncio(linkbus_spans):
            leave_attached()

        class TestMethods:
            async def test_a_method(self, linkbus_spans):
                leave_attached()

            def test_a_function(self, linkbus_spans):
                attach(baggage.set_baggage("tenant", "a"))

        @pytest.mark.usefixtures("linkbus_spans")
        class TestCases(unittest.TestCase):
            def test_a_case(self):
                leave_attached()
        """
    ) == {
        "test_a_function": said,
        "test_pytest_asyncio": said,
        "TestMethods::test_a_method": said,
        "TestMethods::test_a_function": (
            f"{LEFT}attached and never detached: the baggage 'tenant'"
        ),
        "TestCases::test_a_case": said,
    }


def test_anyios_plugin(run):
    """Coroutines that anyio runs, on asyncio and on trio, are looked at from within too."""
    said = f"{LEFT}attached and never detached: the span 'charge card', which has ended"
    assert run(
        """
        pytestmark = pytest.mark.anyio

        async def test_a_bus(linkbus_spans):
            async with linkbus.connect("memory://") as bus:
                await bus.producer("orders").send(b"two books")
                async with bus.consumer("orders") as consumer:
                    async with await anext(consumer):
                        pass
            linkbus_spans.assert_every_message_linked()

        async def test_left(linkbus_spans):
            leave_attached()
        """,
        mode="strict",
    ) == {"test_left[asyncio]": said, "test_left[trio]": said}


def test_a_context_that_was_detached_elsewhere(run):
    """What OpenTelemetry refused to detach is told, in whatever task that was."""
    assert run(
        """
        async def rows():
            with tracer.start_as_current_span("rows"):
                yield 1
                yield 2

        async def application():
            async for _ in rows():
                break

        def test_a_broken_loop(linkbus_spans):
            asyncio.run(application())
        """
    ) == {
        "test_a_broken_loop": (
            f"{LEFT}attached in one task and detached in another: is a span current across the"
            " `yield` of a generator?"
        )
    }


def test_fixtures_may_stand_in_any_order(run):
    """A service that a fixture stops may work until then, and contexts of fixtures are theirs."""
    assert not run(
        """
        @pytest.fixture
        async def service():
            started = asyncio.Event()

            async def handle(delivery):
                started.set()
                await asyncio.Event().wait()

            async with linkbus.connect("memory://") as bus, asyncio.TaskGroup() as tasks:
                consumer = bus.consumer("orders", drain_timeout=0.0)
                running = tasks.create_task(consumer.run(handle))
                yield bus, started
                running.cancel()

        @pytest.fixture
        def request_span():
            with tracer.start_as_current_span("GET /order"):
                yield

        @pytest.fixture
        async def async_request_span():
            with tracer.start_as_current_span("GET /order"):
                yield

        async def test_the_service_is_first(service, linkbus_spans):
            bus, started = service
            await bus.producer("orders").send(b"two books")
            await started.wait()
            assert [span.name for span in linkbus_spans.open] == ["process orders"]

        def test_span_first(request_span, linkbus_spans): ...
        def test_span_last(linkbus_spans, request_span): ...
        async def test_async_span_first(async_request_span, linkbus_spans): ...
        async def test_async_span_last(linkbus_spans, async_request_span): ...
        """
    )


def test_what_failed_is_not_told_again(run):
    """A test that fails or skips itself, or whose fixture fails, is not blamed for the rest."""
    failures = run(
        """
        @pytest.fixture
        def broken():
            yield
            raise OSError("the fixture")

        def test_fails(linkbus_spans):
            tracer.start_span("charge card")
            raise OSError("the test")

        def test_skips(linkbus_spans):
            tracer.start_span("charge card")
            pytest.skip()

        def test_fixture_fails(linkbus_spans, broken):
            tracer.start_span("charge card")

        def test_after(linkbus_spans):
            assert not list(linkbus_spans)
        """
    )
    assert failures.keys() == {"test_fails", "test_fixture_fails"}
    assert failures["test_fails"].endswith("OSError")
    assert failures["test_fixture_fails"].endswith("OSError")


def test_a_test_is_given_back_as_it_was(inner):
    """Who runs a test again, or looks at it, finds its own function."""
    inner.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_protocol(item):
            before = item.obj
            result = yield
            assert item.obj is before
            return result
        """
    )
    inner.makepyfile("async def test_it(linkbus_spans): ...")
    assert inner.inline_run("--asyncio-mode=auto").ret == pytest.ExitCode.OK


def test_doctests_have_it_too(inner):
    """A test that is no function may ask for the recorder."""
    inner.makefile(".txt", test_doc=">>> list(getfixture('linkbus_spans'))\n[]\n")
    inner.inline_run().assertoutcome(passed=1)


def test_without_the_sdk(inner):
    """Where OpenTelemetry's SDK is not installed, the test that needs it says what to install."""
    inner.makeconftest("import sys; sys.modules['opentelemetry.sdk'] = None")
    inner.makepyfile("def test_it(linkbus_spans): ...\ndef test_other(): ...")
    done = inner.runpytest_subprocess()
    done.assert_outcomes(errors=1, passed=1)
    wanted = 'linkbus_spans needs opentelemetry.sdk*: pip install "linkbus*testing*"'
    done.stdout.fnmatch_lines(["*ERROR at setup of test_it*", wanted], consecutive=True)


def test_who_does_not_use_it_does_not_import_it(inner):
    """A session without the fixture imports neither linkbus nor OpenTelemetry."""
    inner.makepyfile(
        """
        import sys

        def test_modules():
            assert "pytest_linkbus" in sys.modules
            assert not {"linkbus", "opentelemetry"} & sys.modules.keys()
        """
    )
    inner.runpytest_subprocess().assert_outcomes(passed=1)
