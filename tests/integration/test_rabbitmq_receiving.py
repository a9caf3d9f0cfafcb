"""Receiving from a real RabbitMQ: headers, windows, dead letters, and what ends a consumer."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from aiormq import spec

import linkbus
from linkbus import CapabilityError, DestinationNotFound, TransportError
from linkbus.abc import Arrival, Envelope, Outcome
from linkbus.transports.rabbitmq import RabbitMQTransport
from linkbus.transports.rabbitmq._receiver import RabbitMQReceiver
from linkbus.transports.rabbitmq._telling import LATER
from tests.brokers.rabbitmq import RabbitMQBroker
from tests.integration.rabbitmq_opening import (
    Rabbit,
    new_name,
    numbered,
    rabbit,
    ready_in,
    received,
    sent,
    settled,
)

__all__ = ["rabbit"]

pytestmark = pytest.mark.broker


async def received_after_an_error(receiver: RabbitMQReceiver, count: int) -> list[Arrival]:
    """Receive so many, after the one error that says that the consumer was lost."""
    with pytest.raises(TransportError, match="was lost") as raised:
        await receiver.receive(1, 5.0)
    assert raised.value.retryable
    return await received(receiver, count)


async def test_a_cancelled_handler_loses_nothing(rabbit: Rabbit) -> None:
    """A message whose handler is cancelled is in the queue again."""
    source = new_name()
    begun = asyncio.Event()

    async def handle(_: linkbus.Delivery) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with linkbus.Bus(RabbitMQTransport(rabbit.url)) as bus:
        async with bus.consumer(source, drain_timeout=0.0) as consumer:
            running = asyncio.create_task(consumer.run(handle))
            await bus.producer(source).send(b"precious")
            await begun.wait()
            running.cancel()
            await asyncio.wait([running])
        async with bus.consumer(source) as consumer:
            (again,) = await consumer.receive(1, timeout=5.0)
            assert again.body == b"precious"
            assert again.attempt >= 2
            await again.ack()


async def test_headers_of_every_type_arrive_as_text(rabbit: Rabbit) -> None:
    """Whatever another producer put into a header, it arrives, as text."""
    source = new_name()
    receiver = await rabbit.receiver(await rabbit.transport(), source)
    headers = {
        "text": "Grüße",
        "bytes": bytearray(b"\xff\x00"),
        "true": True,
        "int": -5,
        "large": 2**62,
        "float": 0.5,
        "decimal": Decimal("12.25"),
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "none": None,
        "table": {"b": [1, None, {"x": "ü"}], "a": Decimal("0.5")},
        "array": ["a", bytearray(b"\xff"), datetime(2026, 1, 2, tzinfo=UTC)],
        "empty": {},
        "traceparent": [1],
    }
    channel = await rabbit.channel()
    await channel.basic_publish(
        b"", exchange=source, properties=spec.Basic.Properties(headers=headers)
    )
    (arrival,) = await received(receiver, 1)
    assert dict(arrival.headers.items()) == {
        "text": "Grüße",
        "bytes": "\udcff\x00",
        "true": "True",
        "int": "-5",
        "large": str(2**62),
        "float": "0.5",
        "decimal": "12.25",
        "time": "2026-01-02 03:04:05+00:00",
        "none": "",
        "table": '{"a":"0.5","b":[1,null,{"x":"ü"}]}',
        "array": '["a","\udcff","2026-01-02 00:00:00+00:00"]',
        "empty": "{}",
        "traceparent": "[1]",
    }
    assert arrival.headers.get_bytes("bytes") == b"\xff\x00"
    assert arrival.raw.header.properties.headers == headers


async def test_a_message_from_another_producer(rabbit: Rabbit) -> None:
    """Its id and its time are the properties; others are in `raw`."""
    source = new_name()
    receiver = await rabbit.receiver(await rabbit.transport(), source)
    channel = await rabbit.channel()
    properties = spec.Basic.Properties(
        message_id="theirs",
        timestamp=datetime(2026, 1, 2, tzinfo=UTC),
        content_type="text/plain",
        correlation_id="c",
    )
    await channel.basic_publish(b"x", exchange=source, routing_key="rk", properties=properties)
    await channel.basic_publish(b"y", exchange=source)
    first, second = await received(receiver, 2)
    assert (first.id, first.key, len(first.headers)) == ("theirs", None, 0)
    assert first.sent_at == datetime(2026, 1, 2, tzinfo=UTC).timestamp()
    assert first.raw.header.properties.content_type == "text/plain"
    assert first.attributes == {
        "messaging.rabbitmq.destination.routing_key": "rk",
        "messaging.rabbitmq.message.delivery_tag": 1,
    }
    assert second.sent_at is None
    assert second.attributes == {"messaging.rabbitmq.message.delivery_tag": 2}


async def test_a_rejected_message_arrives_with_its_death(rabbit: Rabbit) -> None:
    """REJECT goes through the dead letter exchange, and `x-death` is text that can be read."""
    source, dead = new_name(), new_name()
    transport = await rabbit.transport(dead_letter_exchange=dead)
    assert transport.capabilities.native_dead_letter
    graveyard = await rabbit.receiver(transport, dead)
    receiver = await rabbit.receiver(transport, source, "billing")
    envelope = Envelope("order-1", b"bad", key="42", headers={"tenant": "a"})
    await sent(transport, source, envelope)
    assert await settled(receiver, await received(receiver, 1), Outcome.REJECT) == ["ok"]
    (arrival,) = await received(graveyard, 1)
    assert (arrival.id, arrival.key, arrival.body) == ("order-1", "42", b"bad")
    assert arrival.headers["tenant"] == "a"
    (death,) = json.loads(arrival.headers["x-death"])
    assert (death["queue"], death["reason"]) == (f"{source}.billing", "rejected")
    assert arrival.attempt == 1
    assert await settled(graveyard, [arrival]) == ["ok"]


async def test_dead_letters_to_an_exchange_that_exists(rabbit: Rabbit) -> None:
    """It is used as it is, of whatever type."""
    dead, source = new_name(), new_name()
    channel = await rabbit.channel()
    await channel.exchange_declare(dead, exchange_type="topic", durable=True)
    await rabbit.receiver(await rabbit.transport(dead_letter_exchange=dead), source)
    await channel.exchange_delete(dead)


async def test_reject_without_a_place_to_go(rabbit: Rabbit) -> None:
    """Nothing is dropped by a transport that was not told of dead letters."""
    source = new_name()
    transport = await rabbit.transport()
    assert not transport.capabilities.native_dead_letter
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(1))
    held = await received(receiver, 1)
    assert await settled(receiver, held, Outcome.REJECT) == ["failed"]
    assert await settled(receiver, held) == ["ok"]


async def test_groups_and_routing_keys(rabbit: Rabbit) -> None:
    """Groups of an exchange get what its routing key matches, each all of it."""
    transport = await rabbit.transport()
    channel = await rabbit.channel()
    topic = new_name()
    await channel.exchange_declare(topic, exchange_type="topic")
    every = await rabbit.receiver(transport, f"{topic}/order.*", "every")
    paid = await rabbit.receiver(transport, f"{topic}/order.paid", "paid")
    await sent(transport, f"{topic}/order.paid", Envelope("1", b""))
    await sent(transport, f"{topic}/order.sent", Envelope("2", b""))
    assert {one.id for one in await received(every, 2)} == {"1", "2"}
    assert [one.id for one in await received(paid, 1)] == ["1"]
    await channel.exchange_delete(topic)


async def test_a_queue_by_name(rabbit: Rabbit) -> None:
    """`/queue` is sent to and received from without declaring it, and has no groups."""
    transport = await rabbit.transport(queue_type="classic")
    queue = new_name()
    with pytest.raises(DestinationNotFound, match=f"looking for queue '{queue}'"):
        await rabbit.receiver(transport, f"/{queue}")
    with pytest.raises(CapabilityError, match="has no group 'billing'"):
        await rabbit.receiver(transport, f"/{queue}", "billing")
    channel = await rabbit.channel()
    await channel.queue_declare(queue)
    receiver = await rabbit.receiver(transport, f"/{queue}")
    await sent(transport, f"/{queue}", *numbered(1))
    assert await settled(receiver, await received(receiver, 1), Outcome.RELEASE) == ["ok"]
    (again,) = await received(receiver, 1)
    assert again.attempt == 1
    assert not transport.capabilities.counts_deliveries
    await settled(receiver, [again])
    await channel.queue_delete(queue)


async def test_a_queue_made_in_another_way(rabbit: Rabbit) -> None:
    """A queue with other arguments is refused, and the error says what to do."""
    source = new_name()
    await rabbit.receiver(await rabbit.transport(), source)
    other = await rabbit.transport(queue_type="classic")
    with pytest.raises(TransportError, match="made in another way") as raised:
        await rabbit.receiver(other, source)
    assert not raised.value.retryable
    existing = await rabbit.transport(declare=False)
    await rabbit.receiver(existing, source)


async def test_a_delivery_limit(rabbit: Rabbit) -> None:
    """A quorum queue that was declared with a limit moves a message that reaches it."""
    source, dead = new_name(), new_name()
    transport = await rabbit.transport(delivery_limit=1, dead_letter_exchange=dead)
    graveyard = await rabbit.receiver(transport, dead)
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(1))
    for attempt in (1, 2):
        (arrival,) = await received(receiver, 1)
        assert arrival.attempt == attempt
        await settled(receiver, [arrival], Outcome.RELEASE)
    (death,) = json.loads((await received(graveyard, 1))[0].headers["x-death"])
    assert death["reason"] == "delivery_limit"


async def test_the_window_grows(rabbit: Rabbit) -> None:
    """A receiver that settles nothing is given more than its window, when it asks for it."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source, prefetch=5)
    await sent(transport, source, *numbered(100))
    held = await received(receiver, 100)
    assert len({one.id for one in held}) == 100
    assert await settled(receiver, held[50:]) == ["ok"] * 50
    assert await settled(receiver, held[:50]) == ["ok"] * 50
    await receiver.aclose()
    assert await ready_in(await rabbit.channel(), f"{source}.default") == 0


