"""aio-pika itself, with no spans or with spans by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import time
from uuid import uuid4

import aio_pika
from aio_pika.abc import (
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueueIterator,
)
from yarl import URL

from benchmarks.contender import ACK_EVERY, PREFETCH, Contender, Inbox, Joins, Mode, Place
from benchmarks.peers.by_hand import ACK, BrokerFacts, ByHand, Received, injected

AT_ONCE = 100
"""Messages of a batch that are on their way at once: with more, the client is slower."""


class RabbitMQClient(Contender):
    """The client, which acknowledges a hundred messages, or a batch, with one frame."""

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None

    async def open(self) -> None:
        """Connect, with publisher confirms."""
        self._connection = await aio_pika.connect(self.place.address)
        channel = await self._connection.channel(publisher_confirms=True)
        self._exchange = await channel.get_exchange(self.place.destination)

    async def send(self, body: bytes) -> None:
        """Send one message."""
        await self._publish(_persistent(body))

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Send each; so many of them at once."""
        await self._publish_all([_persistent(body) for body in bodies])

    async def receive(self, inbox: Inbox) -> None:
        """Handle one message after the other."""
        count = 0
        async with self._messages() as messages:
            async for message in messages:
                self.handle(message, inbox)
                count += 1
                if inbox.is_full or count % ACK_EVERY == 0:
                    await message.ack(multiple=True)
                if inbox.is_full:
                    break

    async def receive_batches(self, inbox: Inbox, size: int) -> None:
        """Handle batches."""
        batch: list[AbstractIncomingMessage] = []
        async with self._messages() as messages:
            async for message in messages:
                batch.append(message)
                if len(batch) == size:
                    self.handle_batch(batch, inbox)
                    batch = []
                    await message.ack(multiple=True)
                if inbox.is_full:
                    break

    async def aclose(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            await self._connection.close()

    def handle(self, message: AbstractIncomingMessage, inbox: Inbox) -> None:
        """Handle one message."""
        inbox.take(message.body)

    def handle_batch(self, messages: Sequence[AbstractIncomingMessage], inbox: Inbox) -> None:
        """Handle a batch."""
        inbox.take_batch([message.body for message in messages])

    async def _publish(self, message: aio_pika.Message) -> None:
        assert self._exchange is not None, "not open"
        await self._exchange.publish(message, "", mandatory=True)

    async def _publish_all(self, messages: Sequence[aio_pika.Message]) -> None:
        for at in range(0, len(messages), AT_ONCE):
            await asyncio.gather(*map(self._publish, messages[at : at + AT_ONCE]))

    @asynccontextmanager
    async def _messages(self) -> AsyncIterator[AbstractQueueIterator]:
        assert self._connection is not None, "not open"
        channel = await self._connection.channel()
        await channel.set_qos(prefetch_count=2 * PREFETCH)
        queue = await channel.get_queue(f"{self.place.destination}.{self.place.group}")
        async with queue.iterator() as messages:
            yield messages


class RabbitMQClientByHand(RabbitMQClient):
    """The client, with spans by hand."""

    joins = Joins.LINK

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        url = URL(place.address)
        connection: BrokerFacts = {
            "server.address": url.host or "",
            "server.port": url.port or 5672,
        }
        name = f"{place.destination}:{place.destination}.{place.group}"
        source = {
            "messaging.destination.name": name,
            "messaging.destination.template": place.destination,
        }
        self._hand = ByHand(place, "rabbitmq", connection, source)

    async def send(self, body: bytes) -> None:
        """Send one message in its span."""
        mid = uuid4().hex
        with self._hand.sending(mid, len(body)):
            await self._publish(_persistent(body, injected(), mid))

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Make a span for each message, and send all in one."""
        mids = [uuid4().hex for _ in bodies]
        with self._hand.sending_batch(mids, len(bodies[0])) as made:
            await self._publish_all(
                [
                    _persistent(body, headers, mid)
                    for body, headers, mid in zip(bodies, made, mids, strict=True)
                ]
            )

    def handle(self, message: AbstractIncomingMessage, inbox: Inbox) -> None:
        """Handle one message in its span."""
        with self._hand.processing(_received(message)) as span:
            inbox.take(message.body)
            span.set_attribute(*ACK)

    def handle_batch(self, messages: Sequence[AbstractIncomingMessage], inbox: Inbox) -> None:
        """Handle a batch in one span, linked to all of it."""
        with self._hand.processing_batch([_received(message) for message in messages], {}):
            inbox.take_batch([message.body for message in messages])


def _persistent(
    body: bytes, headers: dict[str, str] | None = None, mid: str | None = None
) -> aio_pika.Message:
    fields: dict[str, aio_pika.abc.FieldValue] = {}
    if headers is not None:
        fields = {**headers, "sent": str(round(time() * 1000))}
    return aio_pika.Message(
        body,
        headers=fields,
        message_id=mid,
        timestamp=datetime.now(UTC) if mid else None,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


def _received(message: AbstractIncomingMessage) -> Received:
    headers = {name: str(value) for name, value in message.headers.items()}
    facts: BrokerFacts = {"messaging.rabbitmq.message.delivery_tag": message.delivery_tag or 0}
    sent_at = int(headers["sent"]) / 1000
    return Received(headers, message.message_id or "", len(message.body), sent_at, facts)
