"""Services on a real Kafka: restarted one after the other, and through a broker's death."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

import pytest

import linkbus
from linkbus.transports.kafka import KafkaTransport
from tests.brokers.fixtures import Kafka
from tests.brokers.kafka import KafkaBroker
from tests.brokers.topics import create_topic

pytestmark = [pytest.mark.broker, pytest.mark.timeout(60)]

MESSAGES = 2000
KEYS = 20


class Ledger:
    """What was confirmed and what was handled, by whom and in which order."""

    def __init__(self) -> None:
        self.confirmed: set[int] = set()
        self.handled: Counter[int] = Counter()
        self.first_seen: dict[str | None, list[int]] = defaultdict(list)
        self.running: set[str | None] = set()
        self.overlaps = 0
        self.progress = asyncio.Event()

    async def handle(self, delivery: linkbus.Delivery) -> None:
        """Note one message; a key that is worked on twice at once is an overlap."""
        self.overlaps += delivery.key in self.running
        self.running.add(delivery.key)
        await asyncio.sleep(0)
        self.running.discard(delivery.key)
        number = int(delivery.body)
        if not self.handled[number]:
            self.first_seen[delivery.key].append(number)
        self.handled[number] += 1
        self.progress.set()

    async def reached(self, share: float) -> None:
        """Wait until so large a share of all messages was handled."""
        while len(self.handled) < share * MESSAGES:
            self.progress.clear()
            await self.progress.wait()

    def check(self) -> None:
        """Everything that was confirmed was handled, each key in order, nothing twice at once."""
        assert self.confirmed - set(self.handled) == set(), "confirmed messages were lost"
        assert self.overlaps == 0
        for key, numbers in self.first_seen.items():
            assert numbers == sorted(numbers), f"key {key} was handled out of order"


def transport(bootstrap: str) -> KafkaTransport:
    return KafkaTransport(bootstrap, heartbeat_interval=0.2, session_timeout=3.0)


async def produce(bootstrap: str, topic: str, ledger: Ledger) -> None:
    """Send all messages, in batches, and note which of them the broker has confirmed."""
    async with linkbus.Bus(transport(bootstrap)) as bus:
        producer = bus.producer(topic)
        for start in range(0, MESSAGES, 20):
            numbers = range(start, start + 20)
            results = await producer.send_batch(
                [linkbus.Message(b"%d" % i, key=str(i % KEYS)) for i in numbers]
            )
            for number, result in zip(numbers, results, strict=True):
                if result.status is linkbus.SendStatus.SENT:
                    ledger.confirmed.add(number)


async def serve(bootstrap: str, topic: str, ledger: Ledger) -> None:
    """Handle messages until cancelled."""
    async with linkbus.Bus(transport(bootstrap)) as bus:
        await bus.consumer(topic, group="billing", concurrency=16).run(ledger.handle)


async def stopped(service: asyncio.Task[None]) -> None:
    """Cancel a service and wait until it has drained."""
    service.cancel()
    with pytest.raises(asyncio.CancelledError):
        await service


async def test_services_restarted_one_by_one_lose_double_and_reorder_nothing(
    kafka: Kafka,
) -> None:
    """Rolling restarts drain: each message is handled once, in the order of its key."""
    topic, ledger = kafka.create_topic(partitions=6), Ledger()
    services = [asyncio.create_task(serve(kafka.bootstrap, topic, ledger)) for _ in range(2)]
    producing = asyncio.create_task(produce(kafka.bootstrap, topic, ledger))
    for index, share in enumerate((0.2, 0.4, 0.6)):
        await ledger.reached(share)
        await stopped(services[index % 2])
        services[index % 2] = asyncio.create_task(serve(kafka.bootstrap, topic, ledger))
    await producing
    await ledger.reached(1.0)
    for service in services:
        await stopped(service)
    ledger.check()
    assert set(ledger.handled.values()) == {1}, "drained services make no duplicates"


async def test_a_broker_that_is_killed_amid_traffic_costs_no_confirmed_message(
    kafka_to_kill: KafkaBroker,
) -> None:
    """Producers and services survive a SIGKILL of the broker by themselves."""
    bootstrap, ledger = kafka_to_kill.bootstrap, Ledger()
    topic = await asyncio.to_thread(create_topic, bootstrap, partitions=3)
    service = asyncio.create_task(serve(bootstrap, topic, ledger))
    producing = asyncio.create_task(produce(bootstrap, topic, ledger))
    await ledger.reached(0.3)
    await asyncio.to_thread(kafka_to_kill.restart)
    await producing
    await ledger.reached(len(ledger.confirmed) / MESSAGES)
    await stopped(service)
    ledger.check()
