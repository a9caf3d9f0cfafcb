"""linkbus.testing: a conformance kit for transports, and a recorder of spans for everybody.

Needs the extra `linkbus[testing]`. An author of a transport derives a test class from
`TransportConformance` and gives it a `TransportHarness`. An application's tests have the
fixture `linkbus_spans` of pytest, which is a `SpanRecorder`; spans that something else
collected are checked by `assert_linked` and `assert_every_message_linked`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from linkbus.testing._harness import TransportHarness

if TYPE_CHECKING:
    from linkbus.testing._check import Check, check
    from linkbus.testing._checks import CHECKS
    from linkbus.testing._conformance import TransportConformance
    from linkbus.testing._every_message import assert_every_message_linked
    from linkbus.testing._linked import assert_linked
    from linkbus.testing._recorder import SpanRecorder
    from linkbus.testing._runner import run_check
    from linkbus.testing._trial import Skipped, Trial

__all__ = [
    "CHECKS",
    "Check",
    "Skipped",
    "SpanRecorder",
    "TransportConformance",
    "TransportHarness",
    "Trial",
    "assert_every_message_linked",
    "assert_linked",
    "check",
    "run_check",
]

_LAZY = {
    "CHECKS": "linkbus.testing._checks",
    "Check": "linkbus.testing._check",
    "Skipped": "linkbus.testing._trial",
    "SpanRecorder": "linkbus.testing._recorder",
    "TransportConformance": "linkbus.testing._conformance",
    "Trial": "linkbus.testing._trial",
    "assert_every_message_linked": "linkbus.testing._every_message",
    "assert_linked": "linkbus.testing._linked",
    "check": "linkbus.testing._check",
    "run_check": "linkbus.testing._runner",
}
"""Imported when first asked for: a recorder of spans needs no pytest."""


if not TYPE_CHECKING:  # or every misspelt name would be an object to a type checker

    def __getattr__(name: str) -> object:
        if name not in _LAZY:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(_LAZY[name]), name)
