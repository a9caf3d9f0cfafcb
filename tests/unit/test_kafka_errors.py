"""What the errors of aiokafka mean."""

from __future__ import annotations

import pytest
from aiokafka import errors

from linkbus import ConnectError, DestinationNotFound, MessageError, TransportError
from linkbus.abc import SendStatus
from linkbus.transports.kafka._errors import not_confirmed, not_submitted, unusable


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (errors.UnknownTopicOrPartitionError(), DestinationNotFound, False),
        (errors.InvalidTopicError(), DestinationNotFound, False),
        (errors.KafkaConnectionError(), ConnectError, True),
        (errors.NodeNotReadyError(), ConnectError, True),
        (errors.TopicAuthorizationFailedError("t"), TransportError, False),
        (errors.GroupAuthorizationFailedError("g"), TransportError, False),
        (errors.KafkaTimeoutError(), TransportError, True),
        (errors.CorruptRecordException(), TransportError, True),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), TransportError, False),
        (errors.KafkaError(), TransportError, True),
    ],
)
def test_a_call_that_failed(error: Exception, kind: type[Exception], retryable: bool) -> None:
    """It says what was tried, whether it may pass, and why."""
    found = unusable(error, "receiving from topic 't'")
    assert (type(found), found.retryable, found.__cause__) == (kind, retryable, error)
    assert str(found).startswith("receiving from topic 't'")


def test_an_error_of_ours_stays_as_it_is() -> None:
    """What was classified is not classified again."""
    error = ConnectError("gone", retryable=True)
    assert unusable(error, "receiving") is error


@pytest.mark.parametrize(
    ("error", "status", "retryable", "kind"),
    [
        (errors.MessageSizeTooLargeError(), "failed", False, MessageError),
        (errors.RecordTooLargeError(), "failed", False, MessageError),
        (errors.OutOfOrderSequenceNumber(), "failed", True, TransportError),
        (errors.ProducerFenced(), "failed", True, TransportError),
        (errors.PolicyViolationError(), "failed", False, TransportError),
        (errors.TopicAuthorizationFailedError("t"), "failed", False, TransportError),
        (errors.LeaderNotAvailableError(), "unknown", False, TransportError),
        (errors.UnknownError(), "unknown", False, TransportError),
        (errors.ProducerClosed(), "unknown", False, TransportError),
    ],
)
def test_a_message_that_was_not_confirmed(
    error: Exception, status: str, retryable: bool, kind: type[Exception]
) -> None:
    """FAILED only where the broker certainly does not have it."""
    result = not_confirmed(error, "t")
    assert (result.status, result.retryable, type(result.error)) == (status, retryable, kind)
    assert result.error is not None
    assert result.error.__cause__ is error
    assert "'t'" in str(result.error)


def test_a_message_that_was_not_taken() -> None:
    """It is FAILED in any case; whether it may be sent again depends."""
    large = not_submitted(errors.MessageSizeTooLargeError(), "t")
    assert (large.status, large.retryable) == (SendStatus.FAILED, False)
    assert isinstance(large.error, MessageError)
    full = not_submitted(errors.KafkaTimeoutError(), "t")
    assert (full.status, full.retryable) == (SendStatus.FAILED, True)