async def test_the_window_is_kept(rabbit: Rabbit) -> None:
    """While nobody asks for more, a receiver takes no more than twice its prefetch."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source, prefetch=5)
    await sent(transport, source, *numbered(100))
    await received(receiver, 5)
    other = await rabbit.receiver(transport, source)
    assert len(await received(other, 90)) == 90


async def test_mixed_outcomes_in_few_frames(rabbit: Rabbit) -> None:
    """A prefix of what is unsettled is told in one frame, and nothing else is settled by it."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(20))
    held = await received(receiver, 20)
    assert await settled(receiver, [*held[3:6], held[3]]) == ["ok"] * 3 + ["stale"]
    assert await settled(receiver, [*held[0:2], *held[7:9]]) == ["ok"] * 4
    assert await settled(receiver, [held[2], held[6]], Outcome.RELEASE) == ["ok"] * 2
    assert sorted(one.id for one in await received(receiver, 2)) == ["2", "6"]
    await receiver.aclose()
    assert await ready_in(await rabbit.channel(), f"{source}.default") == 13


async def test_a_queue_that_is_deleted_is_made_again(rabbit: Rabbit) -> None:
    """What was held is lost, and the receiver goes on with a new queue, bound as before."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(3))
    held = await received(receiver, 3)
    waiting = asyncio.create_task(received_after_an_error(receiver, 1))
    channel = await rabbit.channel()
    await channel.queue_delete(f"{source}.default")
    for _ in range(100):
        (result,) = await transport.send(source, [Envelope("after", b"")])
        if result.status == "sent":
            break
        await asyncio.sleep(0.05)  # a queue that is made again tells no sender
    assert [one.id for one in await waiting] == ["after"]
    assert rabbit.lost == [(held, 0.0)]
    assert await settled(receiver, held) == ["stale"] * 3


async def test_a_queue_that_is_gone_ends_its_consumer(rabbit: Rabbit) -> None:
    """Where it is not ours to declare, there is nothing to go on with."""
    transport = await rabbit.transport()
    channel = await rabbit.channel()
    queue = new_name()
    await channel.queue_declare(queue)
    receiver = await rabbit.receiver(transport, f"/{queue}")
    await channel.queue_delete(queue)
    with pytest.raises(DestinationNotFound, match=f"looking for queue '{queue}'"):
        await received_after_an_error(receiver, 1)


async def test_a_channel_that_is_closed(rabbit: Rabbit) -> None:
    """What was given on it is lost, and stale; it comes again, counted, on the next one."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source, prefetch=2)  # so few are told at once
    await sent(transport, source, *numbered(4))
    held = await received(receiver, 4)
    await settled(receiver, held[:1])
    await receiver.raw.basic_ack(1000)  # an unknown tag costs the channel
    again = await received_after_an_error(receiver, 3)
    assert rabbit.lost == [(held[1:], 0.0)]
    assert await settled(receiver, held) == ["stale"] * 4
    assert [(one.id, one.attempt) for one in again] == [("1", 2), ("2", 2), ("3", 2)]
    assert await settled(receiver, again) == ["ok"] * 3


