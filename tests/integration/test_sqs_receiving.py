"""Receiving from a real server: polls, leases, settlements, and what closing leaves behind."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

import linkbus
from linkbus import DestinationNotFound, TransportError
from linkbus.abc import Envelope, Outcome, Settlement
from linkbus.transports.sqs import SQSTransport
from tests.brokers.fixtures import SQS
from tests.integration.conftest import received, settled
from tests.integration.sqs_opening import OPTIONS, Proxy, counted, opened, subscribed

pytestmark = pytest.mark.broker


async def fill(transport: SQSTransport, queue: str, count: int) -> None:
    results = await transport.send(queue, [Envelope(str(n), b"") for n in range(count)])
    assert {result.status for result in results} == {"sent"}


async def test_polls_side_by_side(sqs: SQS, stack):
    """While they come back full there are several at once, for no more than was asked."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint, pollers=3)
    await fill(transport, queue, 100)
    receiver = await subscribed(stack, transport, queue)
    counts = [len(await receiver.receive(most, 5.0)) for most in (50, 50, 25, 5, 100)]
    assert counts == [10, 30, 25, 5, 30]


async def test_what_a_late_answer_brings_is_given_back(sqs: SQS, stack):
    """When nobody receives any more, others get it, long before its lease ends."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    slow = await opened(stack, proxy.endpoint)
    other = await subscribed(stack, await opened(stack, sqs.endpoint), queue)
    receiver = await subscribed(stack, slow, queue)
    await fill(slow, queue, 3)
    proxy.answers.clear()
    assert await receiver.receive(10, 0) == []
    assert await other.receive(10, 0) == []
    proxy.answers.set()
    assert {one.id for one in await received(other, 3)} == {"0", "1", "2"}


async def test_what_a_late_answer_brings_is_given_to_the_next_call(sqs: SQS, stack):
    """If it comes soon, and with a lease that is still whole."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint)
    receiver = await subscribed(stack, transport, queue)
    await fill(transport, queue, 3)
    proxy.answers.clear()
    assert await receiver.receive(10, 0) == []
    proxy.answers.set()
    got = await receiver.receive(10, 5.0)
    assert [one.lease for one in got] == [30.0] * 3


async def test_closing_waits_for_a_long_poll(sqs: SQS, stack):
    """What it brings is given back at once, with all that was held."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint, poll_wait=5)
    receiver = await transport.subscribe(queue, "default", prefetch=10, lost=print)
    await fill(transport, queue, 1)
    await received(receiver, 1)
    receiving = asyncio.create_task(receiver.receive(10, 5.0))
    await asyncio.sleep(0)
    closing = asyncio.create_task(receiver.aclose())
    assert await receiving == []
    await fill(transport, queue, 1)
    began = time.monotonic()
    await closing
    assert time.monotonic() - began < 1
    assert await counted(transport, queue) == (2, 0)


async def test_draining_leaves_nothing_hidden(sqs: SQS, stack):
    """A service that is cancelled gives back all that it has not done."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint)
    await fill(transport, queue, 30)
    begun = asyncio.Event()
    done: list[str | None] = []

    async def handle(delivery: linkbus.Delivery) -> None:
        if len(done) == 5:
            begun.set()
            await asyncio.Event().wait()
        done.append(delivery.id)

    async with linkbus.Bus(SQSTransport(endpoint_url=sqs.endpoint, **OPTIONS)) as bus:
        running = asyncio.create_task(bus.consumer(queue, drain_timeout=0.1).run(handle))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert await counted(transport, queue) == (25, 0)


async def test_the_heartbeat_keeps_what_is_held(sqs: SQS):
    """A handler slower than the lease, and what waits behind it, are not given again."""
    queue = sqs.create_queue()
    seen: list[tuple[bytes, int]] = []
    done = asyncio.Event()

    async def handle(delivery: linkbus.Delivery) -> None:
        if not seen:
            await asyncio.sleep(5)  # more than twice as long as the lease is what it is about
        seen.append((delivery.body, delivery.attempt))
        if len(seen) == 3:
            done.set()

    transport = SQSTransport(endpoint_url=sqs.endpoint, **OPTIONS, visibility_timeout=2)
    async with linkbus.Bus(transport) as bus:
        await bus.producer(queue).send_batch([linkbus.Message(b"%d" % n) for n in range(3)])
        running = asyncio.create_task(bus.consumer(queue).run(handle))
        await done.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await counted(transport, queue) == (0, 0)
    assert sorted(seen) == [(b"0", 1), (b"1", 1), (b"2", 1)]


