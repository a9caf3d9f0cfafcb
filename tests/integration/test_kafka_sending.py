"""Sending to a real Kafka: large batches, refusals, and brokers that are not there."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
from contextlib import suppress

import pytest

from linkbus import ConnectError, DestinationNotFound, MessageError
from linkbus._message import Headers
from linkbus.abc import Envelope, SendStatus
from linkbus.transports.kafka import KafkaTransport
from tests.brokers.fixtures import Kafka
from tests.brokers.kafka import KafkaBroker
from tests.integration.conftest import Members, Opening, received

pytestmark = [pytest.mark.broker, pytest.mark.timeout(60)]  # a broker starts in between


def envelopes(count: int, *, key: str | None = None) -> list[Envelope]:
    return [Envelope(str(number), b"x" * 100, key) for number in range(count)]


async def test_a_batch_of_ten_thousand(kafka: Kafka, opening: Opening, members: Members) -> None:
    """A batch as large as allowed is confirmed one by one and keeps its order."""
    topic = kafka.create_topic()
    transport = await opening()
    results = await transport.send(topic, envelopes(10_000))
    assert {result.status for result in results} == {SendStatus.SENT}
    got = await received(await members.join(transport, topic), 10_000)
    assert [one.id for one in got] == [str(number) for number in range(10_000)]


async def test_a_message_too_large_fails_alone(kafka: Kafka, opening: Opening) -> None:
    """What the client refuses is FAILED; later ones of its key wait, the others are SENT."""
    topic = kafka.create_topic()
    transport = await opening(max_message_bytes=1000)
    batch = [
        Envelope("1", b"x", "a"),
        Envelope("2", b"x" * 50_000, "a"),
        Envelope("3", b"x", "a"),
        Envelope("4", b"x", "b"),
        Envelope("5", b"x", headers=Headers.received([(b"\xff", b"")])),
        Envelope("6", b"x"),
    ]
    results = await transport.send(topic, batch)
    assert [(one.status, one.retryable) for one in results] == [
        ("sent", False),
        ("failed", False),
        ("failed", True),
        ("sent", False),
        ("failed", False),
        ("sent", False),
    ]
    assert isinstance(results[1].error, MessageError)
    assert isinstance(results[4].error, MessageError)


async def test_a_refused_message_does_not_stop_its_partition(
    kafka: Kafka, opening: Opening
) -> None:
    """After the broker refused one message, later sends succeed and keep their order."""
    topic = kafka.create_topic(config={"max.message.bytes": "1000"})
    transport = await opening()
    before = transport.raw
    (refused,) = await transport.send(topic, [Envelope("1", b"x" * 5000)])
    assert (refused.status, refused.retryable) == ("failed", False)
    assert isinstance(refused.error, MessageError)
    for number in range(3):
        (result,) = await transport.send(topic, [Envelope(str(number), b"x")])
        assert result.status is SendStatus.SENT
    assert transport.raw is not before


async def test_sends_beside_a_refused_one(kafka: Kafka, opening: Opening) -> None:
    """What was under way to the same partition is FAILED and may be sent again, or SENT."""
    topic = kafka.create_topic(config={"max.message.bytes": "1000"})
    transport = await opening()
    await transport.send(topic, envelopes(1))
    calls = [transport.send(topic, [Envelope("1", b"x" * 5000)])]
    calls += [transport.send(topic, [Envelope("2", b"x")]) for _ in range(20)]
    (refused,), *others = await asyncio.gather(*calls)
    assert (refused.status, refused.retryable) == ("failed", False)
    for (other,) in others:
        assert other.status is SendStatus.SENT or other.retryable or other.error is not None
    (after,) = await transport.send(topic, [Envelope("3", b"x")])
    assert after.status is SendStatus.SENT


async def test_a_missing_topic(kafka: Kafka, opening: Opening) -> None:
    """A topic that does not exist is said to be missing, soon, for sending and receiving."""
    transport = await opening(topic_timeout=0.3)
    with pytest.raises(DestinationNotFound, match="'missing'"):
        await transport.send("missing", envelopes(1))
    with pytest.raises(DestinationNotFound, match="'missing'"):
        await transport.subscribe("missing", "group", prefetch=1, lost=lambda *_: None)


async def test_no_broker() -> None:
    """A broker that is not there is a ConnectError that names it."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectError, match=address) as raised:
            await KafkaTransport(address).open()
    assert raised.value.__cause__ is not None


