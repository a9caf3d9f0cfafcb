"""Kafka passes the conformance kit, on a real broker that is killed and restarted."""

from __future__ import annotations

import asyncio

import pytest

from linkbus.testing import TransportConformance, TransportHarness
from linkbus.transports.kafka import KafkaTransport
from tests.brokers.fixtures import Kafka
from tests.brokers.kafka import KafkaBroker
from tests.brokers.topics import create_topic


class GivenKafka(TransportHarness):
    """A broker of which only the address is known."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def transport(self) -> KafkaTransport:
        return KafkaTransport(
            self.bootstrap, heartbeat_interval=0.2, topic_timeout=1.0, delivery_timeout=10.0
        )

    def new_destination(self) -> str:
        return create_topic(self.bootstrap)


class OwnKafka(GivenKafka):
    """A broker that may be killed."""

    def __init__(self, broker: KafkaBroker) -> None:
        super().__init__(broker.bootstrap)
        self.broker = broker

    async def restart_broker(self) -> None:
        await asyncio.to_thread(self.broker.restart)


@pytest.mark.broker
class TestKafka(TransportConformance):
    @pytest.fixture(autouse=True)
    def _harness(self, kafka: Kafka) -> None:
        own = kafka.broker
        self.harness = GivenKafka(kafka.bootstrap) if own is None else OwnKafka(own)
