"""A RabbitMQ that is killed, blocked, cut off or deaf while linkbus sends and receives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress

import pytest

import linkbus
from linkbus import ConnectError, TransportError
from linkbus.abc import Envelope
from linkbus.transports.rabbitmq import RabbitMQTransport
from linkbus.transports.rabbitmq._link import is_flowing
from tests.brokers.fixtures import RabbitMQ
from tests.brokers.rabbitmq import RabbitMQBroker
from tests.integration.rabbitmq_opening import (
    Rabbit,
    new_name,
    numbered,
    rabbit,
    received,
    sent,
    settled,
)
from tests.integration.tcp_relay import Relay

__all__ = ["rabbit"]

pytestmark = [pytest.mark.broker, pytest.mark.timeout(60)]  # a broker starts in between


@asynccontextmanager
async def alarmed(broker: RabbitMQBroker) -> AsyncIterator[None]:
    """Make the broker believe that it is short of memory."""
    control = broker.control
    await asyncio.to_thread(control, "set_vm_memory_high_watermark", "absolute", "1")
    try:
        yield
    finally:
        await asyncio.to_thread(control, "set_vm_memory_high_watermark", "0.6")


@pytest.fixture
async def relay(rabbitmq: RabbitMQ, stack: AsyncExitStack) -> Relay:
    """Return a relay before the shared broker."""
    port = RabbitMQTransport(rabbitmq.url).attributes["server.port"]
    return await stack.enter_async_context(Relay(int(port)))


async def test_an_alarm_holds_messages_up(rabbitmq_to_kill: RabbitMQBroker, rabbit: Rabbit) -> None:
    """While the broker takes no messages sending waits, to its deadline; then it goes on."""
    transport = await rabbit.transport(rabbitmq_to_kill.url, delivery_timeout=1.0)
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, Envelope("before", b""))
    async with alarmed(rabbitmq_to_kill):
        first = await transport.send(source, [Envelope("first", b"")])
        assert first[0].status in {"sent", "unknown"}  # its arrival has the broker tell us
        began = time.monotonic()
        results = await asyncio.gather(
            transport.send(source, [Envelope("blocked", b"")]),
            transport.send(source, numbered(3)),
            transport.send("/elsewhere", numbered(1)),
        )
        assert 0.9 < time.monotonic() - began < 3
        for batch in results:
            assert {(one.status, one.retryable) for one in batch} == {("failed", True)}
            assert "did not leave" in str(batch[0].error)
        waiting = asyncio.create_task(
            RabbitMQTransport.send(transport, source, [Envelope("patient", b"")])
        )
        await asyncio.sleep(0)
    assert (await waiting)[0].status in {"sent", "failed"}
    await sent(transport, source, Envelope("after", b""))
    ids = {"before", "after"}
    while ids:
        ids -= {one.id for one in await received(receiver, 1)}


async def test_closing_while_blocked(rabbitmq_to_kill: RabbitMQBroker) -> None:
    """A transport that the broker does not listen to closes, and its senders are told."""
    source = new_name()
    transport = RabbitMQTransport(rabbitmq_to_kill.url)
    await transport.open()
    async with aclosing(transport):
        receiver = await transport.subscribe(source, "g", prefetch=1, lost=lambda *_: None)
        async with alarmed(rabbitmq_to_kill):
            first = asyncio.create_task(transport.send(source, numbered(1)))
            while is_flowing(transport.raw):  # noqa: ASYNC110 - aiormq tells nobody of an alarm
                await asyncio.sleep(0.01)  # as above
            blocked = asyncio.create_task(transport.send(source, numbered(2)))
            await asyncio.sleep(0)
            began = time.monotonic()
            await receiver.aclose()
            await transport.aclose()
            assert time.monotonic() - began < 5
            with pytest.raises(ConnectError):
                await blocked
            assert (await first)[0].status == "unknown"


class Traffic:
    """Senders that go on until they are told to end, and what became of their messages.

    Attributes:
        confirmed: The bodies that were SENT.
        handled: The bodies that a handler was given.
    """

    def __init__(self) -> None:
        self.confirmed: set[bytes] = set()
        self.handled: set[bytes] = set()
        self._is_over = False

    async def handle(self, delivery: linkbus.Delivery) -> None:
        self.handled.add(delivery.body)

    async def produce(self, producer: linkbus.Producer, name: int) -> None:
        number = 0
        while not self._is_over:
            number += 1
            body = b"%d/%d" % (name, number)
            with suppress(linkbus.SendError):
                await producer.send(body)
                self.confirmed.add(body)

    async def more(self, producing: asyncio.Task[None]) -> None:
        """Wait until a hundred messages more are confirmed, and end."""
        before = len(self.confirmed)
        while len(self.confirmed) < before + 100:
            await asyncio.wait([producing], timeout=0.05)
        self._is_over = True


async def test_nothing_is_lost_over_a_restart(rabbitmq_to_kill: RabbitMQBroker) -> None:
    """With senders and a consumer going on, what was confirmed is handled, kill or no kill."""
    source, traffic = new_name(), Traffic()
    transport = RabbitMQTransport(rabbitmq_to_kill.url)
    async with linkbus.Bus(transport) as bus, bus.consumer(source, concurrency=4) as consumer:
        consuming = asyncio.create_task(consumer.run(traffic.handle))
        producer = bus.producer(source)
        producing = [asyncio.create_task(traffic.produce(producer, name)) for name in range(4)]
        await asyncio.to_thread(rabbitmq_to_kill.restart)
        await traffic.more(producing[0])
        await asyncio.gather(*producing)
        while traffic.confirmed - traffic.handled:
            await asyncio.wait([consuming], timeout=0.05)
        consuming.cancel()
        await asyncio.wait([consuming])
    assert len(traffic.confirmed) > 100


async def test_closing_without_the_broker(rabbitmq_to_kill: RabbitMQBroker, rabbit: Rabbit) -> None:
    """Closing is bounded and raises nothing though nobody can be told anything."""
    source = new_name()
    transport = await rabbit.transport(rabbitmq_to_kill.url)
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(3))
    await received(receiver, 3)
    rabbitmq_to_kill.kill()
    began = time.monotonic()
    await receiver.aclose()
    await transport.aclose()
    assert time.monotonic() - began < 5


async def test_connections_that_are_cut(relay: Relay, rabbit: Rabbit) -> None:
    """What was on its way is UNKNOWN, the next message connects anew, and receivers go on."""
    transport = await rabbit.transport(f"amqp://127.0.0.1:{relay.port}")
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(5))
    held = await received(receiver, 5)
    relay.go_deaf()
    sending = asyncio.create_task(transport.send(source, numbered(200)))
    single = asyncio.create_task(transport.send(source, [Envelope("single", b"")]))
    await asyncio.sleep(0.1)  # a deaf relay tells nobody what it has
    relay.cut()
    relay.hear()
    results = [*await sending, *await single]
    statuses = {one.status for one in results}
    assert statuses <= {"unknown", "sent", "failed"}
    assert "unknown" in statuses
    assert all(one.retryable for one in results if one.status == "failed")
    await sent(transport, source, Envelope("after", b""))
    with pytest.raises(TransportError, match="was lost"):
        await receiver.receive(10, 5.0)
    assert rabbit.lost == [(held, 0.0)]
    assert await settled(receiver, held) == ["stale"] * 5
    ids = {one.id for one in held} | {"after"}
    while ids:
        ids -= {one.id for one in await received(receiver, 1)}


async def test_a_broker_that_falls_silent(relay: Relay, rabbit: Rabbit) -> None:
    """Heartbeats find out; who waited is told, not cancelled, and the receiver is told too."""
    transport = await rabbit.transport(f"amqp://127.0.0.1:{relay.port}", heartbeat=1)
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(1))
    held = await received(receiver, 1)
    relay.go_deaf()
    began = time.monotonic()
    (result,) = await transport.send(source, [Envelope("lost", b"")])
    assert result.status == "unknown"
    assert result.error is not None
    with pytest.raises(TransportError, match="was lost"):
        await received(receiver, 1)
    assert time.monotonic() - began < 15
    assert rabbit.lost == [(held, 0.0)]


async def test_a_deadline(relay: Relay, rabbit: Rabbit) -> None:
    """A broker that does not answer in time has the message, or has it not."""
    transport = await rabbit.transport(f"amqp://127.0.0.1:{relay.port}", delivery_timeout=0.3)
    source = new_name()
    await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(1))
    relay.go_deaf()
    (result,) = await transport.send(source, numbered(1))
    assert (result.status, result.retryable) == ("unknown", False)
    assert "did not confirm within 0.3 seconds" in str(result.error)
    results = await transport.send(source, numbered(150))
    assert [one.status for one in results] == ["unknown"] * 100 + ["failed"] * 50
    assert results[-1].retryable
    relay.cut()


async def test_a_broker_that_goes_while_a_batch_leaves(relay: Relay, rabbit: Rabbit) -> None:
    """What was on its way is UNKNOWN, and what was not is FAILED and may be sent again."""
    transport = await rabbit.transport(f"amqp://127.0.0.1:{relay.port}")
    source = new_name()
    await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(1))
    relay.go_deaf()
    sending = asyncio.create_task(transport.send(source, numbered(150)))
    await asyncio.sleep(0.1)  # a deaf relay tells nobody what it has
    relay.close()
    results = await sending
    assert [one.status for one in results] == ["unknown"] * 100 + ["failed"] * 50
    assert isinstance(results[-1].error, ConnectError)
    assert results[-1].retryable


async def test_closing_while_a_channel_is_opened(relay: Relay, rabbit: Rabbit) -> None:
    """Whoever waits for it is told, and is not cancelled."""
    transport = await rabbit.transport(f"amqp://127.0.0.1:{relay.port}")
    relay.go_deaf()
    sending = asyncio.create_task(transport.send(new_name(), numbered(1)))
    await asyncio.sleep(0.1)  # a deaf relay tells nobody what it has
    await transport.aclose()
    with pytest.raises(ConnectError, match="closed meanwhile"):
        await sending


async def test_closing_while_connecting(relay: Relay, rabbit: Rabbit) -> None:
    """Senders that wait for a connection are told too."""
    transport = await rabbit.transport(f"amqp://127.0.0.1:{relay.port}")
    closing = transport.raw.closing
    relay.go_deaf()
    relay.cut()
    await asyncio.wait([closing])
    sending = [
        asyncio.create_task(transport.send(new_name(), numbered(1))),
        asyncio.create_task(transport.send(new_name(), numbered(2))),
    ]
    await asyncio.sleep(0.1)  # a deaf relay tells nobody who is there
    await transport.aclose()
    for one in sending:
        with pytest.raises(ConnectError, match="closed meanwhile"):
            await one
