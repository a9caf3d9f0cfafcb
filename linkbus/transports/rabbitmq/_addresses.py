"""Destinations and sources as linkbus writes them, and what they name in a RabbitMQ."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from linkbus._errors import CapabilityError, DestinationNotFound

DEFAULT_GROUP = "default"
MAX_NAME_BYTES = 255
"""AMQP's limit for the name of an exchange or a queue, and for a routing key."""
_IN_NAMES = "-_.:@#,/ "
"""What pamqp takes in the name of a queue besides letters, digits and +."""


class Address(NamedTuple):
    """Where messages go.

    Attributes:
        exchange: Its name; empty is the default exchange, whose routing keys are queues.
        routing_key: What the exchange routes by.
        is_own: Whether the exchange is linkbus's, a durable fanout that is declared on use.
    """

    exchange: str
    routing_key: str
    is_own: bool

    def missing(self) -> str:
        """Say what is missing when the broker could not route a message that went here."""
        if not self.exchange:
            return f"there is no queue {self.routing_key!r}: create it first"
        if self.is_own:
            return f"no queue is bound to exchange {self.exchange!r}: subscribe a group first"
        return (
            f"no queue is bound to exchange {self.exchange!r} for the routing key "
            f"{self.routing_key!r}: bind one first"
        )


class Queue(NamedTuple):
    """Where a group receives from.

    Attributes:
        name: The queue's.
        bound_to: What it is bound to; None for a queue that is used as it is.
    """

    name: str
    bound_to: Address | None


def address_of(destination: str) -> Address:
    """Return what a destination names.

    Raises:
        DestinationNotFound: It names nothing that a RabbitMQ can have.
    """
    exchange, slash, key = destination.partition("/")
    if len(destination) * 4 > MAX_NAME_BYTES:
        _check_length(destination, exchange, key)
    if not destination or destination == "/":
        msg = "a RabbitMQ destination is an exchange, 'exchange/routing_key' or '/queue'; not empty"
        raise DestinationNotFound(msg)
    return Address(exchange, key, not slash)


def queue_of(source: str, group: str) -> Queue:
    """Return the queue from which a group receives what goes to a source.

    Raises:
        CapabilityError: The source is a queue, which has no groups.
        DestinationNotFound: It names nothing that a RabbitMQ can have.
    """
    address = address_of(source)
    if address.exchange:
        name = f"{_written(source)}.{_written(group)}"
        _check_length(name, name)
        return Queue(name, address)
    if group != DEFAULT_GROUP:
        msg = (
            f"the source {source!r} is a queue, whose consumers all share its messages: it has no "
            f"group {group!r}; name an exchange instead, or leave the group out"
        )
        raise CapabilityError(msg)
    return Queue(address.routing_key, None)


def name_of(destination: str, group: str | None) -> str:
    """Return what OpenTelemetry's conventions call a destination, or a group's source.

    `{exchange}:{routing key}:{queue}`, without what is empty or not known.
    https://opentelemetry.io/docs/specs/semconv/messaging/rabbitmq/
    """
    if group is None:
        address, queue = address_of(destination), ""
    else:
        queue, bound_to = queue_of(destination, group)
        address = bound_to or Address("", "", is_own=False)
    return ":".join([part for part in (address.exchange, address.routing_key, queue) if part])


def _written(text: str) -> str:
    """Return text with what pamqp takes in no name, such as the * of a pattern, as +2A."""
    written = quote(text, safe=_IN_NAMES, encoding="utf-8", errors="surrogateescape")
    return written.replace("%", "+").replace("~", "+7E")


def _check_length(destination: str, *names: str) -> None:
    if max([len(name.encode("utf-8", "surrogateescape")) for name in names]) > MAX_NAME_BYTES:
        msg = f"a name in {destination[:80]!r}… has more than {MAX_NAME_BYTES} bytes"
        raise DestinationNotFound(msg)
