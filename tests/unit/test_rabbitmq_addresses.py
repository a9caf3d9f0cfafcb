"""What destinations and sources name in a RabbitMQ."""

from __future__ import annotations

import pytest

from linkbus import CapabilityError, DestinationNotFound
from linkbus.transports.rabbitmq import RabbitMQTransport
from linkbus.transports.rabbitmq._addresses import Address, Queue, address_of, name_of, queue_of


@pytest.mark.parametrize(
    ("destination", "address"),
    [
        ("orders", Address("orders", "", is_own=True)),
        ("orders/", Address("orders", "", is_own=False)),
        ("logs/app.error", Address("logs", "app.error", is_own=False)),
        ("logs/a/b", Address("logs", "a/b", is_own=False)),
        ("/queue", Address("", "queue", is_own=False)),
        ("/a/b.c", Address("", "a/b.c", is_own=False)),
        ("x" * 255, Address("x" * 255, "", is_own=True)),
        ("x" * 200 + "/" + "y" * 200, Address("x" * 200, "y" * 200, is_own=False)),
    ],
)
def test_destinations(destination: str, address: Address) -> None:
    """The first slash parts an exchange from its routing key."""
    assert address_of(destination) == address


@pytest.mark.parametrize("destination", ["", "/", "x" * 256, "x/" + "ü" * 128, "/" + "q" * 256])
def test_no_destinations(destination: str) -> None:
    """What is empty or too long names nothing."""
    with pytest.raises(DestinationNotFound):
        address_of(destination)


@pytest.mark.parametrize(
    ("source", "group", "name"),
    [
        ("orders", "billing", "orders.billing"),
        ("logs/app.error", "all", "logs/app.error.all"),
        ("logs/app.*", "all", "logs/app.+2A.all"),
        ("logs/#", "a+b", "logs/#.a+2Bb"),
        ("a~b", "ü", "a+7Eb.+C3+BC"),
    ],
)
def test_queues_of_groups(source: str, group: str, name: str) -> None:
    """A group has a queue of its own, whose name has only what a name may have."""
    assert queue_of(source, group) == Queue(name, address_of(source))


def test_a_queue_has_the_default_group_only() -> None:
    """A queue is used as it is, by consumers that share all of it."""
    assert queue_of("/queue", "default") == Queue("queue", None)
    with pytest.raises(CapabilityError, match="no group 'billing'"):
        queue_of("/queue", "billing")


def test_a_group_with_too_long_a_name() -> None:
    """The queue's name has a limit, not only its parts."""
    with pytest.raises(DestinationNotFound, match="more than 255 bytes"):
        queue_of("x" * 200, "y" * 60)


@pytest.mark.parametrize(
    ("destination", "missing"),
    [
        ("orders", "no queue is bound to exchange 'orders': subscribe a group first"),
        ("logs/a", "no queue is bound to exchange 'logs' for the routing key 'a': bind one first"),
        ("/queue", "there is no queue 'queue': create it first"),
    ],
)
def test_what_is_missing(destination: str, missing: str) -> None:
    """When nothing could take a message, it is said what to do."""
    assert address_of(destination).missing() == missing


@pytest.mark.parametrize(
    ("destination", "group", "name"),
    [
        ("orders", None, "orders"),
        ("orders", "billing", "orders:orders.billing"),
        ("logs/app.error", None, "logs:app.error"),
        ("logs/app.*", "all", "logs:app.*:logs/app.+2A.all"),
        ("/queue", None, "queue"),
        ("/queue", "default", "queue"),
    ],
)
def test_names_of_the_conventions(destination: str, group: str | None, name: str) -> None:
    """Exchange, routing key and queue, without what is empty or not known."""
    assert name_of(destination, group) == name
    described = RabbitMQTransport().describe(destination, group)
    assert described.get("messaging.destination.name", destination) == name
    assert described.get("messaging.destination.template", destination) == destination
