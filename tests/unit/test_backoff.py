"""Backoff: each wait is about twice as long, up to two seconds."""

from __future__ import annotations

import pytest

from linkbus._backoff import FIRST, LONGEST, Backoff


def test_waits_double_up_to_a_limit_and_start_again():
    """With a fifth of jitter; a success starts over."""
    backoff = Backoff()
    expected = FIRST
    for _ in range(10):
        assert backoff.next() == pytest.approx(expected, rel=0.21)
        expected = min(LONGEST, expected * 2)
    assert expected == LONGEST
    backoff.reset()
    assert backoff.next() == pytest.approx(FIRST, rel=0.21)
