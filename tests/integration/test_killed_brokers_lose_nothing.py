"""Whatever a broker confirmed is processed, though it is killed while messages flow.

`LINKBUS_TEST_MESSAGES=20000 pytest -s` on this file makes a longer run, and prints its counts.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import pytest

import linkbus
from tests.brokers.elasticmq import ElasticMQ, create_queue
from tests.brokers.kafka import KafkaBroker
from tests.brokers.process import BrokerProcess
from tests.brokers.rabbitmq import RabbitMQBroker
from tests.brokers.topics import create_topic

MESSAGES = int(os.environ.get("LINKBUS_TEST_MESSAGES", "1500"))
SENDERS = 20
LIMIT = 120 + MESSAGES // 50

pytestmark = [pytest.mark.broker, pytest.mark.timeout(LIMIT + 60)]


class Run:
    """Messages that are sent and processed while their broker is killed twice.

    Attributes:
        confirmed: Bodies that the broker has confirmed.
        processed: How often each body was handled.
    """

    def __init__(self, name: str, broker: BrokerProcess) -> None:
        self.confirmed: set[bytes] = set()
        self.processed: Counter[bytes] = Counter()
        self._name = name
        self._broker = broker
        self._kill_at = [MESSAGES // 3, 2 * MESSAGES // 3]
        self._restarts: list[asyncio.Task[None]] = []
        self._awaited: set[bytes] | None = None
        self._everything = asyncio.Event()

    async def play(self, bus: linkbus.Bus) -> None:
        """Send everything, and process what was confirmed, for as long as that may take."""
        async with bus.consumer(self._name):
            pass  # the group exists from here on
        await asyncio.to_thread(self._broker.wait_until_settled)
        serving = asyncio.create_task(self._serve(bus))
        numbers = iter(range(MESSAGES))
        async with asyncio.TaskGroup() as senders:
            for _ in range(SENDERS):
                senders.create_task(self._send(bus.producer(self._name), numbers))
        await asyncio.gather(*self._restarts)
        assert not self._kill_at, "the broker was not killed while messages flowed"
        self._awaited = self.confirmed - self.processed.keys()
        if self._awaited:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._everything.wait(), LIMIT)
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving

    def lost(self) -> set[bytes]:
        """Return what was confirmed and not processed, and print all counts."""
        lost = self.confirmed - self.processed.keys()
        twice = sum(count - 1 for count in self.processed.values())
        counts = f"{len(self.confirmed)} of {MESSAGES} confirmed, {len(lost)} of them not processed"
        print(f"{self._broker.name}: {counts}, {twice} duplicates")  # noqa: T201 - a long run's result
        return lost

    async def _send(self, producer: linkbus.Producer, numbers: Iterator[int]) -> None:
        for number in numbers:
            body = b"%d" % number
            with suppress(linkbus.SendError, linkbus.DestinationNotFound):
                await producer.send(body, key=f"{number % 50}")
                self.confirmed.add(body)
            if self._kill_at and len(self.confirmed) >= self._kill_at[0]:
                del self._kill_at[0]
                self._restarts.append(asyncio.create_task(asyncio.to_thread(self._kill)))

    def _kill(self) -> None:
        self._broker.restart(at_once=True)

    async def _serve(self, bus: linkbus.Bus) -> None:
        while True:
            with suppress(linkbus.DestinationNotFound):
                await bus.consumer(self._name, concurrency=16).run(self._handle)
            await asyncio.sleep(0.1)  # ElasticMQ answers before it has read its queues

    async def _handle(self, delivery: linkbus.Delivery) -> None:
        self.processed[delivery.body] += 1
        if self._awaited is not None:
            self._awaited.discard(delivery.body)
            if not self._awaited:
                self._everything.set()


async def lost(url: str, name: str, broker: BrokerProcess, **options: object) -> set[bytes]:
    """Return what was confirmed and never processed."""
    run = Run(name, broker)
    async with linkbus.connect(url, **options) as bus:
        await run.play(bus)
    return run.lost()


async def test_kafka(kafka_to_kill: KafkaBroker):
    """Kafka, on three partitions."""
    topic = create_topic(kafka_to_kill.bootstrap, partitions=3)
    url = f"kafka://{kafka_to_kill.bootstrap}"
    assert await lost(url, topic, kafka_to_kill, heartbeat_interval=0.5) == set()


async def test_rabbitmq(rabbitmq_to_kill: RabbitMQBroker):
    """RabbitMQ, on a quorum queue."""
    assert await lost(rabbitmq_to_kill.url, f"orders-{uuid4()}", rabbitmq_to_kill) == set()


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
async def test_sqs(sqs_to_kill: ElasticMQ, monkeypatch: pytest.MonkeyPatch, *, fifo: bool):
    """SQS, on a queue of each kind."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    queue = create_queue(sqs_to_kill.endpoint, fifo=fifo)
    url = f"sqs://127.0.0.1:{sqs_to_kill.port}"
    options = {"region_name": "elasticmq", "visibility_timeout": 5.0, "fifo": fifo}
    assert await lost(url, queue, sqs_to_kill, **options) == set()
