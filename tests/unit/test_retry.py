"""RetryPolicy, and how a handler overrides it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from linkbus import LinkbusError, Reject, Retry, RetryPolicy, UsageError
from linkbus._retry import shown


def test_the_defaults_are_those_of_the_guide():
    """Five attempts, from 0.2 s, doubling up to 30 s, for every exception."""
    policy = RetryPolicy()
    assert dataclasses.astuple(policy) == (5, 0.2, 2.0, 30.0, 0.2, (Exception,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.max_attempts = 6


def test_each_wait_is_longer_up_to_a_limit():
    """Without jitter the waits are exact."""
    policy = RetryPolicy(initial_delay=1.0, multiplier=3.0, max_delay=10.0, jitter=0.0)
    assert [policy.delay(attempts) for attempts in (1, 2, 3, 4)] == [1.0, 3.0, 9.0, 10.0]


def test_jitter_spreads_the_waits():
    """By up to its share in either direction."""
    policy = RetryPolicy(initial_delay=1.0, jitter=0.5)
    waits = [policy.delay(1) for _ in range(500)]
    assert 0.5 <= min(waits) < 0.7
    assert 1.3 < max(waits) <= 1.5


def test_any_number_of_attempts_has_a_wait():
    """What is too large for a number is the limit."""
    policy = RetryPolicy(max_attempts=10**6, jitter=0.0)
    assert policy.delay(10**6) == 30.0
    assert RetryPolicy(initial_delay=0.0, jitter=0.0).delay(5) == 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0},
        {"initial_delay": -0.1},
        {"multiplier": 0.5},
        {"max_delay": -1.0},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"max_attempts": 1.5},
        {"retry_on": (5,)},
        {"retry_on": ValueError},
        {"retry_on": (KeyboardInterrupt,)},
    ],
    ids=str,
)
def test_numbers_out_of_range_are_refused(options):
    """The error shows the policy."""
    with pytest.raises(UsageError, match=f"{next(iter(options))}="):
        RetryPolicy(**options)


@pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf"), "5", timedelta(seconds=5)])
def test_a_delay_that_is_none_is_refused(delay):
    """`Retry` says so where it is made, in the handler."""
    with pytest.raises(UsageError, match="give seconds"):
        Retry(delay)


def test_a_handler_says_what_it_wants():
    """`Retry` has a delay or leaves it to the policy; `Reject` has a reason or none."""
    assert Retry().delay is None
    assert Retry(1.5).delay == 1.5
    assert str(Retry()) == "the handler asks to be called again"
    assert (Reject("bad").reason, str(Reject("bad"))) == ("bad", "bad")
    assert (Reject().reason, str(Reject())) == ("", "the handler rejects the message")
    assert issubclass(Retry, LinkbusError)
    assert issubclass(Reject, LinkbusError)


@pytest.mark.parametrize(
    ("error", "is_error", "is_event"),
    [
        (None, False, False),
        (ValueError("no"), True, True),
        (Reject("bad"), True, False),
        (Retry(), False, False),
        (KeyboardInterrupt(), False, False),
    ],
    ids=repr,
)
def test_a_span_shows_failures_and_no_requests(error, is_error, is_event):
    """An exception is an error and an event, a rejection an error; the rest is neither."""
    assert shown(error) == (error if is_error else None, is_event)
