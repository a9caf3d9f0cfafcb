"""Attempts, dead letters and links are exactly those that a ledger outside linkbus has.

`LINKBUS_TEST_MESSAGES=100000 pytest -s` on this file makes a longer run, and prints its counts.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

import linkbus
from tests.brokers.fixtures import Kafka
from tests.brokers.topics import create_topic

MESSAGES = int(os.environ.get("LINKBUS_TEST_MESSAGES", "2000"))
SENDERS = 50
ATTEMPTS = 3
FAILING = 0.05
DOOMED = 97
"""Each message of a number that this divides fails always: a few dead letters in any run."""

pytestmark = [pytest.mark.broker, pytest.mark.timeout(60 + MESSAGES // 200)]


class Attempt(NamedTuple):
    """What a process span told."""

    span: int
    number: int
    outcome: str
    error: str | None
    links: list[tuple[str, int]]


class Told(SpanProcessor):
    """What the spans of both services told, without the spans themselves.

    Attributes:
        sends: The send span of each message id.
        attempts: The process spans of each message id, in order.
        dead: The process spans of each dead letter's id.
    """

    def __init__(self) -> None:
        self.sends: dict[str, int] = {}
        self.attempts: defaultdict[str, list[Attempt]] = defaultdict(list)
        self.dead: defaultdict[str, list[Attempt]] = defaultdict(list)

    def on_end(self, span: ReadableSpan) -> None:
        """Note one span."""
        facts = dict(span.attributes or {})
        mid, own = str(facts["messaging.message.id"]), span.context.span_id
        if span.name.startswith("send "):
            assert mid not in self.sends, f"{mid} was sent twice"
            self.sends[mid] = own
            return
        relations = [
            (str((link.attributes or {}).get("linkbus.link.relation")), link.context.span_id)
            for link in span.links
        ]
        of = self.dead if span.name.endswith(".dead") else self.attempts
        number, outcome = facts["linkbus.delivery.attempt"], facts["linkbus.outcome"]
        error = facts.get("error.type")
        of[mid].append(Attempt(own, int(number), str(outcome), error and str(error), relations))


class Ledger:
    """What the application did, as it knows itself: by the bodies of its messages.

    Attributes:
        ids: The id that the broker confirmed for each body.
        calls: For each body, whether each call of the handler failed, in order.
        dead: How often each body was handled as a dead letter.
    """

    def __init__(self) -> None:
        self.ids: dict[bytes, str] = {}
        self.calls: defaultdict[bytes, list[bool]] = defaultdict(list)
        self.dead: Counter[bytes] = Counter()
        self._chance = random.Random(20)  # noqa: S311 - of failing, nothing secret
        self._open = MESSAGES
        self.all_handled = asyncio.Event()

    def fails(self, body: bytes) -> bool:
        """Decide one call of the handler, and write it down."""
        failed = int(body) % DOOMED == 0 or self._chance.random() < FAILING
        calls = self.calls[body]
        calls.append(failed)
        if not failed or len(calls) == ATTEMPTS:
            self._open -= 1
            if not self._open:
                self.all_handled.set()
        return failed

    def doomed(self) -> set[bytes]:
        """Return the bodies whose every attempt failed."""
        return {body for body, calls in self.calls.items() if all(calls)}


async def serve(bus: linkbus.Bus, topic: str, ledger: Ledger) -> None:
    """Handle everything, then all dead letters."""

    async def handle(delivery: linkbus.Delivery) -> None:
        await asyncio.sleep(0)
        if ledger.fails(delivery.body):
            raise LookupError

    async def bury(delivery: linkbus.Delivery) -> None:
        ledger.dead[delivery.body] += 1
        if ledger.dead.keys() == ledger.doomed():
            buried.set()

    buried = asyncio.Event()
    retry = linkbus.RetryPolicy(max_attempts=ATTEMPTS, initial_delay=0.01)
    dead = f"{topic}.dead"
    handling = bus.consumer(topic, concurrency=16, retry=retry, dead_letter=dead).run(handle)
    await _until(ledger.all_handled, handling)
    await _until(buried, bus.consumer(dead).run(bury))


async def _until(done: asyncio.Event, service: object) -> None:
    """Run a service until an event, then cancel it, which drains."""
    running = asyncio.ensure_future(service)
    waiting = asyncio.create_task(done.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def send(producer: linkbus.Producer, numbers: Iterator[int], ledger: Ledger) -> None:
    """Send what is left."""
    for number in numbers:
        body = b"%d" % number
        result = await producer.send(body, key=str(number % 500))
        assert result.id is not None
        ledger.ids[body] = result.id


async def stored(bootstrap: str, topic: str, count: int) -> list[bytes]:
    """Read a topic without linkbus."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        assert sum(ends.values()) == count, f"the topic has {ends}"
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


