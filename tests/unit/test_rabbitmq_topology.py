"""Asking the broker, and the one warning that is given before anything goes wrong."""

from __future__ import annotations

import asyncio

import pytest

from linkbus import ConnectError, TransportError
from linkbus.transports.rabbitmq import from_url
from linkbus.transports.rabbitmq._link import Roomy, close
from linkbus.transports.rabbitmq._topology import Topology, answered, version_of


@pytest.mark.parametrize(
    ("version", "options", "warnings"),
    [
        ("4.1.0", {}, 1),
        ("10.0.0", {}, 1),
        ("3.10.8", {}, 0),
        (None, {}, 0),
        ("4.1.0", {"delivery_limit": 20}, 0),
        ("4.1.0", {"dead_letter_exchange": "dead"}, 0),
        ("4.1.0", {"native_dead_letter": True}, 0),
        ("4.1.0", {"queue_type": "classic"}, 0),
    ],
)
async def test_a_limit_that_nobody_asked_for(
    version: str | None,
    options: dict[str, object],
    warnings: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where messages would be dropped after twenty deliveries, it is said once."""
    connection = Roomy("amqp://localhost")
    connection.server_properties = {} if version is None else {"version": version}
    topology = Topology(from_url("amqp://localhost", **options)._options)
    for queue in ("first", "second"):
        topology.warn_of_a_limit(connection, queue)
    assert len(caplog.messages) == warnings
    assert all("'first'" in message for message in caplog.messages)
    assert version_of(connection) == (version or "")
    await close(connection)


async def test_a_question_that_is_given_up() -> None:
    """What aiormq calls a cancellation is an error, and a real one is none."""
    with pytest.raises(ConnectError, match="declaring it"):
        async with answered(1.0, "declaring it"):
            raise asyncio.CancelledError

    async def ask() -> None:
        async with answered(60.0, "declaring it"):
            await asyncio.Event().wait()

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()


async def test_a_question_without_an_answer() -> None:
    """It is an error that may pass."""
    with pytest.raises(TransportError, match="did not answer in time") as raised:
        async with answered(0.01, "declaring it"):
            await asyncio.Event().wait()
    assert raised.value.retryable
