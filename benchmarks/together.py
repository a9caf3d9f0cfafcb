"""Several processes of one consumer group on Kafka, which share the partitions of a topic."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from time import monotonic

from aiokafka import AIOKafkaProducer

import linkbus
from benchmarks.contender import PREFETCH
from linkbus.transports.kafka import KafkaTransport
from tests.brokers.topics import create_topic

PARTITIONS = 8
_EVERY = 50
"""Messages after which a process notes the time."""
_BEGIN, _END = 0.2, 0.9
"""The part of all messages whose time is taken: before it the group settles."""
_READY_WITHIN = 30.0


def shared_by(processes: int, bootstrap: str, messages: int) -> float:
    """Let so many processes handle messages that were sent before; return µs a message.

    They have joined when the messages are sent, and begin when all are there: so neither the
    group's rebalances nor the sender are measured.

    Raises:
        AssertionError: A message was not handled.
        subprocess.TimeoutExpired: It took longer than half a minute.
    """
    topic = create_topic(bootstrap, partitions=PARTITIONS)
    command = [sys.executable, "-m", "benchmarks.together", bootstrap, topic]
    members = [
        subprocess.Popen(  # noqa: S603 - this module, in this interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    try:
        for member in members:
            assert member.stdout is not None
            assert member.stdout.readline(), "a process ended before it joined"
        asyncio.run(_send(bootstrap, topic, messages))
        for member in members:
            assert member.stdin is not None
            member.stdin.write("begin\n")
            member.stdin.flush()
        outputs = [member.communicate(timeout=_READY_WITHIN)[0] for member in members]
    finally:
        for member in members:
            member.kill()
            member.wait()
    return micros_of([json.loads(output) for output in outputs], messages)


def micros_of(notes: Sequence[Sequence[tuple[float, int]]], messages: int) -> float:
    """Return µs a message of all processes together, in the middle of the run."""
    merged = sorted((when, count) for note in notes for when, count in note)
    handled, begun, ended = 0, 0.0, 0.0
    first = last = 0
    for when, count in merged:
        handled += count
        if not begun and handled >= _BEGIN * messages:
            begun, first = when, handled
        if handled <= _END * messages or not ended:
            ended, last = when, handled
    assert handled >= messages, f"{messages - handled} messages were not handled"
    return (ended - begun) / (last - first) * 1e6


async def _send(bootstrap: str, topic: str, messages: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    async with producer:
        sent = [
            await producer.send(topic, b"x" * 100, partition=number % PARTITIONS)
            for number in range(messages)
        ]
        await asyncio.gather(*sent)


async def _member(bootstrap: str, topic: str) -> None:
    """Join, wait to be told to begin, and handle messages until none has come for two seconds.

    Prints that it has joined, and in the end when it handled how many.
    """
    notes: list[tuple[float, int]] = []
    count = 0
    latest = 0.0

    async def handle(delivery: linkbus.Delivery) -> None:
        nonlocal count, latest
        count += 1
        latest = monotonic()
        if count % _EVERY == 0:
            notes.append((latest, _EVERY))

    async with linkbus.Bus(KafkaTransport(bootstrap)) as bus:
        consumer = bus.consumer(topic, group=topic, prefetch=PREFETCH)
        async with consumer:
            print("joined", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            latest = monotonic()
            running = asyncio.ensure_future(consumer.run(handle))
            while monotonic() < latest + 2.0 and not running.done():  # noqa: ASYNC110 - silence is no event
                await asyncio.sleep(0.2)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    if count % _EVERY:
        notes.append((latest, count % _EVERY))
    print(json.dumps(notes))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # a group that others join is no news
    asyncio.run(_member(sys.argv[1], sys.argv[2]))
