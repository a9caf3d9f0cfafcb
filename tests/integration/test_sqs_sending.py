"""Sending to a real server: batches, order, queues that come and go, and lost answers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack

import pytest

from linkbus import ConnectError, DestinationNotFound, MessageError, TransportError
from linkbus.abc import Arrival, Envelope, SendResult
from linkbus.transports.sqs import SQSTransport
from tests.brokers.elasticmq import ElasticMQ, create_queue
from tests.brokers.fixtures import SQS
from tests.integration.conftest import received, settled
from tests.integration.sqs_opening import Proxy, opened, subscribed

pytestmark = pytest.mark.broker


def statuses(results: list[SendResult]) -> list[str]:
    """Return the statuses, with a sign at those that may be sent again."""
    return [result.status + "*" * result.retryable for result in results]


async def everything(
    stack: AsyncExitStack, transport: SQSTransport, queue: str, count: int
) -> list[Arrival]:
    """Receive and acknowledge so many messages, and make sure that there are no more."""
    receiver = await subscribed(stack, transport, queue)
    got = []
    while len(got) < count:
        some = await received(receiver, 1)
        await settled(receiver, some)
        got += some
    assert await receiver.receive(10, 0) == []
    return got


@pytest.mark.parametrize("fifo", [False, True])
async def test_batches_are_split(sqs: SQS, stack, fifo):
    """By ten and by the bytes of a request, and each message arrives once."""
    queue = sqs.create_queue(fifo=fifo)
    transport = await opened(stack, sqs.endpoint)
    sizes = [*[1] * 25, 200_000, 100_000, 100_000, 50_000, 1]
    batch = [Envelope(str(n), b"x" * size) for n, size in enumerate(sizes)]
    assert statuses(await transport.send(queue, batch)) == ["sent"] * 30
    got = await everything(stack, transport, queue, 30)
    assert sorted((int(one.id), len(one.body)) for one in got) == list(enumerate(sizes))


async def test_groups_stay_in_order(sqs: SQS, stack):
    """Over many requests, some of them at once."""
    queue = sqs.create_queue(fifo=True)
    transport = await opened(stack, sqs.endpoint, fifo=True, senders=3)
    batch = [Envelope(str(n), b"", None if n % 5 == 0 else f"g{n % 5}") for n in range(60)]
    assert statuses(await transport.send(queue, batch)) == ["sent"] * 60
    came = defaultdict(list)
    for one in await everything(stack, transport, queue, 60):
        came[one.key].append(int(one.id))
    for key in ("g1", "g2", "g3", "g4"):
        assert came[key] == [n for n in range(60) if f"g{n % 5}" == key]


async def test_a_message_without_a_key_waits_for_no_other(sqs: SQS, stack):
    """While one is held, the next one of a FIFO queue is given."""
    queue = sqs.create_queue(fifo=True)
    transport = await opened(stack, sqs.endpoint, fifo=True)
    await transport.send(queue, [Envelope("1", b""), Envelope("2", b"")])
    receiver = await subscribed(stack, transport, queue)
    first, second = await received(receiver, 1), await received(receiver, 1)
    assert {first[0].id, second[0].id} == {"1", "2"}
    assert first[0].key is None


async def test_one_id_twice_is_two_messages(sqs: SQS, stack):
    """A FIFO queue drops what has the same deduplication id, and that is never ours."""
    queue = sqs.create_queue(fifo=True)
    transport = await opened(stack, sqs.endpoint, fifo=True)
    twice = Envelope("7", b"same", "k")
    assert statuses(await transport.send(queue, [twice, twice])) == ["sent"] * 2
    assert statuses(await transport.send(queue, [twice])) == ["sent"]
    assert [one.id for one in await everything(stack, transport, queue, 3)] == ["7"] * 3


async def test_what_a_queue_does_not_take_fails_alone(sqs: SQS, stack):
    """A request that is refused as a whole is made again, message by message."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint, max_message_bytes=500_000)
    batch = [Envelope(str(n), b"x" * (300_000 if n == 1 else 90_000)) for n in range(4)]
    results = await transport.send(queue, batch)
    assert statuses(results) == ["sent", "failed", "sent", "sent"]
    assert type(results[1].error) is TransportError
    assert "MessageTooLong" in str(results[1].error)
    await everything(stack, transport, queue, 3)


