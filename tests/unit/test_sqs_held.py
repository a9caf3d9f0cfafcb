"""What a receiver holds, and for how long it is its own."""

from __future__ import annotations

from linkbus.transports.sqs._held import Held

MESSAGE = {"MessageId": "m", "ReceiptHandle": "r", "Body": "b"}


def test_a_lease_ends():
    """Counted from when the message was asked for, so never later than SQS's own."""
    held = Held(MESSAGE, 100.0, 30)
    assert held.handle == "r"
    assert held.is_ours(129.9)
    assert not held.is_ours(130.0)
    held.until = 150.0
    assert held.is_ours(130.0)


def test_what_is_settled_is_not_ours():
    """Not even while its lease lasts."""
    held = Held(MESSAGE, 100.0, 30)
    held.is_settled = True
    assert not held.is_ours(100.0)


def test_nothing_is_held_for_more_than_twelve_hours():
    """That is SQS's rule, counted from when the message was received."""
    held = Held(MESSAGE, 100.0, 30)
    assert held.longest(100.0) == 43_200
    assert held.longest(43_270.5) == 29
    assert held.longest(50_000.0) == 0
