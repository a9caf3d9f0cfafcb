"""The options of the RabbitMQ transport, given in a program or in a URL."""

from __future__ import annotations

import ssl

import pytest

from linkbus import CapabilityError, ConnectError, UsageError
from linkbus.abc import Envelope
from linkbus.transports.rabbitmq import RabbitMQTransport, from_url


def test_defaults() -> None:
    """It is made without I/O, and says what it can and where it goes."""
    transport = RabbitMQTransport()
    assert transport.system == "rabbitmq"
    assert transport.attributes == {"server.address": "localhost", "server.port": 5672}
    can = transport.capabilities
    assert (can.groups, can.ordering, can.durable, can.counts_deliveries) == (
        True,
        "none",
        True,
        True,
    )
    assert (can.max_batch, can.max_message_bytes, can.max_headers) == (1_000, 16_777_216, None)
    assert can.receive_cancel_safe
    assert not can.native_dead_letter
    assert not can.delayed_release
    assert not can.extendable_lease
    assert not can.repeated_headers
    assert repr(transport) == "<RabbitMQTransport localhost:5672>"


def test_options_of_a_url() -> None:
    """They may be text, and then become what they stand for."""
    transport = from_url(
        "rabbitmq://u:secret@127.0.0.1:1/v",
        declare="false",
        queue_type="classic",
        native_dead_letter="yes",
        max_message_bytes="1000",
        ack_timeout="60",
        heartbeat="0",
    )
    can = transport.capabilities
    assert (can.counts_deliveries, can.native_dead_letter, can.max_message_bytes) == (
        False,
        True,
        1000,
    )
    assert "secret" not in f"{transport!r} {transport.attributes}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queue_type": "stream"}, "quorum, classic"),
        ({"queue_type": "classic", "delivery_limit": 3}, "needs queue_type='quorum'"),
        ({"declare": False, "dead_letter_exchange": "dead"}, "native_dead_letter=True"),
        ({"delivery_limit": 0}, "'delivery_limit' must be a positive whole number"),
        ({"heartbeat": -1}, "'heartbeat' must be"),
        ({"heartbeat": 1.5}, "'heartbeat' must be"),
        ({"ack_timeout": True}, "'ack_timeout' must be a positive number"),
        ({"max_message_bytes": "many"}, "'max_message_bytes' is a whole number"),
        ({"ssl_context": ssl.create_default_context()}, "amqps"),
        ({"nonsense": "1"}, "no option 'nonsense'"),
    ],
)
def test_refused(options: dict[str, object], said: str) -> None:
    """What cannot be is refused when it is made."""
    with pytest.raises(UsageError, match=said):
        from_url("amqp://localhost", **options)


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        ("amqp://u:p@broker", True),
        ("amqp://guest:other@broker", True),
        ("amqp://u:p@127.0.0.1", False),
        ("amqp://guest:guest@broker", False),
        ("amqps://u:p@broker", False),
    ],
)
def test_a_password_in_the_clear(url: str, is_refused: bool) -> None:
    """It does not cross a network, unless it is allowed to."""
    if is_refused:
        with pytest.raises(UsageError, match="whoever listens"):
            RabbitMQTransport(url)
        RabbitMQTransport(url, allow_login_without_tls=True)
    else:
        RabbitMQTransport(url)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, {"x-queue-type": "quorum"}),
        ({"delivery_limit": 5}, {"x-queue-type": "quorum", "x-delivery-limit": 5}),
        (
            {"dead_letter_exchange": "dead"},
            {
                "x-queue-type": "quorum",
                "x-dead-letter-exchange": "dead",
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        ),
        (
            {"dead_letter_exchange": "dead", "queue_type": "classic"},
            {"x-queue-type": "classic", "x-dead-letter-exchange": "dead"},
        ),
    ],
)
def test_arguments_of_queues(options: dict[str, object], arguments: dict[str, object]) -> None:
    """What queues are declared with, on which two transports must agree."""
    transport = from_url("amqp://localhost", **options)
    assert transport._options.queue_arguments == arguments
    assert transport.capabilities.native_dead_letter is ("dead_letter_exchange" in options)


async def test_not_open() -> None:
    """A transport that was not opened says so, and closes."""
    transport = RabbitMQTransport()
    with pytest.raises(UsageError, match="not open"):
        _ = transport.raw
    with pytest.raises(ConnectError, match="not open"):
        await transport.send("orders", [Envelope("1", b"")])
    with pytest.raises(ConnectError, match="not open"):
        await transport.subscribe("orders", "g", prefetch=1, lost=lambda *_: None)
    with pytest.raises(CapabilityError):
        await transport.subscribe("/queue", "g", prefetch=1, lost=lambda *_: None)
    await transport.aclose()
