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

SENT = SendResult(SendStatus.SENT)

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
        self.results = [SENT] * len(batch)
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
        send, topic, futures = unwrapped(producer.send), self._topic, self._futures
        for number, envelope in enumerate(self._batch):
            if self._failed_keys and envelope.key in self._failed_keys:
                self._fail(number, self._behind())
            else:
                try:
                    key, headers = key_and_headers(envelope)
                    futures[number] = await send(topic, envelope.body, key=key, headers=headers)
                except (MessageError, errors.KafkaError) as error:
                    if self._not_taken(number, error):
                        break
            self._submitted = number + 1

    async def confirm(self) -> None:
        """Wait until the broker has confirmed or refused every envelope."""
        for number, future in self._futures.items():
            try:
                await future
            except errors.KafkaError as error:
                self._refused(number, error)

    def take_over(
        self,
        producer: AIOKafkaProducer,
        future: asyncio.Future[RecordMetadata] | None,
        error: Exception | None,
    ) -> None:
        """Go on with the one envelope of this call, which was sent without it.

        Args:
            producer: Which sent it.
            future: Its confirmation, if the producer took it.
            error: Why it was not taken, or not confirmed; None: that is not known yet.
        """
        self._producer = producer
        if future is not None:
            self._futures[0] = future
            self._submitted = 1
            if error is not None:
                self._refused(0, error)
        elif error is not None:
            self._not_taken(0, error)
            self._submitted = 1

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
            elif (error := future.exception()) is not None and self.results[number] is SENT:
                self._refused(number, error)
        msg = f"a message for topic {topic!r} did not leave within {seconds:g} seconds"
        error = TransportError(msg, retryable=True)
        waiting = SendResult(SendStatus.FAILED, error=error, retryable=True)
        self.results[self._submitted :] = [waiting] * (len(self.results) - self._submitted)

    def forget(self) -> None:
        """Leave what was submitted to the producer: nobody waits for it."""
        for future in self._futures.values():
            forget(future)

    def _behind(self) -> SendResult:
        msg = f"a message for topic {self._topic!r} waits for an earlier one of its key that failed"
        error = TransportError(msg, retryable=True)
        return SendResult(SendStatus.FAILED, error=error, retryable=True)

    def _fail(self, number: int, result: SendResult) -> None:
        self.results[number] = result
        key = self._batch[number].key
        if key is not None:
            self._failed_keys.add(key)

    def _not_taken(self, number: int, error: Exception) -> bool:
        """Note why the producer did not take an envelope; True if it takes no more of them."""
        if isinstance(error, MessageError):
            self._fail(number, SendResult(SendStatus.FAILED, error=error))
        elif isinstance(error, errors.MessageSizeTooLargeError):
            self._fail(number, not_submitted(error, self._topic))
        else:
            self._fail_the_rest(error)
            return True
        return False

    def _refused(self, number: int, error: BaseException) -> None:
        """Note that an envelope was taken and is not confirmed."""
        self._fail(number, not_confirmed(error, self._topic))
        self.spoiled = self._producer

    def _fail_the_rest(self, error: Exception) -> None:
        failed = not_submitted(error, self._topic)
        for number in range(self._submitted, len(self._batch)):
            self.results[number] = failed
        self._submitted = len(self._batch)
        if not isinstance(error, _HARMLESS):
            self.spoiled = self._producer


def forget(future: asyncio.Future[RecordMetadata]) -> None:
    """Leave what was submitted to the producer: nobody waits for it."""
    if not future.cancel() and not future.cancelled():
        future.exception()
