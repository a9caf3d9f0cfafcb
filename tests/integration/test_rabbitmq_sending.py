"""Sending to a real RabbitMQ: what is confirmed, returned, refused or not known."""

from __future__ import annotations

import asyncio
import logging

import pytest

from linkbus import DestinationNotFound, MessageError, TransportError
from linkbus.abc import Envelope
from linkbus.transports.rabbitmq import _lanes
from linkbus.transports.rabbitmq._addresses import address_of
from linkbus.transports.rabbitmq._lane import Lane
from tests.brokers.fixtures import RabbitMQ
from tests.brokers.rabbitmq import RabbitMQBroker
from tests.integration.rabbitmq_opening import (
    Rabbit,
    new_name,
    numbered,
    rabbit,
    ready_in,
    received,
    sent,
)

__all__ = ["rabbit"]

pytestmark = [pytest.mark.broker, pytest.mark.timeout(60)]  # rabbitmqctl takes seconds


async def test_a_message_without_a_queue_is_failed(rabbit: Rabbit) -> None:
    """What the broker returns is FAILED, and the error says what is missing."""
    transport = await rabbit.transport()
    channel = await rabbit.channel()
    topic = new_name()
    await channel.exchange_declare(topic, exchange_type="topic")
    for destination, missing in (
        (new_name(), "subscribe a group first"),
        (f"{topic}/a.b", "for the routing key 'a.b'"),
        (f"/{topic}", f"there is no queue '{topic}'"),
    ):
        (result,) = await transport.send(destination, numbered(1))
        assert (result.status, result.retryable) == ("failed", False)
        assert isinstance(result.error, DestinationNotFound)
        assert missing in str(result.error)
        assert result.error.__cause__ is not None
    await channel.exchange_delete(topic)


async def test_returns_are_told_apart_though_ids_repeat(rabbit: Rabbit) -> None:
    """Of three messages with one id on one channel, the one without a queue is FAILED."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    queue = f"/{source}.default"
    destinations = [queue, f"/{new_name()}", queue]
    results = await asyncio.gather(
        *[transport.send(destination, [Envelope("same", b"")]) for destination in destinations]
    )
    assert [result.status for (result,) in results] == ["sent", "failed", "sent"]
    assert [one.id for one in await received(receiver, 2)] == ["same", "same"]


async def test_an_id_is_not_used_again_while_its_outcome_is_open(
    rabbit: Rabbit, caplog: pytest.LogCaptureFixture
) -> None:
    """A message sent again after a cancelled send is not told of the first one's return."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, f"/{source}.default", Envelope("0", b""))
    with caplog.at_level(logging.INFO):
        lost = asyncio.create_task(
            transport.send(f"/{new_name()}", [Envelope("same", b"confidential")])
        )
        for _ in range(3):
            await asyncio.sleep(0)
        lost.cancel()
        await asyncio.wait([lost])
        await sent(transport, f"/{source}.default", Envelope("same", b""))
    assert lost.cancelled()
    assert [one.id for one in await received(receiver, 2)] == ["0", "same"]
    assert "confidential" not in caplog.text


async def test_foreign_consumers_see_the_id(rabbit: Rabbit) -> None:
    """An id is the property `message_id`, and messages are persistent."""
    transport = await rabbit.transport()
    channel = await rabbit.channel()
    queue = new_name()
    await channel.queue_declare(queue)
    await sent(transport, f"/{queue}", Envelope("order-1", b"body"))
    got = await channel.basic_get(queue, no_ack=True)
    properties = got.header.properties
    assert (properties.message_id, properties.delivery_mode, got.body) == ("order-1", 2, b"body")
    assert properties.timestamp is not None
    await channel.queue_delete(queue)


async def test_a_large_batch_keeps_its_order(rabbit: Rabbit) -> None:
    """Five hundred messages are confirmed together, and arrive in order with all they have."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source, prefetch=500)
    batch = numbered(500)
    assert len(await sent(transport, source, *batch)) == 500
    got = await received(receiver, 500)
    assert [one.id for one in got] == [one.id for one in batch]
    assert {one.attempt for one in got} == {1}


async def test_a_message_that_cannot_be_sent_stops_no_other(rabbit: Rabbit) -> None:
    """In a batch it is its own FAILED result."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    bad = Envelope("bad", b"", key="k" * 10_000)
    results = await transport.send(source, [*numbered(2), bad, Envelope("2", b"")])
    assert [result.status for result in results] == ["sent", "sent", "failed", "sent"]
    assert isinstance(results[2].error, MessageError)
    assert len(await received(receiver, 3)) == 3