async def test_what_follows_a_failed_message_waits(sqs: SQS, stack):
    """On a FIFO queue the rest of its group may be sent again; other groups go on."""
    queue = sqs.create_queue(fifo=True)
    transport = await opened(stack, sqs.endpoint, fifo=True, max_message_bytes=500_000)
    batch = [
        Envelope("1", b"", "a"),
        Envelope("2", b"x" * 300_000, "a"),
        Envelope("3", b"", "b"),
        Envelope("4", b"", "a"),
    ]
    results = await transport.send(queue, batch)
    assert statuses(results) == ["sent", "failed", "sent", "failed*"]
    assert {one.id for one in await everything(stack, transport, queue, 2)} == {"1", "3"}


async def test_nothing_that_can_be_sent(sqs: SQS, stack):
    """When no message fits, no request is made."""
    transport = await opened(stack, sqs.endpoint, max_message_bytes=1000)
    results = await transport.send(sqs.create_queue(), [Envelope("7", b"x" * 30_000)])
    assert statuses(results) == ["failed"]
    assert isinstance(results[0].error, MessageError)


async def test_a_queue_by_its_url(sqs: SQS, stack):
    """It is used as it is given, for sending and for receiving."""
    queue = sqs.create_queue(fifo=True)
    transport = await opened(stack, sqs.endpoint, fifo=True)
    url = (await transport.raw.get_queue_url(QueueName=queue))["QueueUrl"]
    assert statuses(await transport.send(url, [Envelope("7", b"", "k")])) == ["sent"]
    (arrival,) = await everything(stack, transport, url, 1)
    assert arrival.attributes == {"aws.sqs.queue.url": url}


async def test_queues_that_are_missing(sqs: SQS, stack):
    """By name and by URL, to send and to receive; and a FIFO transport wants FIFO queues."""
    transport = await opened(stack, sqs.endpoint)
    with pytest.raises(DestinationNotFound, match="looking for queue 'missing'"):
        await transport.send("missing", [Envelope("7", b"")])
    url = f"{sqs.endpoint}/000000000000/missing"
    (result,) = await transport.send(url, [Envelope("7", b"")])
    assert isinstance(result.error, DestinationNotFound)
    for source in ("missing", url):
        with pytest.raises(DestinationNotFound):
            await transport.subscribe(source, "default", prefetch=1, lost=print)
    ordered = await opened(stack, sqs.endpoint, fifo=True)
    with pytest.raises(DestinationNotFound, match=r"end in \.fifo"):
        await ordered.send(sqs.create_queue(), [Envelope("7", b"")])


@pytest.mark.parametrize("name", ["made", "made.fifo"])
async def test_queues_that_are_made(sqs: SQS, stack, name):
    """With `create_queues`, on use, also after somebody has deleted them."""
    transport = await opened(stack, sqs.endpoint, create_queues=True)
    assert statuses(await transport.send(name, [Envelope("1", b"")])) == ["sent"]
    url = (await transport.raw.get_queue_url(QueueName=name))["QueueUrl"]
    await transport.raw.delete_queue(QueueUrl=url)
    assert statuses(await transport.send(name, [Envelope("2", b"")])) == ["failed*"]
    assert statuses(await transport.send(name, [Envelope("2", b"")])) == ["sent"]
    receiver = await subscribed(stack, transport, name)
    assert [one.id for one in await received(receiver, 1)] == ["2"]
    await transport.raw.delete_queue(QueueUrl=url)
    assert statuses(await transport.send(url, [Envelope("3", b"")])) == ["failed"]
    assert await receiver.receive(1, 0) == []
    assert statuses(await transport.send(name, [Envelope("3", b"")])) == ["sent"]
    assert [one.id for one in await received(receiver, 1)] == ["3"]