async def test_a_broker_that_does_not_answer() -> None:
    """A host that takes connections and says nothing is given up after `connect_timeout`."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        began = time.monotonic()
        with pytest.raises(ConnectError):
            await KafkaTransport(f"127.0.0.1:{silent.getsockname()[1]}", connect_timeout=0.3).open()
        assert time.monotonic() - began < 3


async def test_a_broker_that_went_away(kafka_to_kill: KafkaBroker, opening: Opening) -> None:
    """Without a broker a send ends at its deadline: UNKNOWN what left, FAILED what did not."""
    transport = await opening(kafka_to_kill.bootstrap, delivery_timeout=1.0)
    topic = Kafka(kafka_to_kill.bootstrap).create_topic()
    await transport.send(topic, envelopes(1))
    kafka_to_kill.kill()
    began = time.monotonic()
    results = await transport.send(topic, envelopes(10_000))  # many times what the client holds
    assert 0.9 < time.monotonic() - began < 5
    assert {(one.status, one.retryable) for one in results} == {
        ("unknown", False),
        ("failed", True),
    }
    first_failed = [one.status for one in results].index(SendStatus.FAILED)
    assert {one.status for one in results[first_failed:]} == {SendStatus.FAILED}
    began = time.monotonic()
    await transport.aclose()
    assert time.monotonic() - began < 8


async def test_a_kill_amid_sending(
    kafka_to_kill: KafkaBroker, opening: Opening, members: Members
) -> None:
    """Everything that was confirmed around a SIGKILL and a restart is there, in order of keys."""
    transport = await opening(kafka_to_kill.bootstrap, delivery_timeout=15.0)
    topic = Kafka(kafka_to_kill.bootstrap).create_topic(partitions=2)
    confirmed: list[str] = []
    limit = 1000

    async def send(key: str) -> None:
        number = 0
        while len(confirmed) < limit:
            batch = [Envelope(f"{key}.{number + n}", b"x", key) for n in range(20)]
            number += 20
            with suppress(ConnectError):  # while the client has forgotten where the topic is
                results = await transport.send(topic, batch)
                sent = zip(batch, results, strict=True)
                confirmed.extend([it.id for it, one in sent if one.status is SendStatus.SENT])

    async with asyncio.TaskGroup() as tasks:
        for key in "abcd":
            tasks.create_task(send(key))
        limit = 10**9
        await asyncio.to_thread(kafka_to_kill.restart)
        limit = len(confirmed) + 1000
    receiver = await members.join(transport, topic)
    got: list[str] = []
    missing = set(confirmed)
    for _ in range(200):
        came = [one.id or "" for one in await receiver.receive(1000, 0.1)]
        got += came
        missing.difference_update(came)
        if not missing:
            break
    assert missing == set()
    for key in "abcd":
        numbers = [int(one.partition(".")[2]) for one in got if one.startswith(key)]
        assert numbers == sorted(numbers)


async def test_a_cancelled_send_leaves_no_error_behind(
    kafka_to_kill: KafkaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """A send that is cancelled, and then fails, is not reported to nobody."""
    transport = KafkaTransport(kafka_to_kill.bootstrap)
    await transport.open()
    topic = Kafka(kafka_to_kill.bootstrap).create_topic()
    await transport.send(topic, envelopes(1))
    kafka_to_kill.kill()
    sending = asyncio.create_task(transport.send(topic, envelopes(10)))
    await asyncio.wait([sending], timeout=0.2)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    with caplog.at_level(logging.ERROR, "asyncio"):
        await transport.aclose()
        gc.collect()
    seen = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record for record in seen if record.name == "asyncio"] == []
