"""Credentials: they reach the broker, and nobody else."""

from __future__ import annotations

import logging

import pytest

from linkbus import ConnectError
from linkbus.abc import Envelope
from linkbus.transports.kafka import KafkaTransport
from tests.brokers.fixtures import Kafka
from tests.brokers.kafka import PASSWORD, USER
from tests.integration.conftest import Members, Opening, received

pytestmark = pytest.mark.broker


async def test_sasl(
    kafka: Kafka, opening: Opening, members: Members, caplog: pytest.LogCaptureFixture
) -> None:
    """With the right password messages flow, and the password is in no log and no repr."""
    if kafka.broker is None:
        pytest.skip("the broker that LINKBUS_TEST_KAFKA names has no known password")
    topic = kafka.create_topic()
    with caplog.at_level(logging.DEBUG):
        transport = await opening(
            kafka.broker.sasl_bootstrap,
            security_protocol="SASL_PLAINTEXT",
            sasl_plain_username=USER,
            sasl_plain_password=PASSWORD,
            allow_sasl_without_tls=True,
        )
        receiver = await members.join(transport, topic)
        await transport.send(topic, [Envelope("1", b"")])
        assert len(await received(receiver, 1)) == 1
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr((transport, receiver, vars(transport), vars(receiver)))


async def test_a_wrong_password(kafka: Kafka) -> None:
    """A refusal is a ConnectError that does not repeat the password."""
    if kafka.broker is None:
        pytest.skip("the broker that LINKBUS_TEST_KAFKA names has no known password")
    transport = KafkaTransport(
        kafka.broker.sasl_bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_plain_username=USER,
        sasl_plain_password="wrong-" + PASSWORD,
        allow_sasl_without_tls=True,
    )
    with pytest.raises(ConnectError, match="credentials") as raised:
        await transport.open()
    assert PASSWORD not in f"{raised.value!r} {raised.value.__cause__!r}"
