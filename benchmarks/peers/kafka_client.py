"""aiokafka itself, with no spans or with spans by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from benchmarks.contender import ACK_EVERY, Contender, Inbox, Joins, Mode, Place
from benchmarks.peers.by_hand import ACK, BrokerFacts, ByHand, Received, injected

Record = ConsumerRecord[bytes, bytes]
Headers = list[tuple[str, bytes]]


class KafkaClient(Contender):
    """The client, which commits after every hundred messages or every batch."""

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=place.address, acks="all", enable_idempotence=True
        )

    async def open(self) -> None:
        """Connect the producer."""
        await self._producer.start()

    async def send(self, body: bytes) -> None:
        """Send one message."""
        await self._producer.send_and_wait(self.place.destination, body)

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Give all to the client, then wait for all."""
        await self._send_together([(body, None) for body in bodies])

    async def receive(self, inbox: Inbox) -> None:
        """Handle one record after the other."""
        consumer = await self._consumer()
        while not inbox.is_full:
            for record in await _some(consumer, ACK_EVERY):
                self.handle(record, inbox)
            await consumer.commit()
        await consumer.stop()

    async def receive_batches(self, inbox: Inbox, size: int) -> None:
        """Handle batches."""
        consumer = await self._consumer()
        while not inbox.is_full:
            records = await _some(consumer, size)
            while records and len(records) < size:
                more = await _some(consumer, size - len(records))
                records += more
                if not more:
                    break
            if records:
                self.handle_batch(records, inbox)
                await consumer.commit()
        await consumer.stop()

    async def aclose(self) -> None:
        """Disconnect the producer."""
        await self._producer.stop()

    def handle(self, record: Record, inbox: Inbox) -> None:
        """Handle one record."""
        inbox.take(record.value or b"")

    def handle_batch(self, records: Sequence[Record], inbox: Inbox) -> None:
        """Handle a batch of records."""
        inbox.take_batch([record.value or b"" for record in records])

    async def _send_together(self, messages: Sequence[tuple[bytes, Headers | None]]) -> None:
        producer, topic = self._producer, self.place.destination
        await asyncio.gather(
            *[await producer.send(topic, body, headers=headers) for body, headers in messages]
        )

    async def _consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            self.place.destination,
            bootstrap_servers=self.place.address,
            group_id=self.place.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        return consumer


class KafkaClientByHand(KafkaClient):
    """The client, with spans by hand."""

    joins = Joins.LINK

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        host, _, port = place.address.partition(":")
        connection: BrokerFacts = {
            "server.address": host,
            "server.port": int(port),
            "messaging.client.id": "by-hand",
        }
        self._hand = ByHand(place, "kafka", connection)

    async def send(self, body: bytes) -> None:
        """Send one message in its span."""
        mid = uuid4().hex
        with self._hand.sending(mid, len(body)):
            await self._producer.send_and_wait(
                self.place.destination, body, headers=_encoded(injected(), mid)
            )

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Make a span for each message, and send all in one."""
        mids = [uuid4().hex for _ in bodies]
        with self._hand.sending_batch(mids, len(bodies[0])) as made:
            await self._send_together(
                [
                    (body, _encoded(headers, mid))
                    for body, headers, mid in zip(bodies, made, mids, strict=True)
                ]
            )

    def handle(self, record: Record, inbox: Inbox) -> None:
        """Handle one record in its span."""
        with self._hand.processing(_received(record, _partition(record))) as span:
            inbox.take(record.value or b"")
            span.set_attribute(*ACK)

    def handle_batch(self, records: Sequence[Record], inbox: Inbox) -> None:
        """Handle a batch in one span, linked to all of it."""
        messages = [_received(record, {}) for record in records]
        with self._hand.processing_batch(messages, _partition(records[0])):
            inbox.take_batch([record.value or b"" for record in records])


async def _some(consumer: AIOKafkaConsumer, most: int) -> list[Record]:
    found = await consumer.getmany(timeout_ms=1000, max_records=most)
    return [record for records in found.values() for record in records]


def _encoded(headers: dict[str, str], mid: str) -> Headers:
    encoded = [(name, value.encode()) for name, value in headers.items()]
    return [*encoded, ("id", mid.encode())]


def _partition(record: Record) -> BrokerFacts:
    return {"messaging.destination.partition.id": str(record.partition)}


def _received(record: Record, facts: BrokerFacts) -> Received:
    facts["messaging.kafka.offset"] = record.offset
    headers = {name: value.decode() for name, value in record.headers}
    return Received(
        headers, headers["id"], len(record.value or b""), record.timestamp / 1000, facts
    )
