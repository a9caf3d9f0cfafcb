"""What the errors of aiormq mean to linkbus."""

from __future__ import annotations

import ssl

from aiormq import exceptions

from linkbus._errors import ConnectError, DestinationNotFound, MessageError, TransportError
from linkbus.abc import SendResult, SendStatus
from linkbus.transports.rabbitmq._addresses import Address
from linkbus.transports.rabbitmq._server_url import Server

SENT = SendResult(SendStatus.SENT)

_UNFIT = (TypeError, ValueError)
"""What pamqp raises for a value that has no place in a frame; nothing was sent."""

_NODE_DOWN = "down or inaccessible"
"""In the reply for a queue that exists, on a node that does not answer."""


def unreachable(server: Server, error: BaseException) -> ConnectError:
    """Return the error for a broker that did not take our connection."""
    where = f"{server.host}:{server.port}"
    if isinstance(error, exceptions.AuthenticationError | exceptions.ProbableAuthenticationError):
        msg = f"RabbitMQ at {where} refused the login of {server.username!r}: {error!r}"
        found = ConnectError(msg)
    elif isinstance(error.__cause__, ssl.SSLCertVerificationError):
        msg = f"the certificate of RabbitMQ at {where} does not hold: {error.__cause__}"
        found = ConnectError(msg)
    elif isinstance(error, exceptions.InvalidFrameError):
        msg = (
            f"RabbitMQ at {where} refused the connection: is there a virtual host "
            f"{server.vhost!r}, and may {server.username!r} use it?"
        )
        found = ConnectError(msg, retryable=True)
    else:
        msg = f"no RabbitMQ was reached at {where}: {type(error).__name__}; is it there?"
        found = ConnectError(msg, retryable=True)
    found.__cause__ = error
    return found


def refused(error: BaseException, doing: str) -> TransportError:
    """Return the error for what the broker would not declare, check or consume.

    Args:
        error: As it was raised.
        doing: What was tried, with the name: "declaring queue 'orders.billing'".
    """
    found: TransportError
    if isinstance(error, exceptions.ChannelNotFoundEntity) and _NODE_DOWN not in str(error):
        found = DestinationNotFound(f"{doing}: it does not exist; create it first")
    elif isinstance(error, exceptions.ChannelPreconditionFailed):
        found = TransportError(
            f"{doing}: it exists, made in another way ({error}); delete it, make the options of "
            "this transport those that it was made with, or use it as it is with declare=False"
        )
    elif isinstance(error, exceptions.ChannelAccessRefused):
        found = TransportError(f"{doing}: the user has no permission for it: {error}")
    elif isinstance(error, exceptions.ChannelLockedResource):
        found = TransportError(f"{doing}: it belongs to another connection alone: {error}")
    elif isinstance(error, TimeoutError):
        found = TransportError(f"{doing}: the broker did not answer in time", retryable=True)
    elif isinstance(error, _UNFIT):
        found = TransportError(f"{doing}: it cannot be written as AMQP: {error}")
    else:
        found = ConnectError(f"{doing}: {error!r}; it is tried again", retryable=True)
    found.__cause__ = error
    return found


def not_sent(error: BaseException, address: Address, *, is_alone: bool) -> SendResult:
    """Return the result of a message that was not confirmed.

    It is FAILED only where the broker certainly does not have it.

    Args:
        error: What aiormq raised.
        address: Where the message went.
        is_alone: Whether nothing else was on its way on its channel. When the broker closes
            a channel, it does not say which message it was for.
    """
    if isinstance(error, exceptions.PublishError):
        return _failed(DestinationNotFound(f"a message was returned: {address.missing()}"), error)
    if isinstance(error, exceptions.DeliveryError):
        msg = f"the broker did not take a message for {_name(address)}: a queue is full, or failed"
        return _failed(TransportError(msg, retryable=True), error)
    if isinstance(error, exceptions.ChannelInvalidStateError):
        return closed(address, error)
    if isinstance(error, _UNFIT):
        msg = f"a message for {_name(address)} cannot be written as AMQP: {type(error).__name__}"
        return _failed(MessageError(msg), error)
    if is_alone and isinstance(error, exceptions.ChannelClosed):
        return _refused(error, address)
    return unknown(f"whether {_name(address)} has the message is unknown: {error!r}", error)


def closed(address: Address, cause: BaseException | None = None) -> SendResult:
    """Return the result of a message whose channel was closed before it was sent."""
    msg = f"a message for {_name(address)} was not sent: its channel was closed before"
    return _failed(TransportError(msg, retryable=True), cause)


def left_behind(address: Address, seconds: float) -> SendResult:
    """Return the result of a message that waited for the broker until its deadline."""
    msg = (
        f"a message for {_name(address)} did not leave within {seconds:g} seconds "
        "(delivery_timeout): the broker takes none for now, or a connection to it"
    )
    return _failed(TransportError(msg, retryable=True), None)


def unknown(why: str, cause: BaseException | None = None) -> SendResult:
    """Return the result of a message that the broker may have."""
    error = TransportError(why)
    error.__cause__ = cause
    return SendResult(SendStatus.UNKNOWN, error=error)


def unconfirmed(address: Address, seconds: float) -> SendResult:
    """Return the result of a message that was not confirmed by its deadline."""
    return unknown(
        f"{_name(address)} did not confirm within {seconds:g} seconds (delivery_timeout)"
    )


def failed(error: Exception) -> SendResult:
    """Return the result of a message that did not leave because of an error of linkbus."""
    return _failed(error, error.__cause__)


def _refused(error: exceptions.ChannelClosed, address: Address) -> SendResult:
    if isinstance(error, exceptions.ChannelNotFoundEntity):
        msg = f"exchange {address.exchange!r} was deleted; it is looked for, or declared, again"
        return _failed(DestinationNotFound(msg, retryable=True), error)
    if isinstance(error, exceptions.ChannelAccessRefused):
        msg = f"the user has no permission to send to {_name(address)}: {error}"
        return _failed(TransportError(msg), error)
    if isinstance(error, exceptions.ChannelPreconditionFailed):
        msg = f"the broker refused a message for {_name(address)}: {error}"
        return _failed(MessageError(msg), error)
    return unknown(f"whether {_name(address)} has the message is unknown: {error!r}", error)


def _failed(error: Exception, cause: BaseException | None) -> SendResult:
    error.__cause__ = cause
    retryable = isinstance(error, TransportError) and error.retryable
    return SendResult(SendStatus.FAILED, error=error, retryable=retryable)


def _name(address: Address) -> str:
    if address.exchange:
        return f"exchange {address.exchange!r}"
    return f"queue {address.routing_key!r}"
