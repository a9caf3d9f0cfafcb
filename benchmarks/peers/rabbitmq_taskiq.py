"""taskiq on RabbitMQ, with its OpenTelemetry middleware where spans are recorded.

A body is text in a task of JSON. It has no batches.
"""

from __future__ import annotations

from aio_pika import ExchangeType
from taskiq.middlewares.opentelemetry_middleware import OpenTelemetryMiddleware
from taskiq.receiver import Receiver
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue

from benchmarks.contender import PREFETCH, Contender, Inbox, Joins, Mode, Place

_TASKS = 100
"""That its worker runs at once: its command's default."""


class RabbitMQTaskiq(Contender):
    """A task for each message, which is acknowledged after it."""

    joins = Joins.PARENT

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        queue = Queue(name=f"{place.destination}.{place.group}", declare=False)
        self._broker = AioPikaBroker(
            place.address,
            qos=2 * PREFETCH,
            exchange=Exchange(name=place.destination, type=ExchangeType.FANOUT, declare=False),
            task_queues=[queue],
            dead_letter_queue=queue,  # of the queues that it declares, and it declares none
        )
        self._broker.is_worker_process = True  # so it has a connection to receive with
        if mode is Mode.RECORDING:
            self._broker = self._broker.with_middlewares(OpenTelemetryMiddleware())
        self._inbox: Inbox | None = None

        @self._broker.task
        async def handle(body: str) -> None:
            assert self._inbox is not None, "nothing is to be received yet"
            self._inbox.take(body.encode())

        self._handle = handle

    async def open(self) -> None:
        """Connect, with publisher confirms: aio-pika's default."""
        await self._broker.startup()

    async def send(self, body: bytes) -> None:
        """Kick one task."""
        await self._handle.kiq(body.decode())

    async def receive(self, inbox: Inbox) -> None:
        """Let a worker run the task of each message."""
        self._inbox = inbox
        worker = Receiver(
            self._broker, max_async_tasks=_TASKS, max_prefetch=PREFETCH, run_startup=False
        )
        await worker.listen(inbox.filled)

    async def aclose(self) -> None:
        """Disconnect."""
        await self._broker.shutdown()