async def test_many_senders(rabbit: Rabbit) -> None:
    """Two hundred tasks send to ten destinations at once over one connection."""
    transport = await rabbit.transport()
    sources = [new_name() for _ in range(10)]
    receivers = [await rabbit.receiver(transport, source) for source in sources]
    fresh = await rabbit.transport()
    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            envelope = Envelope(str(number), b"")
            tasks.create_task(sent(fresh, sources[number % 10], envelope))
    for number, receiver in enumerate(receivers):
        ids = {one.id for one in await received(receiver, 20)}
        assert ids == {str(it) for it in range(number, 200, 10)}


async def test_large_headers(rabbit: Rabbit) -> None:
    """Headers beyond a frame are refused, and the trace context gives way before that."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    context = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    headers = {"large": "x" * 130_450}
    await sent(transport, source, Envelope("1", b"", headers=headers, context=context))
    (arrival,) = await received(receiver, 1)
    assert sorted(arrival.headers) == ["large", "linkbus"]
    (result,) = await transport.send(source, [Envelope("2", b"", headers={"large": "x" * 131_000})])
    assert isinstance(result.error, MessageError)
    await sent(transport, source, Envelope("3", b"x" * 1_000_000))
    assert len((await received(receiver, 1))[0].body) == 1_000_000


async def test_a_full_queue_refuses(rabbit: Rabbit) -> None:
    """What the broker does not take, for a queue is full, is FAILED and may be sent again."""
    transport = await rabbit.transport()
    channel = await rabbit.channel()
    queue = new_name()
    await channel.queue_declare(
        queue, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    results = await transport.send(f"/{queue}", numbered(5))
    assert results[0].status == "sent"
    assert (results[-1].status, results[-1].retryable) == ("failed", True)
    assert isinstance(results[-1].error, TransportError)
    await channel.queue_delete(queue)


async def test_an_exchange_that_is_deleted(rabbit: Rabbit) -> None:
    """The next message is FAILED, may be sent again, and then the exchange is made anew."""
    transport = await rabbit.transport()
    source = new_name()
    await rabbit.receiver(transport, source)
    await sent(transport, source, Envelope("1", b""))
    channel = await rabbit.channel()
    await channel.exchange_delete(source)
    (result,) = await transport.send(source, [Envelope("2", b"")])
    assert (result.status, result.retryable) == ("failed", True)
    assert isinstance(result.error, DestinationNotFound)
    (result,) = await transport.send(source, [Envelope("2", b"")])
    assert (result.status, result.retryable) == ("failed", False)
    await channel.queue_bind(f"{source}.default", source)
    await sent(transport, source, Envelope("2", b""))


async def test_what_closes_a_channel_fails_no_other(rabbit: Rabbit) -> None:
    """While an exchange is deleted under its senders, others are SENT all the time."""
    transport = await rabbit.transport()
    other, doomed = new_name(), new_name()
    await rabbit.receiver(transport, other)
    await rabbit.receiver(transport, doomed)
    await sent(transport, doomed, Envelope("1", b""))
    channel = await rabbit.channel()
    sending = asyncio.gather(
        *[sent(transport, other, *numbered(20)) for _ in range(5)],
        *[transport.send(doomed, numbered(20)) for _ in range(5)],
    )
    await channel.exchange_delete(doomed)
    results = await sending
    assert {one.status for batch in results[:5] for one in batch} == {"sent"}


async def test_existing_things_are_used_as_they_are(rabbit: Rabbit) -> None:
    """With `declare=False` what is missing is said, and what is there is used."""
    transport = await rabbit.transport(declare=False)
    name = new_name()
    with pytest.raises(DestinationNotFound, match=f"looking for exchange '{name}'"):
        await transport.send(name, numbered(1))
    with pytest.raises(DestinationNotFound, match=f"looking for queue '{name}.default'"):
        await rabbit.receiver(transport, name)
    channel = await rabbit.channel()
    await channel.exchange_declare(name, exchange_type="direct")
    await channel.queue_declare(f"{name}.default")
    await channel.queue_bind(f"{name}.default", name, "")
    receiver = await rabbit.receiver(transport, name)
    await sent(transport, name, *numbered(3))
    assert len(await received(receiver, 3)) == 3
    await channel.exchange_delete(name)


async def test_an_exchange_of_another_kind(rabbit: Rabbit) -> None:
    """An exchange that is no fanout is not taken for linkbus's own."""
    transport = await rabbit.transport()
    channel = await rabbit.channel()
    name = new_name()
    await channel.exchange_declare(name, exchange_type="topic", durable=True)
    with pytest.raises(TransportError, match="made in another way") as raised:
        await transport.send(name, numbered(2))
    assert not raised.value.retryable
    await channel.exchange_delete(name)


