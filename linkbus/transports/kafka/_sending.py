"""Sending: one idempotent producer, replaced when it cannot send any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.structs import RecordMetadata

from linkbus._errors import ConnectError, DestinationNotFound, MessageError, TransportError
from linkbus.abc import Envelope, SendResult, SendStatus
from linkbus.transports.kafka._errors import not_confirmed, not_submitted, unusable
from linkbus.transports.kafka._internals import close_producer
from linkbus.transports.kafka._mapping import key_and_headers
from linkbus.transports.kafka._options import ROOM_BYTES, Options, ms
from linkbus.transports.kafka._unwrapped import unwrapped

CLOSE_TIMEOUT = 4.0

_SENT = SendResult(SendStatus.SENT)


class Sending:
    """The producer of a transport.

    When the broker refuses a batch, the sequence numbers of its partition have a gap, and
    aiokafka never closes it: everything that this producer sends there later is refused as
    out of order. So after such a failure the producer finishes what it has, and another
    takes its place; sends wait meanwhile.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._producer: AIOKafkaProducer | None = None
        self._failed = False
        self._renewing: asyncio.Task[None] | None = None

    @property
    def producer(self) -> AIOKafkaProducer | None:
        """The producer, when it is open."""
        return self._producer

    async def open(self) -> None:
        """Connect; if that fails or is cancelled, nothing is left open.

        Raises:
            ConnectError: No broker answered, or it refused us.
        """
        options = self._options
        producer = AIOKafkaProducer(
            **options.connection,
            request_timeout_ms=ms(options.request_timeout),
            acks="all",
            enable_idempotence=True,
            compression_type=options.compression_type,
            linger_ms=ms(options.linger),
            max_batch_size=options.max_batch_bytes,
            max_request_size=options.max_message_bytes + ROOM_BYTES,
        )
        try:
            async with asyncio.timeout(options.connect_timeout):
                await producer.start()
        except (KafkaError, OSError) as error:
            await close_producer(producer, 0.5)
            raise _not_reached(options, error) from error
        except BaseException:
            await close_producer(producer, 0.0)
            raise
        self._producer, self._failed = producer, False

    async def find(self, topic: str) -> None:
        """Return when a topic exists; a broker that makes topics on use makes it now.

        Raises:
            DestinationNotFound: It does not exist.
            TransportError: The broker was not reached, or refused.
        """
        await self._find(await self._usable(), topic)

    async def send(self, topic: str, batch: Sequence[Envelope]) -> list[SendResult]:
        """Send envelopes and say what became of each, within `delivery_timeout`.

        Raises:
            TransportError: None of them was sent.
        """
        call = _Call(topic, batch)
        try:
            async with asyncio.timeout(self._options.delivery_timeout):
                producer = await self._usable()
                if producer.client.cluster.partitions_for_topic(topic) is None:
                    await self._find(producer, topic)
                await call.submit(producer)
                await call.confirm()
        except TimeoutError:
            call.give_up()
        except BaseException:
            call.forget()
            raise
        if call.broke_the_sequence and producer is self._producer:
            self._failed = True
        return call.results

    async def aclose(self) -> None:
        """Send what is left, for a few seconds, and disconnect."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
        producer, self._producer = self._producer, None
        if producer is not None:
            await close_producer(producer, CLOSE_TIMEOUT)

    async def _usable(self) -> AIOKafkaProducer:
        if self._failed:
            if self._renewing is None or self._renewing.done():
                self._renewing = asyncio.create_task(self._renew())
            await asyncio.shield(self._renewing)
        if self._producer is None:
            msg = "the Kafka transport is not open"
            raise ConnectError(msg)
        return self._producer