async def test_a_queue_that_others_delete_and_make(sqs: SQS, stack):
    """While it is gone nothing is sent there; then it works as before."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint)
    assert statuses(await transport.send(queue, [Envelope("1", b"")])) == ["sent"]
    receiver = await subscribed(stack, transport, queue)
    url = (await transport.raw.get_queue_url(QueueName=queue))["QueueUrl"]
    await transport.raw.delete_queue(QueueUrl=url)
    (result,) = await transport.send(queue, [Envelope("2", b"")])
    assert isinstance(result.error, DestinationNotFound)
    with pytest.raises(DestinationNotFound):
        await receiver.receive(1, 0)
    await transport.raw.create_queue(QueueName=queue)
    assert statuses(await transport.send(queue, [Envelope("2", b"")])) == ["sent"]
    assert [one.id for one in await received(receiver, 1)] == ["2"]


async def test_a_lost_answer_on_a_standard_queue(sqs: SQS, stack):
    """Whether the message is there is not known, so it is not sent twice."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint)
    await transport.send(queue, [Envelope("1", b"")])
    proxy.answers_to_lose = 1
    (result,) = await transport.send(queue, [Envelope("2", b"")])
    assert (result.status, type(result.error)) == ("unknown", ConnectError)
    await everything(stack, transport, queue, 2)


async def test_lost_answers_on_a_fifo_queue(sqs: SQS, stack):
    """It is asked again, and knows by the deduplication ids what it already has."""
    queue = sqs.create_queue(fifo=True)
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint, fifo=True)
    await transport.send(queue, [Envelope("1", b"", "k")])
    proxy.answers_to_lose = 2
    results = await transport.send(queue, [Envelope("2", b"", "k"), Envelope("3", b"", "k")])
    assert statuses(results) == ["sent", "sent"]
    assert [one.id for one in await everything(stack, transport, queue, 3)] == ["1", "2", "3"]


async def test_sqs_is_gone(sqs_to_kill: ElasticMQ, stack):
    """Nothing left, so all of it may be sent again, and not every request is tried."""
    queue = create_queue(sqs_to_kill.endpoint, fifo=True)
    transport = await opened(stack, sqs_to_kill.endpoint)
    await transport.send(queue, [Envelope("1", b"")])
    await asyncio.to_thread(sqs_to_kill.kill)
    batch = [Envelope(str(n), b"", "k") for n in range(50)]
    results = await transport.send(queue, batch)
    assert statuses(results) == ["failed*"] * 50
    assert isinstance(results[0].error, ConnectError)


async def test_sqs_does_not_answer(sqs: SQS, stack):
    """What left is unknown after `request_timeout`; what waited for it never left."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint, request_timeout=0.5, senders=1)
    await transport.send(queue, [Envelope("1", b"")])
    proxy.answers.clear()
    sends = [transport.send(queue, [Envelope(str(n), b"")] * 10) for n in range(4)]
    results = [results[0] for results in await asyncio.gather(*sends)]
    proxy.answers.set()
    left = [result for result in results if result.status == "unknown"]
    waited = [result for result in results if result.status == "failed"]
    assert (results[0] in left, len(waited) >= 2, len(left + waited)) == (True, True, 4)
    assert all("it took too long" in str(one.error) for one in left)
    assert all("did not leave within 0.5 seconds" in str(one.error) for one in waited)
    assert all(one.retryable for one in waited)
    assert statuses(await transport.send(queue, [Envelope("4", b"")])) == ["sent"]


async def test_a_cancelled_send_makes_room(sqs: SQS, stack):
    """What of it has not left does not leave, and the next one does not wait for that."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint, senders=1)
    await transport.send(queue, [Envelope("1", b"")])
    proxy.answers.clear()
    sending = asyncio.create_task(transport.send(queue, [Envelope(str(n), b"") for n in range(30)]))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    proxy.answers.set()
    assert statuses(await transport.send(queue, [Envelope("last", b"")])) == ["sent"]
    receiver = await subscribed(stack, transport, queue)
    got = [one.id for _ in range(3) for one in await receiver.receive(10, 0.5)]
    assert len(got) <= 12
    assert {"1", "last"} <= set(got)
