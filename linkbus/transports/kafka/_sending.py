"""Sending: one idempotent producer, replaced when it cannot send any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.structs import RecordMetadata

from linkbus._errors import ConnectError, DestinationNotFound, MessageError, TransportError
from linkbus.abc import Envelope, SendResult
from linkbus.transports._deadlines import Deadlines
from linkbus.transports.kafka._call import SENT, Call, forget
from linkbus.transports.kafka._errors import unusable
from linkbus.transports.kafka._internals import close, start
from linkbus.transports.kafka._mapping import key_and_headers
from linkbus.transports.kafka._options import ROOM_BYTES, Options, ms
from linkbus.transports.kafka._unwrapped import unwrapped

CLOSE_TIMEOUT = 4.0


class Sending:
    """The producer of a transport.

    When the broker refuses a batch, the sequence numbers of its partition have a gap, and
    aiokafka never closes it: everything that this producer sends there later is refused as
    out of order. So after such a failure the producer finishes what it has, and another
    takes its place; sends wait meanwhile.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._deadlines = Deadlines(options.delivery_timeout)
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
            await start(producer, options.connect_timeout)
        except (KafkaError, TimeoutError) as error:
            raise _not_reached(options, error) from error
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
        if len(batch) == 1 and (ready := self._ready(topic)) is not None:
            return await self._send_one(ready, topic, batch[0])
        call = Call(topic, batch)
        try:
            with self._deadlines.limit():
                producer = await self._usable()
                if producer.client.cluster.partitions_for_topic(topic) is None:
                    await self._find(producer, topic)
                await call.submit(producer)
                await call.confirm()
        except TimeoutError:
            call.give_up(self._options.delivery_timeout)
        except BaseException:  # cancelled, too: nobody waits for it any more
            call.forget()
            raise
        return self._results(call)

    async def _send_one(
        self, producer: AIOKafkaProducer, topic: str, envelope: Envelope
    ) -> list[SendResult]:
        """Send one message, which is what applications do most, at the least expense."""
        future: asyncio.Future[RecordMetadata] | None = None
        failure: Exception | None = None
        try:
            with self._deadlines.limit():
                key, headers = key_and_headers(envelope)
                send = unwrapped(producer.send)
                future = await send(topic, envelope.body, key=key, headers=headers)
                await future
        except (MessageError, KafkaError, TimeoutError) as error:
            failure = error
        except BaseException:  # cancelled, too: nobody waits for it any more
            if future is not None:
                forget(future)
            raise
        else:
            return [SENT]
        call = Call(topic, [envelope])
        if isinstance(failure, TimeoutError):
            call.take_over(producer, future, None)
            call.give_up(self._options.delivery_timeout)
        else:
            call.take_over(producer, future, failure)
        return self._results(call)

    def _ready(self, topic: str) -> AIOKafkaProducer | None:
        """Return the producer, if it can send to the topic at once."""
        producer = None if self._failed else self._producer
        if producer is None or producer.client.cluster.partitions_for_topic(topic) is None:
            return None
        return producer

    def _results(self, call: Call) -> list[SendResult]:
        if call.spoiled is not None and call.spoiled is self._producer:
            self._failed = True
        return call.results

    async def aclose(self) -> None:
        """Send what is left, for a few seconds, and disconnect."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
        self._deadlines.close()
        producer, self._producer = self._producer, None
        if producer is not None:
            await close(producer, CLOSE_TIMEOUT)

    async def _usable(self) -> AIOKafkaProducer:
        if self._failed:
            if self._renewing is None or self._renewing.done():
                self._renewing = asyncio.create_task(self._renew())
            await asyncio.shield(self._renewing)
        if self._producer is None:
            msg = "the Kafka transport is not open"
            raise ConnectError(msg)
        return self._producer

    async def _find(self, producer: AIOKafkaProducer, topic: str) -> None:
        doing = f"looking for topic {topic!r}"
        timeout = self._options.topic_timeout
        try:
            async with asyncio.timeout(timeout):
                await producer.partitions_for(topic)
                return
        except (UnknownTopicOrPartitionError, TimeoutError):
            pass  # which of the two does not say whether a broker was there to answer
        except KafkaError as error:
            raise unusable(error, doing) from error
        try:
            async with asyncio.timeout(timeout):
                known = await producer.client.fetch_all_metadata()
        except (KafkaError, TimeoutError) as error:
            raise _not_reached(self._options, error) from error
        if topic in known.topics():
            msg = f"{doing}: it has no leader for now"
            raise TransportError(msg, retryable=True)
        msg = f"{doing}: there is no such topic; create it first"
        raise DestinationNotFound(msg)

    async def _renew(self) -> None:
        old = self._producer
        if old is not None:
            async with _patience(self._options.delivery_timeout):
                await old.flush()
            await close(old, CLOSE_TIMEOUT)
        await self.open()


@asynccontextmanager
async def _patience(seconds: float) -> AsyncIterator[None]:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            yield


def _not_reached(options: Options, error: Exception) -> ConnectError:
    servers = ", ".join([f"{host}:{port}" for host, port in options.servers])
    msg = (
        f"no Kafka broker was reached at {servers} ({type(error).__name__}): is it there, and are "
        "security_protocol and credentials right? The logger 'aiokafka' has the details"
    )
    return ConnectError(msg, retryable=True)