async def test_an_acknowledgement_behind_a_gap(rabbit: Rabbit) -> None:
    """The broker is told of it before long, though an earlier message is still worked on."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(3))
    held = await received(receiver, 3)
    await settled(receiver, held[1:2])
    await asyncio.sleep(LATER + 0.3)  # the broker tells nobody that it was told
    await receiver.raw.basic_ack(1000)  # an unknown tag costs the channel
    again = await received_after_an_error(receiver, 2)
    assert [one.id for one in again] == ["0", "2"]
    assert await receiver.receive(1, 0.1) == []
    await receiver.raw.basic_ack(1000)
    while not rabbit.lost[1:]:  # noqa: ASYNC110 - a list tells nobody that it grew
        await asyncio.sleep(0.01)  # as above
    assert await settled(receiver, again) == ["stale"] * 2


@pytest.mark.timeout(60)  # the broker's own tool, which starts in seconds, is run twice
async def test_a_lease_that_ends(rabbitmq_to_kill: RabbitMQBroker, rabbit: Rabbit) -> None:
    """The broker takes back what was held for too long, and the receiver goes on."""
    broker = rabbitmq_to_kill
    broker.control("eval", _timeouts(consumer=1_000, tick=200))
    try:
        transport = await rabbit.transport(broker.url, ack_timeout=1.0)
        source = new_name()
        receiver = await rabbit.receiver(transport, source)
        await sent(transport, source, *numbered(2))
        held = await received(receiver, 2)
        assert 0.9 < held[0].lease <= 1.0
        (again, _) = await received_after_an_error(receiver, 2)
        assert (again.id, again.attempt) == ("0", 2)
        assert rabbit.lost == [(held, 0.0)]
    finally:
        broker.control("eval", _timeouts(consumer=1_800_000, tick=60_000))


def _timeouts(*, consumer: int, tick: int) -> str:
    """Return what sets the broker's limits, in milliseconds, and how often it looks."""
    return (
        f"application:set_env(rabbit, consumer_timeout, {consumer}),"
        f"application:set_env(rabbit, channel_tick_interval, {tick})."
    )


async def test_messages_of_a_closed_receiver(rabbit: Rabbit) -> None:
    """Closing gives back all that was not settled, and ends a receive that waits."""
    transport = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(transport, source)
    await sent(transport, source, *numbered(10))
    held = await received(receiver, 10)
    await settled(receiver, held[:4])
    waiting = asyncio.create_task(receiver.receive(1, 5.0))
    await asyncio.sleep(0)
    await receiver.aclose()
    assert await waiting == []
    assert await receiver.receive(1, 1.0) == []
    assert await settled(receiver, held[4:]) == ["stale"] * 6
    assert await ready_in(await rabbit.channel(), f"{source}.default") == 6
    assert rabbit.lost == []