@pytest.mark.parametrize("how", ["deleted", "taken"])
async def test_a_handler_whose_message_is_lost_is_cancelled(sqs: SQS, how):
    """Somebody else has deleted it, or made SQS give it to another."""
    queue = sqs.create_queue()
    begun, ended = asyncio.Event(), asyncio.Event()
    handles: list[str] = []

    async def handle(delivery: linkbus.Delivery) -> None:
        handles.append(delivery.raw["ReceiptHandle"])
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.set()
            raise

    transport = SQSTransport(endpoint_url=sqs.endpoint, **OPTIONS, visibility_timeout=2)
    async with linkbus.Bus(transport) as bus:
        await bus.producer(queue).send(b"-")
        running = asyncio.create_task(bus.consumer(queue, drain_timeout=0.1).run(handle))
        await begun.wait()
        client = transport.raw
        here = {
            "QueueUrl": (await client.get_queue_url(QueueName=queue))["QueueUrl"],
            "ReceiptHandle": handles[0],
        }
        if how == "deleted":
            await client.delete_message(**here)
        else:
            await client.change_message_visibility(**here, VisibilityTimeout=0)
            begun.clear()
            await begun.wait()
        await ended.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_nothing_is_extended_beyond_twelve_hours(sqs: SQS, stack):
    """SQS gives it to others then, so it is said before."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint)
    receiver = await subscribed(stack, transport, queue)
    await fill(transport, queue, 1)
    (arrival,) = await received(receiver, 1)
    (result,) = await receiver.extend([arrival], 43_200)
    assert result.status == "failed"
    assert "for 12 hours" in str(result.error)
    assert [one.status for one in await receiver.extend([arrival], 43_000)] == ["ok"]
    assert await settled(receiver, [arrival]) == ["ok"]
    assert [one.status for one in await receiver.extend([arrival], 30)] == ["stale"]


async def test_a_release_may_be_delayed_for_twelve_hours(sqs: SQS, stack):
    """A longer delay is as long as SQS allows."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint)
    receiver = await subscribed(stack, transport, queue)
    await fill(transport, queue, 1)
    (arrival,) = await received(receiver, 1)
    (result,) = await receiver.settle([Settlement(arrival, Outcome.RELEASE, 1e6)])
    assert result.status == "ok"
    assert await counted(transport, queue) == (0, 1)


async def test_a_settlement_whose_request_failed_is_made_again(sqs: SQS, stack):
    """The same call answers for those that were told, and tells the others."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint, request_timeout=0.5)
    receiver = await subscribed(stack, transport, queue)
    await fill(transport, queue, 3)
    got = await received(receiver, 3)
    await settled(receiver, got[2:])
    wanted = [
        Settlement(got[0], Outcome.ACK),
        Settlement(got[1], Outcome.RELEASE, 60),
        Settlement(got[2], Outcome.ACK),
    ]
    proxy.answers_to_lose = 1000
    with pytest.raises(TransportError) as caught:
        await receiver.settle(wanted)
    proxy.answers_to_lose = 0
    assert caught.value.retryable
    again = [result.status for result in await receiver.settle(wanted)]
    assert again[::2] == ["ok", "stale"]  # that was told again by itself
    assert again[1] in {"ok", "stale"}  # what SQS did, and could not say, is done
    assert [result.status for result in await receiver.settle(wanted)] == ["stale"] * 3
    await receiver.aclose()
    assert await counted(transport, queue) == (0, 1)


async def test_extending_while_sqs_is_away(sqs: SQS, stack):
    """It is tried again by the core, so the error says that it may pass."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint)
    receiver = await subscribed(stack, transport, queue)
    await fill(transport, queue, 1)
    got = await received(receiver, 1)
    proxy.answers_to_lose = 1
    with pytest.raises(TransportError) as caught:
        await receiver.extend(got, 30)
    assert caught.value.retryable
    assert [one.status for one in await receiver.extend(got, 30)] == ["ok"]


