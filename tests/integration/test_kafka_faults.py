"""A Kafka that is killed while linkbus receives and closes."""

from __future__ import annotations

import asyncio
import time

import pytest

from linkbus.abc import Envelope
from tests.brokers.fixtures import Kafka
from tests.brokers.kafka import KafkaBroker
from tests.integration.conftest import Members, Opening, received, settled

pytestmark = [pytest.mark.broker, pytest.mark.timeout(60)]  # a broker starts in between


async def test_a_receiver_survives_a_restart(
    kafka_to_kill: KafkaBroker, opening: Opening, members: Members
) -> None:
    """What was settled before a SIGKILL is not lost, and what comes after it arrives."""
    topic = Kafka(kafka_to_kill.bootstrap).create_topic()
    transport = await opening(kafka_to_kill.bootstrap)
    receiver = await members.join(transport, topic)
    await transport.send(topic, [Envelope(str(n), b"") for n in range(10)])
    held = await received(receiver, 10)
    restarting = asyncio.create_task(asyncio.to_thread(kafka_to_kill.restart))
    while not restarting.done():
        assert await receiver.receive(10, 0.1) == []
    await restarting
    assert await settled(receiver, held) == ["ok"] * 10
    (result,) = await transport.send(topic, [Envelope("after", b"")])
    assert result.status == "sent"
    (after,) = await received(receiver, 1)
    assert after.id == "after"
    assert members.lost == []


async def test_a_receiver_closes_without_its_broker(
    kafka_to_kill: KafkaBroker, opening: Opening, members: Members
) -> None:
    """Closing is bounded and raises nothing though nobody can be told anything."""
    topic = Kafka(kafka_to_kill.bootstrap).create_topic()
    transport = await opening(kafka_to_kill.bootstrap)
    receiver = await members.join(transport, topic)
    await transport.send(topic, [Envelope("1", b"")])
    held = await received(receiver, 1)
    kafka_to_kill.kill()
    assert await settled(receiver, held) == ["ok"]
    assert await receiver.receive(1, 0.5) == []
    began = time.monotonic()
    await receiver.aclose()
    await transport.aclose()
    assert time.monotonic() - began < 8
