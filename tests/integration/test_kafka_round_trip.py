"""Messages between linkbus and other programs that use Kafka: nothing is changed on the way."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, codec
from aiokafka.record.util import calc_crc32c

from linkbus import TransportError, UsageError
from linkbus._message import Headers
from linkbus.abc import Envelope
from linkbus.transports.kafka import KafkaTransport
from tests.brokers.fixtures import Kafka
from tests.integration.conftest import Members, Opening, received, settled

pytestmark = pytest.mark.broker

HEADERS = [("a", b"1"), ("a", b"\xff\x00"), ("größe", "ä".encode()), ("empty", b""), ("A", b"2")]


async def test_what_linkbus_sends_is_what_another_program_reads(
    kafka: Kafka, opening: Opening
) -> None:
    """Key, body and headers leave as the bytes that they stand for, with the id in a header."""
    topic = kafka.create_topic()
    transport = await opening()
    sent = Envelope("id-1", b"\x00\xff", "k\udcff", Headers(HEADERS), {"traceparent": "tp"})
    await transport.send(topic, [sent, Envelope("id-2", b"")])
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        first, second = await consumer.getone(), await consumer.getone()
    finally:
        await consumer.stop()
    assert (first.key, first.value) == (b"k\xff", b"\x00\xff")
    assert [*first.headers] == [*HEADERS, ("traceparent", b"tp"), ("linkbus", b'{"id":"id-1"}')]
    assert (second.key, second.value) == (None, b"")


async def test_what_another_program_sends_is_what_linkbus_reads(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """Bytes, nulls, tombstones and repeated names of any producer arrive as stable text."""
    topic = kafka.create_topic()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(
            topic,
            b"\xfe",
            key=b"\xff",
            headers=[*HEADERS, ("null", None), ("linkbus", b'{"id":7}')],
            timestamp_ms=1_700_000_000_123,
        )
        await producer.send_and_wait(topic, None, key=b"gone")
    finally:
        await producer.stop()
    receiver = await members.join(await opening(), topic)
    one, tombstone = await received(receiver, 2)
    assert (one.id, one.body, one.key, one.attempt) == (None, b"\xfe", "\udcff", 1)
    assert one.headers.get_all("a") == ["1", "\udcff\x00"]
    assert (one.headers["größe"], one.headers["null"]) == ("ä", "")
    assert one.sent_at == pytest.approx(1_700_000_000.123)
    assert one.attributes == {
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
    }
    assert one.raw.offset == 0
    assert (tombstone.body, tombstone.key) == (b"", "gone")
    assert tombstone.attributes["messaging.kafka.message.tombstone"] is True


async def test_a_key_goes_where_other_programs_put_it(kafka: Kafka, opening: Opening) -> None:
    """A key has the same partition as with the client's own partitioner."""
    topic = kafka.create_topic(partitions=5)
    transport = await opening()
    keys = [f"key-{number}" for number in range(30)]
    await transport.send(topic, [Envelope(key, b"", key) for key in keys])
    placed = [await transport.raw.send_and_wait(topic, b"", key.encode()) for key in keys]
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    places: dict[bytes, set[int]] = {}
    try:
        for _ in range(60):
            record = await consumer.getone()
            places.setdefault(record.key, set()).add(record.partition)
    finally:
        await consumer.stop()
    assert places == {
        key.encode(): {record.partition} for key, record in zip(keys, placed, strict=True)
    }


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_compression(
    kafka: Kafka, opening: Opening, members: Members, compression: str
) -> None:
    """A compressed batch arrives whole, or the missing library is named at once."""
    if not getattr(codec, f"has_{compression}")():
        with pytest.raises(UsageError, match="pip install"):
            await opening(compression_type=compression)
        return
    topic = kafka.create_topic()
    transport = await opening(compression_type=compression)
    await transport.send(topic, [Envelope(str(n), b"x" * 100) for n in range(100)])
    receiver = await members.join(transport, topic)
    got = await received(receiver, 100)
    assert [one.id for one in got] == [str(n) for n in range(100)]
    assert set(await settled(receiver, got)) == {"ok"}


async def test_raw_needs_an_open_transport(kafka: Kafka, stack: AsyncExitStack) -> None:
    """The client can be reached while the transport is open, and no longer."""
    transport = KafkaTransport(kafka.bootstrap)
    with pytest.raises(UsageError):
        _ = transport.raw
    await transport.open()
    async with aclosing(transport):
        assert isinstance(transport.raw, AIOKafkaProducer)
    with pytest.raises(UsageError):
        _ = transport.raw


async def test_a_record_that_aiokafka_cannot_read(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """A header name that is not UTF-8 ends the consumer, and says so; nothing is skipped."""
    topic = kafka.create_topic()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch.append(key=None, value=b"", timestamp=None, headers=[("name", b"")])
        batch.close()
        data = bytearray(batch._build())
        data[data.index(b"name")] = 0xFF
        data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
        batch._buffer = data
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()
    receiver = await members.join(await opening(), topic)
    with pytest.raises(TransportError, match="not UTF-8") as raised:
        await received(receiver, 1)
    assert not raised.value.retryable
