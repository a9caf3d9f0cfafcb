"""The checks, by family: each a coroutine that raises `AssertionError` in words."""

from __future__ import annotations

from linkbus.testing._check import checks_in
from linkbus.testing._checks import (
    attempts,
    batches,
    cancelling,
    closing,
    consuming,
    faults,
    groups,
    ordering,
    redelivery,
    refusing,
    round_trip,
    settling,
    strangers,
    text,
    tracing,
)

CHECKS = tuple(
    checks_in(
        round_trip,
        text,
        batches,
        settling,
        redelivery,
        groups,
        ordering,
        cancelling,
        closing,
        refusing,
        consuming,
        attempts,
        tracing,
        strangers,
        faults,
    )
)
"""Every check there is."""
