"""What the errors of aiokafka mean to linkbus."""

from __future__ import annotations

from aiokafka import errors

from linkbus._errors import ConnectError, DestinationNotFound, MessageError, TransportError
from linkbus.abc import SendResult, SendStatus

_FATAL = (
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.ClusterAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.IncompatibleBrokerVersion,
    errors.InconsistentGroupProtocolError,
    errors.InvalidGroupIdError,
    errors.InvalidSessionTimeoutError,
    errors.SaslAuthenticationFailed,
    errors.TopicAuthorizationFailedError,
    errors.UnsupportedVersionError,
)
"""The same call fails again until somebody changes the program or the broker."""

_REFUSED = (
    *_FATAL,
    errors.CorruptRecordException,
    errors.InvalidRequiredAcksError,
    errors.InvalidTimestampError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
    errors.RecordListTooLargeError,
    errors.UnsupportedForMessageFormatError,
)
"""The broker looked at the batch and did not store it."""

_OUT_OF_SEQUENCE = (
    errors.InvalidProducerEpoch,
    errors.InvalidProducerIdMapping,
    errors.OutOfOrderSequenceNumber,
    errors.ProducerFenced,
    errors.UnknownProducerId,
)
"""The broker did not store the batch, because one before it is missing."""


def unusable(error: Exception, doing: str) -> TransportError:
    """Return the error for a call that aiokafka failed as a whole.

    Args:
        error: What aiokafka raised.
        doing: What was tried, such as "receiving from topic 'orders'".
    """
    if isinstance(error, TransportError):
        return error
    found: TransportError
    if isinstance(error, errors.UnknownTopicOrPartitionError | errors.InvalidTopicError):
        found = DestinationNotFound(f"{doing}: there is no such topic; create it first")
    elif isinstance(error, errors.KafkaConnectionError | errors.NodeNotReadyError):
        found = ConnectError(f"{doing}: the broker was not reached: {error!r}", retryable=True)
    elif isinstance(error, UnicodeDecodeError):
        found = TransportError(
            f"{doing}: a record has a header whose name is not UTF-8, which aiokafka cannot read; "
            "move the group past it with Kafka's own tools"
        )
    else:
        found = TransportError(f"{doing}: {error!r}", retryable=not isinstance(error, _FATAL))
    found.__cause__ = error
    return found


def not_submitted(error: Exception, topic: str) -> SendResult:
    """Return the result of an envelope that aiokafka did not take."""
    if isinstance(error, errors.MessageSizeTooLargeError | errors.RecordTooLargeError):
        return _failed(_too_large(error, topic))
    found = unusable(error, f"sending to topic {topic!r}")
    return _failed(found, retryable=found.retryable)


def not_confirmed(error: BaseException, topic: str) -> SendResult:
    """Return the result of an envelope that aiokafka took, and then failed.

    It is FAILED only where the broker certainly does not have the message.
    """
    if isinstance(error, errors.MessageSizeTooLargeError | errors.RecordTooLargeError):
        return _failed(_too_large(error, topic))
    if isinstance(error, _OUT_OF_SEQUENCE):
        msg = f"topic {topic!r} did not take a message because one before it failed: send it again"
        return _failed(_caused(TransportError(msg, retryable=True), error), retryable=True)
    if isinstance(error, _REFUSED):
        msg = f"the broker refused a message for topic {topic!r}: {error!r}"
        return _failed(_caused(TransportError(msg), error))
    msg = f"whether topic {topic!r} has the message is unknown: {error!r}"
    return SendResult(SendStatus.UNKNOWN, error=_caused(TransportError(msg), error))


def _too_large(error: BaseException, topic: str) -> MessageError:
    msg = (
        f"a message, or the batch it was packed in, is larger than topic {topic!r} or the option "
        f"`max_message_bytes` allows: make it smaller, or raise `max.message.bytes` of the topic"
    )
    found = MessageError(msg)
    found.__cause__ = error
    return found


def _failed(error: Exception, *, retryable: bool = False) -> SendResult:
    return SendResult(SendStatus.FAILED, error=error, retryable=retryable)


def _caused(error: TransportError, cause: BaseException) -> TransportError:
    error.__cause__ = cause
    return error
