"""What the errors of botocore, and the codes of SQS, mean to linkbus."""

from __future__ import annotations

from socket import gaierror

import aiohttp
from botocore import exceptions
from botocore.parsers import ResponseParserError

from linkbus._errors import ConnectError, DestinationNotFound, TransportError
from linkbus.abc import SendResult, SendStatus
from linkbus.transports.sqs._service import Refusal

FAILURES = (
    exceptions.BotoCoreError,
    exceptions.ClientError,
    ResponseParserError,
    TimeoutError,
)
"""What a call of the client raises when it fails."""

MISSING = frozenset({"NonExistentQueue", "QueueDoesNotExist"})

_THROTTLED = frozenset(
    {
        "KmsThrottled",
        "OverLimit",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "QueueDeletedRecently",
    }
)
"""Refused for now: the same request succeeds later."""

_NOT_LET_IN = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""The credentials are not known, or not good any more."""

_TOO_MUCH = frozenset(
    {
        "BatchRequestTooLong",
        "InvalidAttributeValue",
        "InvalidMessageContents",
        "InvalidParameterValue",
    }
)
"""A request was refused for something in it, which not all of it may have to pay for."""

_STALE = frozenset({"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"})
"""A message was deleted, or is not ours any more. The first is what FIFO queues say of a
handle that has expired."""

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "KmsAccessDenied"})

_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.ProfileNotFound,
    exceptions.TokenRetrievalError,
    exceptions.UnauthorizedSSOTokenError,
)

_NO_ANSWER = (
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
    ResponseParserError,
    TimeoutError,
)
"""The request may have reached SQS."""

_MAY_PASS = (
    *_NO_ANSWER,
    exceptions.ConnectionError,
    exceptions.CredentialRetrievalError,
    exceptions.MetadataRetrievalError,
)

_NO_CONNECTION = (aiohttp.ClientConnectorError, gaierror)

_UNAVAILABLE = 503
_SERVER_ERROR = 500


def code_of(error: BaseException) -> str | None:
    """Return SQS's code in an error, without the prefix it may have; None if it has none."""
    if not isinstance(error, exceptions.ClientError):
        return None
    return str(error.response.get("Error", {}).get("Code", "")).rpartition(".")[2]


def is_missing(error: BaseException) -> bool:
    """Whether SQS answered that there is no such queue."""
    return code_of(error) in MISSING


def is_denied(error: BaseException) -> bool:
    """Whether SQS answered, to somebody whom it knows, that this is not allowed."""
    return code_of(error) in _DENIED


def is_stale(refusal: Refusal) -> bool:
    """Whether SQS refused because a message is not ours any more."""
    return refusal["Code"].rpartition(".")[2] in _STALE


def is_too_much(error: BaseException) -> bool:
    """Whether SQS refused a request for what is in it, and may take parts of it."""
    return code_of(error) in _TOO_MUCH


def unusable(error: BaseException, doing: str) -> TransportError:
    """Return the error for a call that failed as a whole.

    Args:
        error: One of `FAILURES`.
        doing: What was tried, such as "receiving from queue 'orders'".
    """
    if isinstance(error, exceptions.ClientError):
        found = _answered(error, doing)
    else:
        found = _unanswered(error, doing)
    found.__cause__ = error
    return found


def is_unknown(error: BaseException) -> bool:
    """Whether SQS may have done what it was asked, though the call failed."""
    if isinstance(error, exceptions.ClientError):
        status = _status(error)
        return status >= _SERVER_ERROR and status != _UNAVAILABLE and not _is_throttled(error)
    if isinstance(error, exceptions.EndpointConnectionError):
        # botocore's name for a connection that was not made, and aiobotocore's for one
        # that broke while the answer was waited for, too
        return not isinstance(error.kwargs.get("error"), _NO_CONNECTION)
    return isinstance(error, _NO_ANSWER)


def not_confirmed(error: BaseException, queue: str) -> SendResult:
    """Return the result of every message in a request to send that failed as a whole."""
    found = unusable(error, f"sending to queue {queue!r}")
    if is_unknown(error):
        return SendResult(SendStatus.UNKNOWN, error=found)
    return SendResult(SendStatus.FAILED, error=found, retryable=found.retryable)


def refused(refusal: Refusal, doing: str, *, with_reason: bool = True) -> TransportError:
    """Return the error for one entry of a request, refused while others may not have been.

    Args:
        refusal: As SQS gave it.
        doing: What was tried.
        with_reason: Say SQS's words too, in which there may be the handle of a message.
    """
    code = refusal["Code"].rpartition(".")[2]
    reason = refusal.get("Message") if with_reason else None
    msg = f"{doing} was refused: {refusal['Code']}" + (f": {reason}" if reason else "")
    return TransportError(msg, retryable=not refusal["SenderFault"] or code in _THROTTLED)


def _answered(error: exceptions.ClientError, doing: str) -> TransportError:
    code, said = code_of(error), f"SQS answered: {error}"
    if code in MISSING:
        msg = f"{doing}: there is no such queue; create it, or use create_queues=True"
        return DestinationNotFound(msg)
    if code in _NOT_LET_IN:
        msg = f"{doing}: the credentials were not accepted, or the region is another. {said}"
        return ConnectError(msg)
    if code in _DENIED:
        return TransportError(f"{doing} is not allowed: extend the IAM or queue policy. {said}")
    passes = _is_throttled(error) or _status(error) >= _SERVER_ERROR
    return TransportError(f"{doing} failed. {said}", retryable=passes)


def _unanswered(error: BaseException, doing: str) -> TransportError:
    if isinstance(error, _NO_CREDENTIALS):
        msg = (
            f"{doing}: there are no AWS credentials ({type(error).__name__}): set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give a session"
        )
        return ConnectError(msg)
    if isinstance(error, exceptions.NoRegionError):
        msg = f"{doing}: no AWS region is known: set AWS_DEFAULT_REGION, or region_name"
        return ConnectError(msg)
    if not isinstance(error, _MAY_PASS) or isinstance(error, exceptions.SSLError):
        return ConnectError(f"{doing}: the request could not be made ({type(error).__name__})")
    what = "it took too long" if isinstance(error, TimeoutError) else f"{error}"
    return ConnectError(f"{doing}: SQS was not reached, or did not answer: {what}", retryable=True)


def _is_throttled(error: BaseException) -> bool:
    return code_of(error) in _THROTTLED


def _status(error: exceptions.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
