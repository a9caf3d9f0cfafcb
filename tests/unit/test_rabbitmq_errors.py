"""What the errors of aiormq mean."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiormq import exceptions, spec
from aiormq.abc import DeliveredMessage
from pamqp.header import ContentHeader

from linkbus import ConnectError, DestinationNotFound, MessageError, TransportError
from linkbus.transports.rabbitmq._addresses import address_of
from linkbus.transports.rabbitmq._errors import (
    closed,
    failed,
    left_behind,
    not_sent,
    refused,
    unconfirmed,
    unreachable,
)
from linkbus.transports.rabbitmq._server_url import server_of

SERVER = server_of("amqp://bob:secret@host:1/v", None, None)
ORDERS = address_of("orders")
RETURNED = exceptions.PublishError(
    DeliveredMessage(
        spec.Basic.Return(312, "NO_ROUTE", "orders", ""),
        ContentHeader(),
        b"secret",
        channel=None,  # type: ignore[arg-type] # it is not read
    ),
    spec.Basic.Return(312, "NO_ROUTE", "orders", ""),
)


@pytest.mark.parametrize(
    ("error", "said", "retryable"),
    [
        (exceptions.ProbableAuthenticationError("ACCESS_REFUSED"), "login of 'bob'", False),
        (exceptions.AuthenticationError("PLAIN", "EXTERNAL"), "login of 'bob'", False),
        (exceptions.InvalidFrameError("Expected OpenOk"), "virtual host 'v'", True),
        (exceptions.AMQPConnectionError(111, "refused"), "is it there", True),
        (TimeoutError(), "is it there", True),
    ],
)
def test_no_connection(error: Exception, said: str, retryable: bool) -> None:
    """It says where, what to look at, and not the password."""
    found = unreachable(SERVER, error)
    assert (type(found), found.retryable, found.__cause__) == (ConnectError, retryable, error)
    assert said in str(found)
    assert "host:1" in str(found)
    assert "secret" not in str(found)


def test_a_certificate_that_does_not_hold() -> None:
    """It does not become better by trying again."""
    error = exceptions.AMQPConnectionError(1, "verify failed")
    error.__cause__ = ssl.SSLCertVerificationError(1, "verify failed")
    found = unreachable(SERVER, error)
    assert not found.retryable
    assert "certificate" in str(found)


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (exceptions.ChannelNotFoundEntity("NOT_FOUND - no queue"), DestinationNotFound, False),
        (exceptions.ChannelNotFoundEntity("home node is down or inaccessible"), ConnectError, True),
        (exceptions.ChannelPreconditionFailed("inequivalent arg"), TransportError, False),
        (exceptions.ChannelAccessRefused("ACCESS_REFUSED"), TransportError, False),
        (exceptions.ChannelLockedResource("RESOURCE_LOCKED"), TransportError, False),
        (exceptions.ChannelInvalidStateError("closed"), ConnectError, True),
        (exceptions.ConnectionClosed(320, "shutdown"), ConnectError, True),
        (TimeoutError(), TransportError, True),
        (ValueError("Invalid value for queue"), TransportError, False),
        (asyncio.CancelledError(), ConnectError, True),
        (Exception(), ConnectError, True),
    ],
)
def test_what_the_broker_refused(
    error: BaseException, kind: type[TransportError], retryable: bool
) -> None:
    """It says what was tried, and whether to try again."""
    found = refused(error, "declaring queue 'q'")
    assert (type(found), found.retryable, found.__cause__) == (kind, retryable, error)
    assert str(found).startswith("declaring queue 'q': ")


@pytest.mark.parametrize(
    ("error", "is_alone", "status", "kind", "retryable"),
    [
        (RETURNED, False, "failed", DestinationNotFound, False),
        (exceptions.DeliveryError(None, spec.Basic.Nack(1)), False, "failed", TransportError, True),
        (exceptions.ChannelInvalidStateError("closed"), False, "failed", TransportError, True),
        (TypeError("Unknown type"), False, "failed", MessageError, False),
        (exceptions.ChannelNotFoundEntity("no"), True, "failed", DestinationNotFound, True),
        (exceptions.ChannelAccessRefused("no"), True, "failed", TransportError, False),
        (exceptions.ChannelPreconditionFailed("large"), True, "failed", MessageError, False),
        (exceptions.ChannelPreconditionFailed("large"), False, "unknown", TransportError, False),
        (exceptions.ChannelClosed(541, "internal"), True, "unknown", TransportError, False),
        (exceptions.ConnectionClosed(320, "shutdown"), True, "unknown", TransportError, False),
        (asyncio.CancelledError(), False, "unknown", TransportError, False),
        (Exception(), True, "unknown", TransportError, False),
    ],
)
def test_a_message_that_was_not_confirmed(
    error: BaseException,
    is_alone: bool,
    status: str,
    kind: type[Exception],
    retryable: bool,
) -> None:
    """FAILED only where the broker certainly does not have it."""
    found = not_sent(error, ORDERS, is_alone=is_alone)
    assert (found.status, type(found.error), found.retryable) == (status, kind, retryable)
    assert found.error is not None
    assert found.error.__cause__ is error
    assert "secret" not in f"{found.error}"


def test_deadlines() -> None:
    """What left is UNKNOWN, and what did not is FAILED."""
    waited = left_behind(address_of("/queue"), 5.0)
    assert (waited.status, waited.retryable) == ("failed", True)
    assert "for queue 'queue' did not leave within 5 seconds" in str(waited.error)
    late = unconfirmed(ORDERS, 0.5)
    assert (late.status, late.retryable) == ("unknown", False)
    assert "exchange 'orders' did not confirm within 0.5 seconds" in str(late.error)


def test_errors_of_ours() -> None:
    """They become results with their own word on trying again."""
    error = ConnectError("gone", retryable=True)
    error.__cause__ = OSError()
    found = failed(error)
    assert (found.status, found.error, found.retryable) == ("failed", error, True)
    assert isinstance(error.__cause__, OSError)
    assert not failed(MessageError("bad")).retryable
    assert closed(ORDERS).retryable
