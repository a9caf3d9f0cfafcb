"""RabbitMQ passes the conformance kit, on a real broker that is killed and restarted."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from linkbus.testing import TransportConformance, TransportHarness
from linkbus.transports.rabbitmq import RabbitMQTransport
from tests.brokers.fixtures import RabbitMQ
from tests.brokers.rabbitmq import RabbitMQBroker


class GivenRabbitMQ(TransportHarness):
    """A broker of which only the address is known."""

    def __init__(self, url: str) -> None:
        self.url = url

    def transport(self) -> RabbitMQTransport:
        return RabbitMQTransport(self.url, delivery_timeout=10.0)

    def new_destination(self) -> str:
        return f"linkbus-{uuid4().hex}"


class OwnRabbitMQ(GivenRabbitMQ):
    """A broker that may be killed."""

    def __init__(self, broker: RabbitMQBroker) -> None:
        super().__init__(broker.url)
        self.broker = broker

    async def restart_broker(self) -> None:
        await asyncio.to_thread(self.broker.restart)


@pytest.mark.broker
class TestRabbitMQ(TransportConformance):
    @pytest.fixture(autouse=True)
    def _harness(self, rabbitmq: RabbitMQ) -> None:
        own = rabbitmq.broker
        self.harness = GivenRabbitMQ(rabbitmq.url) if own is None else OwnRabbitMQ(own)
