"""A server that is killed and restarted while services send and work."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

import linkbus
from linkbus.abc import Envelope
from linkbus.transports.sqs import SQSTransport
from tests.brokers.elasticmq import ElasticMQ, create_queue
from tests.integration.conftest import received, settled
from tests.integration.sqs_opening import OPTIONS, opened, subscribed

pytestmark = [pytest.mark.broker, pytest.mark.timeout(90)]  # a server starts in between

MESSAGES = 2000


class Ledger:
    """What was confirmed and what was handled, of one queue."""

    def __init__(self, endpoint: str, queue: str, *, fifo: bool) -> None:
        self.confirmed: set[int] = set()
        self.handled: Counter[int] = Counter()
        self._progress = asyncio.Event()
        self._queue = queue
        self._options = {**OPTIONS, "endpoint_url": endpoint, "visibility_timeout": 3, "fifo": fifo}

    async def produce(self) -> None:
        """Send all messages, and note which of them were confirmed."""
        async with linkbus.Bus(SQSTransport(**self._options)) as bus:
            producer = bus.producer(self._queue)
            for start in range(0, MESSAGES, 20):
                numbers = range(start, start + 20)
                batch = [linkbus.Message(b"%d" % n, key=str(n % 20)) for n in numbers]
                for number, result in zip(numbers, await producer.send_batch(batch), strict=True):
                    if result.status is linkbus.SendStatus.SENT:
                        self.confirmed.add(number)

    async def serve(self) -> None:
        """Handle messages until cancelled."""
        async with linkbus.Bus(SQSTransport(**self._options)) as bus:
            while True:
                with suppress(linkbus.DestinationNotFound):
                    await bus.consumer(self._queue, concurrency=16).run(self._handle)
                await asyncio.sleep(0.1)  # ElasticMQ answers before it has read its queues

    async def _handle(self, delivery: linkbus.Delivery) -> None:
        self.handled[int(delivery.body)] += 1
        self._progress.set()

    async def reached(self, share: float) -> None:
        """Wait until so large a share of all messages was handled."""
        while len(self.handled) < share * MESSAGES:
            await self._more()

    async def complete(self) -> None:
        """Wait until all was handled that was confirmed."""
        while self.confirmed - set(self.handled):
            await self._more()

    async def _more(self) -> None:
        self._progress.clear()
        await self._progress.wait()


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_service_survives_two_deaths_of_the_server(sqs_to_kill: ElasticMQ, fifo):
    """Everything that was confirmed is handled, though nobody looked after the connections."""
    queue = create_queue(sqs_to_kill.endpoint, fifo=fifo)
    ledger = Ledger(sqs_to_kill.endpoint, queue, fifo=fifo)
    producing = asyncio.create_task(ledger.produce())
    serving = asyncio.create_task(ledger.serve())
    for share in (0.2, 0.5):
        await ledger.reached(share)
        await asyncio.to_thread(sqs_to_kill.restart)
    await producing
    await ledger.complete()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert len(ledger.confirmed) > MESSAGES * 0.9


async def test_a_receiver_survives_a_restart(sqs_to_kill: ElasticMQ, stack):
    """What was not settled comes again, and what is sent after it arrives."""
    queue = create_queue(sqs_to_kill.endpoint)
    transport = await opened(stack, sqs_to_kill.endpoint, visibility_timeout=2)
    receiver = await subscribed(stack, transport, queue)
    await transport.send(queue, [Envelope("before", b"")])
    (held,) = await received(receiver, 1)
    await asyncio.to_thread(sqs_to_kill.restart)
    (result,) = await transport.send(queue, [Envelope("after", b"")])
    assert result.status == "sent"
    came = {one.id for one in await received(receiver, 2)}
    assert came == {"before", "after"}
    assert await settled(receiver, [held]) == ["stale"]