async def test_a_missing_exchange(rabbit: Rabbit) -> None:
    """`exchange/key` is never declared; that it is missing disturbs nobody."""
    transport = await rabbit.transport()
    name = new_name()
    for _ in range(2):
        with pytest.raises(DestinationNotFound, match=f"looking for exchange '{name}'"):
            await transport.send(f"{name}/key", numbered(1))


async def test_the_brokers_own_limit(rabbitmq_to_kill: RabbitMQBroker, rabbit: Rabbit) -> None:
    """A body that is larger than the broker allows is FAILED when it is certainly that one."""
    broker = rabbitmq_to_kill
    broker.control("eval", "application:set_env(rabbit, max_message_size, 1000).")
    transport = await rabbit.transport(broker.url)
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, Envelope("1", b""))
    (result,) = await transport.send(source, [Envelope("2", b"x" * 1001)])
    assert result.status == "failed"
    assert isinstance(result.error, MessageError)
    await sent(transport, source, Envelope("3", b"x" * 1000))
    assert len(await received(receiver, 2)) == 2
    broker.control("eval", "application:set_env(rabbit, max_message_size, 134217728).")


async def test_without_permission(rabbitmq: RabbitMQ, rabbit: Rabbit) -> None:
    """A user that may not write, or declare, is told so, and no message is in doubt."""
    if rabbitmq.broker is None:
        pytest.skip("the broker that LINKBUS_TEST_RABBITMQ names is not ours to add users to")
    channel = await rabbit.channel()
    name, queue, user = new_name(), new_name(), new_name()
    await channel.exchange_declare(name, exchange_type="fanout", durable=True)
    await channel.queue_declare(queue)
    await channel.queue_bind(queue, name)
    rabbitmq.broker.control("add_user", user, user)
    rabbitmq.broker.control("set_permissions", user, "", "", "")
    transport = await rabbit.transport(username=user, password=user)
    with pytest.raises(TransportError, match="no permission") as raised:
        await transport.send(name, numbered(1))
    assert not raised.value.retryable
    rabbitmq.broker.control("set_permissions", user, f"^{name}$", "", "")
    (result,) = await transport.send(name, numbered(1))
    assert (result.status, result.retryable) == ("failed", False)
    assert "no permission" in str(result.error)
    assert await ready_in(channel, queue) == 0
    await channel.queue_delete(queue)
    await channel.exchange_delete(name)


async def test_more_exchanges_than_channels(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exchanges beyond the limit share a channel, and all are sent to."""
    monkeypatch.setattr(_lanes, "MAX_LANES", 2)
    transport = await rabbit.transport()
    for _ in range(2):
        for source in [new_name() for _ in range(4)]:
            await rabbit.receiver(transport, source)
            await sent(transport, source, *numbered(2))
    assert len(transport.raw.channels) == 2


async def test_a_channel_that_was_closed_meanwhile(rabbit: Rabbit) -> None:
    """What would leave on it is FAILED, and nothing is written."""
    channel = await rabbit.channel()
    lane = Lane(channel, 0)
    await channel.close()
    assert not lane.is_open
    result = await lane.publish(address_of("/queue"), Envelope("1", b""))
    assert (result.status, result.retryable) == ("failed", True)
