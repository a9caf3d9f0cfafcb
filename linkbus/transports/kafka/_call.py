"""One call of `send`: what became of each envelope."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer, errors
from aiokafka.structs import RecordMetadata

from linkbus._errors import MessageError, TransportError
from linkbus.abc import Envelope, SendResult, SendStatus
from linkbus.transports.kafka._errors import not_confirmed, not_submitted
from linkbus.transports.kafka._mapping import key_and_headers
from linkbus.transports.kafka._unwrapped import unwrapped

_SENT = SendResult(SendStatus.SENT)

_HARMLESS = (
    errors.KafkaTimeoutError,
    errors.TopicAuthorizationFailedError,
    errors.UnknownTopicOrPartitionError,
)
"""What `AIOKafkaProducer.send` raises while the producer is as good as before."""


class Call:
    """Envelopes on their way to one topic.

    Attributes:
        results: One for each envelope, as far as known: SENT until something is wrong.
        spoiled: The producer, when it must not be used any more.
    """

    def __init__(self, topic: str, batch: Sequence[Envelope]) -> None:
        self.results = [_SENT] * len(batch)
        self.spoiled: AIOKafkaProducer | None = None
        self._topic = topic
        self._batch = batch
        self._futures: dict[int, asyncio.Future[RecordMetadata]] = {}
        self._producer: AIOKafkaProducer | None = None
        self._submitted = 0
        self._failed_keys: set[str] = set()

    async def submit(self, producer: AIOKafkaProducer) -> None:
        """Give all envelopes to the producer, which packs them into batches of its own."""
        self._producer = producer
        send, topic, futures = unwrapped(producer, producer.send), self._topic, self._futures
        for number, envelope in enumerate(self._batch):
            if self._failed_keys and envelope.key in self._failed_keys:
                self._fail(number, self._behind())
            else:
                try:
                    key, headers = key_and_headers(envelope)
                    futures[number] = await send(topic, envelope.body, key=key, headers=headers)
                except MessageError as error:
                    self._fail(number, SendResult(SendStatus.FAILED, error=error))
                except errors.MessageSizeTooLargeError as error:
                    self._fail(number, not_submitted(error, topic))
                except errors.KafkaError as error:
                    self._fail_the_rest(error)
                    break
            self._submitted = number + 1

    async def confirm(self) -> None:
        """Wait until the broker has confirmed or refused every envelope."""
        for number, future in self._futures.items():
            try:
                await future
            except errors.KafkaError as error:
                self._fail(number, not_confirmed(error, self._topic))
                self.spoiled = self._producer

    def give_up(self, seconds: float) -> None:
        """Say UNKNOWN of what was submitted and is not confirmed, FAILED of the rest.

        What was submitted is left to the producer, which may still deliver it.
        """
        topic = self._topic
        msg = f"topic {topic!r} did not confirm within {seconds:g} seconds (delivery_timeout)"
        unknown = SendResult(SendStatus.UNKNOWN, error=TransportError(msg))
        for number, future in self._futures.items():
            if future.cancel() or future.cancelled():
                self.results[number] = unknown
            elif (error := future.exception()) is not None and self.results[number] is _SENT:
                self._fail(number, not_confirmed(error, topic))
                self.spoiled = self._producer
        msg = f"a message for topic {topic!r} did not leave within {seconds:g} seconds"
        error = TransportError(msg, retryable=True)
        waiting = SendResult(SendStatus.FAILED, error=error, retryable=True)
        self.results[self._submitted :] = [waiting] * (len(self.results) - self._submitted)

    def forget(self) -> None:
        """Leave what was submitted to the producer: nobody waits for it."""
        for future in self._futures.values():
            if not future.cancel() and not future.cancelled():
                future.exception()

    def _behind(self) -> SendResult:
        msg = f"a message for topic {self._topic!r} waits for an earlier one of its key that failed"
        error = TransportError(msg, retryable=True)
        return SendResult(SendStatus.FAILED, error=error, retryable=True)

    def _fail(self, number: int, result: SendResult) -> None:
        self.results[number] = result
        key = self._batch[number].key
        if key is not None:
            self._failed_keys.add(key)

    def _fail_the_rest(self, error: errors.KafkaError) -> None:
        failed = not_submitted(error, self._topic)
        for number in range(self._submitted, len(self._batch)):
            self.results[number] = failed
        self._submitted = len(self._batch)
        if not isinstance(error, _HARMLESS):
            self.spoiled = self._producer
