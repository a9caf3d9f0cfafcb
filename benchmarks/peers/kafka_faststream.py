"""FastStream on Kafka, with its OpenTelemetry middleware where spans are recorded.

The process span of a batch is joined to no sending: the links are on another span, which
ends before the handler begins. So of batches nothing is checked.
"""

from __future__ import annotations

from collections.abc import Sequence

from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.opentelemetry import KafkaTelemetryMiddleware

from benchmarks.contender import Contender, Inbox, Joins, Mode, Place

_BATCH_BYTES = 900_000
"""What it publishes at once must fit into one batch of the client."""


class KafkaFastStream(Contender):
    """Subscribers that acknowledge after the handler: one commit a message, or a batch."""

    joins = Joins.PARENT
    joins_batches = Joins.NOTHING
    ack_policy = AckPolicy.ACK

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        self._sending = self._broker()

    async def open(self) -> None:
        """Connect what sends."""
        await self._sending.connect()

    async def send(self, body: bytes) -> None:
        """Publish one message."""
        await self._sending.publish(body, self.place.destination)

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Publish all at once."""
        await self._sending.publish_batch(*bodies, topic=self.place.destination)

    async def receive(self, inbox: Inbox) -> None:
        """Let it call a handler with each message."""
        broker = self._broker()
        place = self.place

        @broker.subscriber(
            place.destination,
            group_id=place.group,
            auto_offset_reset="earliest",
            ack_policy=self.ack_policy,
        )
        async def handle(body: bytes) -> None:
            inbox.take(body)

        await _serve(broker, inbox)

    async def receive_batches(self, inbox: Inbox, size: int) -> None:
        """Let it call a handler with each batch."""
        broker = self._broker()
        place = self.place

        @broker.subscriber(
            place.destination,
            group_id=place.group,
            auto_offset_reset="earliest",
            ack_policy=self.ack_policy,
            batch=True,
            max_records=size,
        )
        async def handle(bodies: list[bytes]) -> None:
            inbox.take_batch(bodies)

        await _serve(broker, inbox)

    async def aclose(self) -> None:
        """Disconnect what sends."""
        await self._sending.stop()

    def _broker(self) -> KafkaBroker:
        return KafkaBroker(
            self.place.address,
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
            logger=None,
            middlewares=[KafkaTelemetryMiddleware()] if self.mode is Mode.RECORDING else (),
        )


class KafkaFastStreamAckFirst(KafkaFastStream):
    """Subscribers that acknowledge on their own, before the handler: what is the default."""

    ack_policy = AckPolicy.ACK_FIRST


async def _serve(broker: KafkaBroker, inbox: Inbox) -> None:
    await broker.start()
    try:
        await inbox.filled.wait()
    finally:
        await broker.stop()
