"""Ids of messages that are on their way."""

from __future__ import annotations

from linkbus.transports.rabbitmq._message_ids import MessageIds


def test_an_id_is_taken_until_its_outcome_is_told() -> None:
    """After that it may be used again."""
    ids = MessageIds()
    number = ids.begin("a")
    assert not ids.is_free("a")
    assert ids.is_free("b")
    ids.end(number, "a")
    assert ids.is_free("a")
    assert len(ids) == 0


def test_an_abandoned_id_is_taken_until_a_later_outcome() -> None:
    """The outcome of an earlier publish says nothing of it."""
    ids = MessageIds()
    first, second, third = ids.begin("first"), ids.begin("second"), ids.begin("third")
    ids.abandon(second, "second")
    ids.end(first, "first")
    assert not ids.is_free("second")
    ids.end(third, "third")
    assert ids.is_free("second")
    assert len(ids) == 0


def test_an_id_whose_publish_did_not_leave_is_free() -> None:
    """It says nothing of those that were abandoned."""
    ids = MessageIds()
    ids.abandon(ids.begin("first"), "first")
    ids.begin("second")
    ids.drop("second")
    assert ids.is_free("second")
    assert not ids.is_free("first")
