"""A receiver that has no broker yet."""

from __future__ import annotations

from linkbus.abc import Arrival, Outcome, Settlement
from linkbus.transports.rabbitmq import RabbitMQTransport
from linkbus.transports.rabbitmq._addresses import queue_of
from linkbus.transports.rabbitmq._link import Link
from linkbus.transports.rabbitmq._receiver import RabbitMQReceiver
from linkbus.transports.rabbitmq._topology import Topology


async def test_what_it_was_not_given() -> None:
    """It settles nothing, and closes."""
    options = RabbitMQTransport()._options
    receiver = RabbitMQReceiver(
        options,
        Link(options, "consuming"),
        Topology(options),
        queue_of("orders", "billing"),
        prefetch=1,
        lost=lambda *_: None,
    )
    (result,) = await receiver.settle([Settlement(Arrival(id=None, body=b""), Outcome.ACK)])
    assert result.status == "stale"
    assert receiver.raw is None
    await receiver.aclose()
    assert await receiver.receive(1, 1.0) == []
