"""Processes that share the work: how their notes become one number."""

from __future__ import annotations

import pytest

from benchmarks.together import micros_of


def test_only_the_middle_is_measured():
    """What is before a fifth of the messages, and after nine tenths, does not count."""
    one = [(float(second), 5) for second in range(1, 11)]
    two = [(float(second), 5) for second in range(1, 11)]
    slow_end = [(100.0, 5)]
    assert micros_of([one, two], 100) == pytest.approx(100_000, rel=0.1)
    assert micros_of([one, two[:-1] + slow_end], 100) == pytest.approx(100_000, rel=0.1)


def test_messages_that_nobody_handled():
    """A number for fewer messages would be a lie."""
    with pytest.raises(AssertionError, match="10 messages were not handled"):
        micros_of([[(1.0, 90)]], 100)
