"""What the integration tests share: open transports, and short ways to send and receive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing

import pytest

from linkbus.abc import Arrival, Lost, Outcome, Settlement, SettleStatus
from linkbus.transports.kafka import KafkaTransport
from linkbus.transports.kafka._receiver import KafkaReceiver
from tests.brokers.fixtures import Kafka

Opening = Callable[..., Awaitable[KafkaTransport]]


class Members:
    """Receivers that a test opens, closed at its end; notes what they lose."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.lost: list[tuple[Sequence[Arrival], float]] = []
        self._stack = stack

    async def join(
        self, transport: KafkaTransport, topic: str, group: str = "group", lost: Lost | None = None
    ) -> KafkaReceiver:
        receiver = await transport.subscribe(
            topic, group, prefetch=100, lost=lost or (lambda *of: self.lost.append(of))
        )
        await self._stack.enter_async_context(aclosing(receiver))
        return receiver


@pytest.fixture
async def stack(nothing_left_behind: None) -> AsyncIterator[AsyncExitStack]:
    """Close what a test opened, before it is looked at what it left behind."""
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def opening(kafka: Kafka, stack: AsyncExitStack) -> Opening:
    """Return a way to open transports to the shared broker, closed at the end."""

    async def opened(servers: str = kafka.bootstrap, **options: object) -> KafkaTransport:
        transport = KafkaTransport(servers, **{"heartbeat_interval": 0.2} | options)
        await transport.open()
        await stack.enter_async_context(aclosing(transport))
        return transport

    return opened


@pytest.fixture
def members(stack: AsyncExitStack) -> Members:
    """Return a way to join groups, left at the end."""
    return Members(stack)


async def received(receiver: KafkaReceiver, count: int) -> list[Arrival]:
    """Receive so many messages, waiting for them."""
    got: list[Arrival] = []
    for _ in range(20):
        got += await receiver.receive(count - len(got), 5.0)
        if len(got) == count:
            return got
    pytest.fail(f"{count} messages were sent, {len(got)} came")


async def settled(
    receiver: KafkaReceiver, arrivals: Sequence[Arrival], outcome: Outcome = Outcome.ACK
) -> list[SettleStatus]:
    """Settle alike, and return the statuses."""
    results = await receiver.settle([Settlement(one, outcome) for one in arrivals])
    return [result.status for result in results]
