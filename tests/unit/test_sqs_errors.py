"""What errors of botocore and codes of SQS mean."""

from __future__ import annotations

from socket import gaierror

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from botocore import exceptions
from botocore.parsers import ResponseParserError

from linkbus import ConnectError, DestinationNotFound, TransportError
from linkbus.transports.sqs._errors import (
    code_of,
    is_denied,
    is_missing,
    is_stale,
    is_too_much,
    is_unknown,
    not_confirmed,
    refused,
    unusable,
)

URL = "http://sqs"
KEY = ConnectionKey("sqs", 80, False, True, None, None, None)


def answer(code: str, status: int = 400, text: str = "said so") -> exceptions.ClientError:
    return exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": text},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "SendMessageBatch",
    )


REFUSED = exceptions.EndpointConnectionError(
    endpoint_url=URL, error=aiohttp.ClientConnectorError(KEY, OSError(111, "refused"))
)
RESET = exceptions.EndpointConnectionError(
    endpoint_url=URL, error=aiohttp.ClientOSError(104, "reset")
)
CLOSED = exceptions.ConnectionClosedError(endpoint_url=URL)


@pytest.mark.parametrize(
    ("error", "kind", "retryable", "says"),
    [
        (answer("QueueDoesNotExist"), DestinationNotFound, False, "no such queue; create it"),
        (answer("AWS.SimpleQueueService.NonExistentQueue"), DestinationNotFound, False, "create"),
        (answer("InvalidClientTokenId", 403), ConnectError, False, "credentials were not accepted"),
        (answer("SignatureDoesNotMatch", 403), ConnectError, False, "said so"),
        (answer("AccessDenied", 403), TransportError, False, "not allowed: extend the IAM"),
        (answer("RequestThrottled", 403), TransportError, True, "said so"),
        (answer("OverLimit", 403), TransportError, True, "OverLimit"),
        (answer("InternalError", 500), TransportError, True, "InternalError"),
        (answer("ServiceUnavailable", 503), TransportError, True, "ServiceUnavailable"),
        (answer("InvalidParameterValue"), TransportError, False, "InvalidParameterValue"),
        (exceptions.NoCredentialsError(), ConnectError, False, "set AWS_ACCESS_KEY_ID"),
        (exceptions.ProfileNotFound(profile="p"), ConnectError, False, "or AWS_PROFILE"),
        (exceptions.NoRegionError(), ConnectError, False, "set AWS_DEFAULT_REGION"),
        (
            exceptions.CredentialRetrievalError(provider="p", error_msg="m"),
            ConnectError,
            True,
            "not reached",
        ),
        (exceptions.SSLError(endpoint_url=URL, error="e"), ConnectError, False, "SSLError"),
        (exceptions.InvalidRegionError(region_name="?"), ConnectError, False, "not be made"),
        (REFUSED, ConnectError, True, "not reached"),
        (exceptions.ConnectTimeoutError(endpoint_url=URL), ConnectError, True, "not reached"),
        (CLOSED, ConnectError, True, "not reached, or did not answer"),
        (TimeoutError(), ConnectError, True, "it took too long"),
    ],
)
def test_a_call_that_failed(error, kind, retryable, says):
    """The class, whether it may pass, what to do, and the cause."""
    found = unusable(error, "sending to queue 'orders'")
    assert (type(found), found.retryable) == (kind, retryable)
    assert str(found).startswith("sending to queue 'orders'")
    assert says in str(found)
    assert found.__cause__ is error


def test_an_error_shows_no_message():
    """What was wrong with a parameter, botocore says with its value."""
    error = exceptions.ParamValidationError(report="MessageBody: secret")
    assert "secret" not in str(unusable(error, "sending"))


@pytest.mark.parametrize(
    "error",
    [
        CLOSED,
        RESET,
        TimeoutError(),
        ResponseParserError(),
        exceptions.ReadTimeoutError(endpoint_url=URL),
        exceptions.HTTPClientError(error="e"),
        answer("InternalFailure", 500),
        answer("BadGateway", 502),
    ],
)
def test_what_may_have_arrived(error):
    """A connection that broke, an answer that did not come or says nothing."""
    assert is_unknown(error)
    result = not_confirmed(error, "orders")
    assert (result.status, result.retryable) == ("unknown", False)


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (REFUSED, True),
        (exceptions.EndpointConnectionError(endpoint_url=URL, error=gaierror()), True),
        (exceptions.ConnectTimeoutError(endpoint_url=URL), True),
        (exceptions.ProxyConnectionError(proxy_url=URL), True),
        (exceptions.SSLError(endpoint_url=URL, error="e"), False),
        (exceptions.NoCredentialsError(), False),
        (exceptions.ParamValidationError(report="r"), False),
        (answer("InvalidMessageContents"), False),
        (answer("RequestThrottled", 403), True),
        (answer("Throttling", 500), True),
        (answer("ServiceUnavailable", 503), True),
    ],
)
def test_what_did_not_arrive(error, retryable):
    """It never left, or SQS says that it did not take it."""
    assert not is_unknown(error)
    result = not_confirmed(error, "orders")
    assert (result.status, result.retryable) == ("failed", retryable)


def test_codes():
    """With or without the prefix that some services put before them."""
    assert code_of(answer("AWS.SimpleQueueService.NonExistentQueue")) == "NonExistentQueue"
    assert code_of(TimeoutError()) is None
    assert is_missing(answer("AWS.SimpleQueueService.NonExistentQueue"))
    assert not is_missing(TimeoutError())
    assert is_denied(answer("AccessDeniedException"))
    assert is_too_much(answer("AWS.SimpleQueueService.BatchRequestTooLong"))
    assert not is_too_much(answer("AccessDenied"))


@pytest.mark.parametrize(
    ("code", "sender_fault", "retryable", "stale"),
    [
        ("ReceiptHandleIsInvalid", True, False, True),
        ("AWS.SimpleQueueService.MessageNotInflight", True, False, True),
        ("InvalidParameterValue", True, False, True),
        ("InternalError", False, True, False),
        ("RequestThrottled", True, True, False),
        ("InvalidMessageContents", True, False, False),
    ],
)
def test_a_refused_entry(code, sender_fault, retryable, stale):
    """Whose fault it is says whether it may pass, but for throttling."""
    refusal = {"Id": "0", "Code": code, "SenderFault": sender_fault}
    error = refused(refusal, "acknowledging a message")
    assert (error.retryable, is_stale(refusal)) == (retryable, stale)
    assert str(error) == f"acknowledging a message was refused: {code}"
    worded = {**refusal, "Message": "no"}
    assert str(refused(worded, "sending")) == f"sending was refused: {code}: no"
    assert str(refused(worded, "sending", with_reason=False)) == f"sending was refused: {code}"
