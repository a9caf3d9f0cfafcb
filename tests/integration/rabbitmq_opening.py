"""What the tests on RabbitMQ share: open transports, and short ways to send and receive."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any
from uuid import uuid4

import aiormq
import pytest
from aiormq.abc import AbstractChannel

from linkbus.abc import Arrival, Envelope, Outcome, SendResult, Settlement, SettleStatus
from linkbus.transports.rabbitmq import RabbitMQTransport
from linkbus.transports.rabbitmq._receiver import RabbitMQReceiver

_PATIENCE = 10.0


class Rabbit:
    """Opens transports, receivers and channels of the client alone, closed at the end.

    Attributes:
        lost: What receivers were told to have lost.
    """

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self.lost: list[tuple[Sequence[Arrival], float]] = []
        self._stack = stack

    async def transport(self, url: str | None = None, **options: Any) -> RabbitMQTransport:
        transport = RabbitMQTransport(url or self.url, **options)
        await transport.open()
        await self._stack.enter_async_context(aclosing(transport))
        return transport

    async def receiver(
        self,
        transport: RabbitMQTransport,
        source: str,
        group: str = "default",
        *,
        prefetch: int = 100,
    ) -> RabbitMQReceiver:
        receiver = await transport.subscribe(
            source, group, prefetch=prefetch, lost=lambda *of: self.lost.append(of)
        )
        await self._stack.enter_async_context(aclosing(receiver))
        return receiver

    async def channel(self) -> AbstractChannel:
        """Return a channel of aiormq, for what linkbus does not do."""
        connection = await self._stack.enter_async_context(aiormq.connect(self.url))
        return await connection.channel()


def new_name() -> str:
    """Return a name that nothing has."""
    return f"test-{uuid4().hex}"


def numbered(count: int) -> list[Envelope]:
    """Return envelopes whose ids and bodies are their numbers."""
    return [Envelope(str(number), b"%d" % number) for number in range(count)]


async def sent(
    transport: RabbitMQTransport, destination: str, *batch: Envelope
) -> Sequence[SendResult]:
    """Send, and return the results, which must all be SENT."""
    results = await transport.send(destination, batch)
    assert {result.status for result in results} == {"sent"}, results
    return results


async def received(receiver: RabbitMQReceiver, count: int) -> list[Arrival]:
    """Receive so many messages, waiting for them."""
    got: list[Arrival] = []
    try:
        async with asyncio.timeout(_PATIENCE):
            while len(got) < count:
                got += await receiver.receive(count - len(got), 1.0)
    except TimeoutError:
        pytest.fail(f"{count} messages were sent, {len(got)} came")
    return got


async def settled(
    receiver: RabbitMQReceiver, arrivals: Sequence[Arrival], outcome: Outcome = Outcome.ACK
) -> list[SettleStatus]:
    """Settle alike, and return the statuses."""
    results = await receiver.settle([Settlement(one, outcome) for one in arrivals])
    return [result.status for result in results]


async def ready_in(channel: AbstractChannel, queue: str) -> int:
    """Return how many messages of a queue are given to nobody."""
    counted = await channel.queue_declare(queue, passive=True)
    assert counted is not None
    return counted.message_count or 0


@pytest.fixture
def rabbit(rabbitmq: Any, stack: AsyncExitStack) -> Rabbit:
    """Return a way to reach the shared broker."""
    return Rabbit(rabbitmq.url, stack)