def expected_outcomes(calls: list[bool]) -> list[str]:
    """Return what linkbus has to decide after each call."""
    last = "dead_letter" if calls[-1] else "ack"
    return ["retry"] * (len(calls) - 1) + [last]


def expected_links(attempts: list[Attempt], send_span: int) -> list[list[tuple[str, int]]]:
    """Return the links of a message's attempts: to its send, and to the attempt before."""
    before = [None, *(attempt.span for attempt in attempts[:-1])]
    return [
        [("producer", send_span), *([] if span is None else [("retry", span)])] for span in before
    ]


def measured(reader: InMemoryMetricReader) -> dict[str, int]:
    """Return the sum of each metric: of a counter its value, of a histogram its count."""
    metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    return {
        metric.name: sum(
            getattr(point, "count", None) or getattr(point, "value", 0)
            for point in metric.data.data_points
        )
        for metric in metrics
    }


async def test_attempts_dead_letters_and_links(kafka: Kafka):
    """On Kafka, where one call of twenty fails at random, all of them agree exactly."""
    topic = kafka.create_topic(partitions=3)
    create_topic(kafka.bootstrap, f"{topic}.dead")
    told, ledger, reader = Told(), Ledger(), InMemoryMetricReader()
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(told)
    tracing = linkbus.Tracing(
        tracer_provider=provider, meter_provider=MeterProvider([reader], shutdown_on_exit=False)
    )
    async with linkbus.connect(f"kafka://{kafka.bootstrap}", tracing=tracing) as bus:
        async with bus.consumer(topic):
            pass  # the group exists from here on
        numbers = iter(range(MESSAGES))
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(serve(bus, topic, ledger))
            for _ in range(SENDERS):
                tasks.create_task(send(bus.producer(topic), numbers, ledger))
        await serving

    calls, doomed = ledger.calls, ledger.doomed()
    assert len(calls) == len(ledger.ids) == MESSAGES
    assert told.attempts.keys() == set(ledger.ids.values())
    for body, mid in ledger.ids.items():
        attempts = told.attempts[mid]
        assert [one.outcome for one in attempts] == expected_outcomes(calls[body])
        assert [one.error for one in attempts] == [
            "LookupError" if failed else None for failed in calls[body]
        ]
        assert [one.number for one in attempts] == list(range(1, len(attempts) + 1))
        assert [one.links for one in attempts] == expected_links(attempts, told.sends[mid])

    assert sorted(await stored(kafka.bootstrap, f"{topic}.dead", len(doomed))) == sorted(doomed)
    assert ledger.dead == dict.fromkeys(doomed, 1)
    origins = {told.sends[ledger.ids[body]] for body in doomed}
    found = [links for letters in told.dead.values() for one in letters for links in [one.links]]
    assert {dict(links)["origin"] for links in found} == origins
    copies = {span for mid, span in told.sends.items() if mid in told.dead}
    assert {dict(links)["producer"] for links in found} == copies
    assert len(found) == len(copies) == len(doomed)
    assert len(told.sends) == MESSAGES + len(doomed)

    runs = sum(map(len, calls.values()))
    counted = measured(reader)
    assert counted["messaging.process.duration"] == runs + len(doomed)
    assert counted["messaging.client.sent.messages"] == MESSAGES + len(doomed)
    assert counted["messaging.client.consumed.messages"] == MESSAGES + len(doomed)
    assert counted["linkbus.queue.wait"] == MESSAGES + len(doomed)
    assert "linkbus.context.invalid" not in counted
    links = sum(len(one.links) for spans in told.attempts.values() for one in spans)
    print(  # noqa: T201 - a long run's result
        f"{MESSAGES} messages, {runs} attempts, {runs - MESSAGES} retries, "
        f"{len(doomed)} dead letters, {links + 2 * len(found)} links: all as in the ledger"
    )
