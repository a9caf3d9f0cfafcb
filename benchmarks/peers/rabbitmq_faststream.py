"""FastStream on RabbitMQ, with its OpenTelemetry middleware where spans are recorded.

It has no batches there.
"""

from __future__ import annotations

from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.opentelemetry import RabbitTelemetryMiddleware

from benchmarks.contender import PREFETCH, Contender, Inbox, Joins, Mode, Place


class RabbitMQFastStream(Contender):
    """A subscriber that acknowledges each message after the handler."""

    joins = Joins.PARENT

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        self._sending = self._broker()
        self._exchange = RabbitExchange(
            place.destination, type=ExchangeType.FANOUT, durable=True, declare=False
        )

    async def open(self) -> None:
        """Connect what sends."""
        await self._sending.start()

    async def send(self, body: bytes) -> None:
        """Publish one message."""
        await self._sending.publish(body, exchange=self._exchange, persist=True, mandatory=True)

    async def receive(self, inbox: Inbox) -> None:
        """Let it call a handler with each message."""
        broker = self._broker()
        name = f"{self.place.destination}.{self.place.group}"
        queue = RabbitQueue(name, durable=True, declare=False)

        @broker.subscriber(queue, ack_policy=AckPolicy.NACK_ON_ERROR)
        async def handle(body: bytes) -> None:
            inbox.take(body)

        await broker.start()
        try:
            await inbox.filled.wait()
        finally:
            await broker.stop()

    async def aclose(self) -> None:
        """Disconnect what sends."""
        await self._sending.stop()

    def _broker(self) -> RabbitBroker:
        return RabbitBroker(
            self.place.address,
            default_channel=Channel(prefetch_count=2 * PREFETCH, on_return_raises=True),
            logger=None,
            middlewares=[RabbitTelemetryMiddleware()] if self.mode is Mode.RECORDING else (),
        )