async def test_closing_while_sqs_does_not_answer(sqs: SQS, stack, caplog):
    """It takes a few seconds, raises nothing, and says what it could not tell."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint)
    receiver = await subscribed(stack, transport, queue)
    await fill(transport, queue, 2)
    held = await received(receiver, 2)
    proxy.answers.clear()
    receiving = asyncio.create_task(receiver.receive(10, 5.0))
    assert await settled(receiver, held[:1]) == ["ok"]
    settling = asyncio.create_task(settled(receiver, held[1:], Outcome.RELEASE))
    await asyncio.sleep(0)
    began = time.monotonic()
    await receiver.aclose()
    await transport.aclose()
    assert time.monotonic() - began < 6
    assert await receiving == []
    with pytest.raises(TransportError, match="closed before SQS answered"):
        await settling
    assert "1 acknowledged message(s) were not deleted" in caplog.text
    proxy.answers.set()


async def test_what_was_lost_is_forgotten(sqs: SQS, stack):
    """A receiver that loses message after message does not remember them all."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint, visibility_timeout=1)
    receiver = await subscribed(stack, transport, queue)
    await fill(transport, queue, 5)
    receiver._tidy_at = 5
    for _ in range(3):
        assert len(await receiver.receive(5, 5.0)) == 5
    assert len(receiver._held) <= 10


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_rejected_message_goes_to_the_redrive_target(sqs: SQS, stack, fifo):
    """As it was, and it is gone from its queue."""
    dead = sqs.create_queue(fifo=fifo)
    transport = await opened(stack, sqs.endpoint, native_dead_letter=True, fifo=fifo)
    policy = await policy_of(transport, dead)
    queue = sqs.create_queue(fifo=fifo, attributes={"RedrivePolicy": policy})
    receiver = await subscribed(stack, transport, queue)
    headers = linkbus.Headers({"tenant": "a", "binary": b"\xff"})
    await transport.send(queue, [Envelope(str(n), b"\xff", "k", headers) for n in range(3)])
    held = await received(receiver, 3)
    assert await settled(receiver, held, Outcome.REJECT) == ["ok"] * 3
    plain = await opened(stack, sqs.endpoint, fifo=fifo)
    copies = await received(await subscribed(stack, plain, dead), 3)
    expected = [(one.id, one.body, one.key, one.headers) for one in held]
    arrived = [(one.id, one.body, one.key, one.headers) for one in copies]
    assert sorted(arrived) == sorted(expected)
    assert await counted(transport, queue) == (0, 0)


async def test_a_queue_without_a_redrive_target(sqs: SQS, stack):
    """A consumer that may reject natively needs one, and is told when it subscribes."""
    transport = await opened(stack, sqs.endpoint, native_dead_letter=True)
    with pytest.raises(TransportError, match="has no redrive policy"):
        await transport.subscribe(sqs.create_queue(), "default", prefetch=1, lost=print)
    dead = sqs.create_queue()
    queue = sqs.create_queue(attributes={"RedrivePolicy": await policy_of(transport, dead)})
    url = (await transport.raw.get_queue_url(QueueName=dead))["QueueUrl"]
    await transport.raw.delete_queue(QueueUrl=url)
    with pytest.raises(DestinationNotFound, match="reading the redrive policy"):
        await transport.subscribe(queue, "default", prefetch=1, lost=print)


async def policy_of(transport: SQSTransport, dead: str) -> str:
    """Return a redrive policy that names a queue."""
    client = transport.raw
    url = (await client.get_queue_url(QueueName=dead))["QueueUrl"]
    answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": answer["Attributes"]["QueueArn"], "maxReceiveCount": "100"}
    return json.dumps(policy)
