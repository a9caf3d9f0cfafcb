"""linkbus, on every transport; what its spans cost depends on the mode."""

from __future__ import annotations

from collections.abc import Sequence

import linkbus
from benchmarks.contender import PREFETCH, Contender, Inbox, Joins, Mode, Place, run_until_full
from linkbus.abc import Transport


class Linkbus(Contender):
    """A bus, as an application has it: OpenTelemetry is what was set globally."""

    joins = Joins.LINK
    create_spans = True

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        self._bus = linkbus.Bus(_transport(place))
        self._producer = self._bus.producer(place.destination, create_spans=self.create_spans)

    async def open(self) -> None:
        """Connect; the memory transport keeps what is sent for the group that exists."""
        await self._bus.__aenter__()

    async def send(self, body: bytes) -> None:
        """Send one message."""
        await self._producer.send(body)

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Send a batch, and look at each result."""
        results = await self._producer.send_batch([linkbus.Message(body) for body in bodies])
        assert all(result.status is linkbus.SendStatus.SENT for result in results)

    async def receive(self, inbox: Inbox) -> None:
        """Run a handler."""

        async def handle(delivery: linkbus.Delivery) -> None:
            inbox.take(delivery.body)

        await run_until_full(inbox, self._consumer().run(handle))

    async def receive_batches(self, inbox: Inbox, size: int) -> None:
        """Run a handler of batches."""

        async def handle(batch: linkbus.Batch) -> None:
            inbox.take_batch([delivery.body for delivery in batch])

        service = self._consumer().run_batches(handle, max_messages=size, max_wait=1.0)
        await run_until_full(inbox, service)

    async def aclose(self) -> None:
        """Close the bus."""
        await self._bus.__aexit__(None, None, None)

    def _consumer(self) -> linkbus.Consumer:
        place = self.place
        return self._bus.consumer(place.destination, group=place.group, prefetch=PREFETCH)


class LinkbusOneContext(Linkbus):
    """A bus whose batches have one span, and one context in all of their messages."""

    joins_batches = Joins.SHARED
    create_spans = False


def _transport(place: Place) -> Transport:
    if place.transport == "kafka":
        from linkbus.transports.kafka import KafkaTransport  # noqa: PLC0415 - each needs its client

        return KafkaTransport(place.address)
    if place.transport == "rabbitmq":
        from linkbus.transports.rabbitmq import RabbitMQTransport  # noqa: PLC0415 - as above

        return RabbitMQTransport(place.address)
    if place.transport == "sqs":
        from benchmarks.peers.sqs_client import REGION, session  # noqa: PLC0415 - as above
        from linkbus.transports.sqs import SQSTransport  # noqa: PLC0415 - as above

        return SQSTransport(
            endpoint_url=place.address,
            region_name=REGION,
            session=session(),
            poll_wait=1,
            max_message_bytes=237_568,
        )
    from linkbus.transports.memory import MemoryTransport  # noqa: PLC0415 - as above

    return MemoryTransport()
