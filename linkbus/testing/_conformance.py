"""TransportConformance: the checks as tests of pytest."""

from __future__ import annotations

import sys
from typing import ClassVar

import pytest

if "linkbus.testing._checks" not in sys.modules:  # pytest warns when it is too late for it
    pytest.register_assert_rewrite("linkbus.testing._checks")

from linkbus.testing._check import Check
from linkbus.testing._checks import CHECKS
from linkbus.testing._harness import TransportHarness
from linkbus.testing._runner import TIME_LIMIT, run_check
from linkbus.testing._trial import Skipped


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
        time_limit: Seconds that one check may take.
    """

    harness: TransportHarness
    backend: ClassVar[str] = "asyncio"
    time_limit: ClassVar[float] = TIME_LIMIT

    @pytest.mark.parametrize("check", CHECKS, ids=[check.title for check in CHECKS])
    def test_transport(self, check: Check) -> None:
        """Hold what the contract of `linkbus.abc` says."""
        try:
            run_check(check, self.harness, backend=self.backend, time_limit=self.time_limit)
        except Skipped as reason:
            pytest.skip(str(reason))
