"""TransportConformance: the checks as tests of pytest."""

from __future__ import annotations

import sys
from typing import ClassVar

import pytest

if "linkbus.testing._checks" not in sys.modules:  # pytest warns when it is too late for it
    pytest.register_assert_rewrite("linkbus.testing._checks", "linkbus.testing._traced")

from linkbus.testing._check import Check
from linkbus.testing._checks import CHECKS
from linkbus.testing._harness import TransportHarness
from linkbus.testing._runner import TIME_LIMIT, limit_of, run_check
from linkbus.testing._trial import Skipped

_MARGIN = 15.0
"""Seconds by which a limit of pytest-timeout is longer than the check's own, clearer one."""


class TransportConformance:
    """The test class of a transport: derive from it and set `harness`.

    ```python
    class TestMyTransport(linkbus.testing.TransportConformance):
        harness = MyHarness()
    ```

    Every check is a test of its own. What the transport's capabilities lack is skipped,
    with a reason that names the capability.

    Attributes:
        harness: Makes transports and destinations. A fixture may set it, too.
        backend: The event loop: "asyncio" or "trio".
        time_limit: Seconds that one check may take; those that restart the broker, four
            times as long.
    """

    harness: TransportHarness
    backend: ClassVar[str] = "asyncio"
    time_limit: ClassVar[float] = TIME_LIMIT

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each check; called by pytest."""
        if "check" not in metafunc.fixturenames:
            return
        has_timeouts = metafunc.config.pluginmanager.hasplugin("timeout")
        tests = []
        for check in CHECKS:
            limit = limit_of(check, self.time_limit) + _MARGIN
            marks = [pytest.mark.timeout(limit)] if has_timeouts else []
            tests.append(pytest.param(check, id=check.title, marks=marks))
        metafunc.parametrize("check", tests)

    def test_transport(self, check: Check) -> None:
        """Hold what the contract of `linkbus.abc` says."""
        try:
            run_check(check, self.harness, backend=self.backend, time_limit=self.time_limit)
        except Skipped as reason:
            pytest.skip(str(reason))
