"""Few requests on a real server: calls share them, and nobody pays for another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from botocore.exceptions import NoCredentialsError

from linkbus import ConnectError, TransportError
from linkbus.abc import Envelope, Outcome, SendResult
from linkbus.transports.sqs import SQSTransport
from tests.brokers.fixtures import SQS
from tests.integration.conftest import received, settled
from tests.integration.sqs_opening import Proxy, counted, opened, subscribed

pytestmark = pytest.mark.broker


class Requests:
    """Counts the entries of each request that a client makes of one operation."""

    def __init__(self, transport: SQSTransport, operation: str) -> None:
        self.made: list[int] = []
        self.begun = asyncio.Event()
        transport.raw.meta.events.register(f"before-call.sqs.{operation}", self._note)

    def _note(self, params: dict[str, bytes], **_: object) -> None:
        self.made.append(len(json.loads(params["body"])["Entries"]))
        self.begun.set()


class Blocked:
    """A transport that makes one request at once, and whose request is not answered."""

    def __init__(self, proxy: Proxy, transport: SQSTransport, requests: Requests) -> None:
        self.proxy = proxy
        self.transport = transport
        self.requests = requests
        self.waiting: list[asyncio.Task[Sequence[SendResult]]] = []

    async def send(self, queue: str, *batches: Sequence[Envelope]) -> None:
        """Begin calls, which have come to their first wait when this returns."""
        calls = [self.transport.send(queue, batch) for batch in batches]
        self.waiting += [asyncio.create_task(call) for call in calls]
        await asyncio.sleep(0)

    async def statuses(self) -> list[str]:
        """Return what became of the calls, as far as they were not cancelled."""
        results = await asyncio.gather(*self.waiting, return_exceptions=True)
        return [one.status for some in results if isinstance(some, list) for one in some]


async def blocked(sqs: SQS, stack: AsyncExitStack, queue: str) -> Blocked:
    """Return a transport with one request to a queue under way."""
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint, senders=1)
    await transport.send(queue, [Envelope("first", b"")])
    one = Blocked(proxy, transport, Requests(transport, "SendMessageBatch"))
    proxy.answers.clear()
    await one.send(queue, [Envelope("under way", b"")])
    await one.requests.begun.wait()
    return one


async def ids(stack: AsyncExitStack, transport: SQSTransport, queue: str, count: int) -> set[str]:
    receiver = await subscribed(stack, transport, queue)
    return {one.id for one in await received(receiver, count)}


@pytest.mark.parametrize("fifo", [False, True])
async def test_sends_at_once_share_requests(sqs: SQS, stack, fifo):
    """A hundred calls with one message each are ten requests."""
    queue = sqs.create_queue(fifo=fifo)
    transport = await opened(stack, sqs.endpoint, senders=3)
    await transport.send(queue, [Envelope("first", b"")])
    requests = Requests(transport, "SendMessageBatch")
    sends = [transport.send(queue, [Envelope(str(n), b"")]) for n in range(100)]
    assert {result.status for (result,) in await asyncio.gather(*sends)} == {"sent"}
    assert requests.made == [10] * 10
    assert len(await ids(stack, transport, queue, 101)) == 101


async def test_sends_to_several_queues(sqs: SQS, stack):
    """Each request is for one of them, whoever sends in between."""
    queues = [sqs.create_queue(), sqs.create_queue()]
    transport = await opened(stack, sqs.endpoint)
    for queue in queues:
        await transport.send(queue, [Envelope("first", b"")])
    requests = Requests(transport, "SendMessageBatch")
    await asyncio.gather(
        *[transport.send(queues[n % 2], [Envelope(str(n), b"")]) for n in range(9)]
    )
    assert sorted(requests.made) == [4, 5]
    assert await ids(stack, transport, queues[0], 6) == {"first", "0", "2", "4", "6", "8"}
    assert await ids(stack, transport, queues[1], 5) == {"first", "1", "3", "5", "7"}


async def test_calls_share_a_request_up_to_its_bytes(sqs: SQS, stack):
    """As the messages of one call do."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint)
    await transport.send(queue, [Envelope("first", b"")])
    requests = Requests(transport, "SendMessageBatch")
    sends = [transport.send(queue, [Envelope(str(n), b"x" * 100_000)]) for n in range(5)]
    assert {result.status for (result,) in await asyncio.gather(*sends)} == {"sent"}
    assert requests.made == [2, 2, 1]


async def test_a_cancelled_call_disturbs_no_other(sqs: SQS, stack):
    """Whether it shares a request that is under way, or waits with others for the next."""
    queue = sqs.create_queue()
    one = await blocked(sqs, stack, queue)
    await one.send(queue, *[[Envelope(str(n), b"")] for n in range(3)])
    one.waiting[2].cancel()
    await asyncio.wait([one.waiting[2]])
    one.requests.begun.clear()
    one.proxy.answers.set()
    await one.requests.begun.wait()
    one.waiting[1].cancel()
    assert await one.statuses() == ["sent"] * 2
    assert one.requests.made == [1, 2]
    assert await ids(stack, one.transport, queue, 4) == {"first", "under way", "0", "2"}


async def test_one_does_not_pay_for_another(sqs: SQS, stack):
    """A message that makes SQS refuse the whole of a shared request fails alone."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint, max_message_bytes=500_000)
    await transport.send(queue, [Envelope("first", b"")])
    sizes = [1, 300_000, 1]
    sends = [transport.send(queue, [Envelope(str(n), b"x" * size)]) for n, size in enumerate(sizes)]
    results = [result for (result,) in await asyncio.gather(*sends)]
    assert [result.status for result in results] == ["sent", "failed", "sent"]
    assert await ids(stack, transport, queue, 3) == {"first", "0", "2"}


async def test_groups_of_different_calls_fail_apart(sqs: SQS, stack):
    """What follows a failed message waits in its own call; another call goes on."""
    queue = sqs.create_queue(fifo=True)
    transport = await opened(stack, sqs.endpoint, max_message_bytes=500_000)
    await transport.send(queue, [Envelope("first", b"")])
    calls = [
        [Envelope("0", b"x" * 300_000, "a"), Envelope("1", b"", "a"), Envelope("2", b"", "b")],
        [Envelope("3", b"", "a"), Envelope("4", b"", "a")],
    ]
    mine, others = await asyncio.gather(*[transport.send(queue, batch) for batch in calls])
    assert [one.status for one in (*mine, *others)] == ["failed", "failed", "sent", "sent", "sent"]
    assert [one.retryable for one in mine] == [False, True, False]
    assert await ids(stack, transport, queue, 4) == {"first", "2", "3", "4"}


async def test_closing_gives_up_what_is_on_its_way(sqs: SQS, stack):
    """What left is unknown, what waited was not sent, and nothing goes on."""
    queue = sqs.create_queue()
    one = await blocked(sqs, stack, queue)
    await one.send(queue, [Envelope("0", b"")])
    await one.transport.aclose()
    assert await one.statuses() == ["unknown", "failed"]
    left, waited = [task.result()[0] for task in one.waiting]
    assert isinstance(left.error, ConnectError)
    assert "the transport was closed" in str(waited.error)
    one.proxy.answers.set()
    other = await subscribed(stack, await opened(stack, sqs.endpoint), queue)
    assert {it.id for it in await other.receive(10, 1.0)} <= {"first", "under way"}


async def test_an_acknowledgement_is_not_waited_for(sqs: SQS, stack):
    """Those that come one by one while a request is under way are told together."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint)
    receiver = await subscribed(stack, transport, queue)
    await transport.send(queue, [Envelope(str(n), b"") for n in range(10)])
    first, *held = await received(receiver, 10)
    requests = Requests(transport, "DeleteMessageBatch")
    proxy.answers.clear()
    assert await settled(receiver, [first]) == ["ok"]
    await requests.begun.wait()
    for one in held:
        assert await settled(receiver, [one]) == ["ok"]
    assert await settled(receiver, held) == ["stale"] * 9
    assert [one.status for one in await receiver.extend(held[:1], 30)] == ["stale"]
    proxy.answers.set()
    await receiver.aclose()
    assert requests.made == [1, 9]
    assert await counted(transport, queue) == (0, 0)


async def test_acknowledging_does_not_fall_behind(sqs: SQS, stack):
    """Beyond ten for each of `settlers` it waits for SQS."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint, settlers=1)
    receiver = await subscribed(stack, transport, queue)
    await transport.send(queue, [Envelope(str(n), b"") for n in range(11)])
    *held, last = await received(receiver, 11)
    proxy.answers.clear()
    assert await settled(receiver, held) == ["ok"] * 10
    waiting = asyncio.create_task(settled(receiver, [last]))
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    proxy.answers.set()
    assert await waiting == ["ok"]
    assert await counted(transport, queue) == (0, 0)


async def test_an_acknowledgement_whose_answer_is_lost(sqs: SQS, stack, caplog):
    """It is told again, and nobody is told of it, not even if it had been done."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint)
    receiver = await subscribed(stack, transport, queue)
    await transport.send(queue, [Envelope("7", b"")])
    held = await received(receiver, 1)
    requests = Requests(transport, "DeleteMessageBatch")
    proxy.answers_to_lose = 1
    assert await settled(receiver, held) == ["ok"]
    await receiver.aclose()
    assert requests.made == [1, 1]
    assert await counted(transport, queue) == (0, 0)
    assert [one for one in caplog.records if one.name == "linkbus"] == []


async def test_an_acknowledgement_that_comes_too_late(sqs: SQS, stack, caplog):
    """The log says how many, where, and nothing that SQS knows the message by."""
    queue = sqs.create_queue(fifo=True)
    transport = await opened(stack, sqs.endpoint)
    receiver = await subscribed(stack, transport, queue)
    await transport.send(queue, [Envelope("1", b"body", "a"), Envelope("2", b"body", "b")])
    held = await received(receiver, 2)
    url = (await transport.raw.get_queue_url(QueueName=queue))["QueueUrl"]
    for one in held:
        handle = one.raw["ReceiptHandle"]
        await transport.raw.delete_message(QueueUrl=url, ReceiptHandle=handle)
    assert await settled(receiver, held) == ["ok"] * 2
    await receiver.aclose()
    (said,) = [one.getMessage() for one in caplog.records if one.name == "linkbus"]
    assert said.startswith(f"queue {queue!r}: 2 acknowledged message(s) were not deleted")
    assert not any(one.raw["ReceiptHandle"] in said for one in held)


async def test_a_consumer_that_cannot_acknowledge_ends(sqs: SQS, stack):
    """When deleting fails for good, receiving raises why."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint)
    receiver = await subscribed(stack, transport, queue)
    await transport.send(queue, [Envelope("7", b"")])
    held = await received(receiver, 1)
    begun = asyncio.Event()

    def deny(**_: object) -> None:
        begun.set()
        raise NoCredentialsError

    transport.raw.meta.events.register("before-call.sqs.DeleteMessageBatch", deny)
    assert await settled(receiver, held) == ["ok"]
    await begun.wait()
    with pytest.raises(TransportError, match="there are no AWS credentials"):
        await receiver.receive(1, 5.0)


async def test_a_cancelled_release_is_told(sqs: SQS, stack):
    """Whoever waited for it."""
    queue = sqs.create_queue()
    proxy = await stack.enter_async_context(Proxy(sqs.endpoint).running())
    transport = await opened(stack, proxy.endpoint)
    receiver = await subscribed(stack, transport, queue)
    await transport.send(queue, [Envelope("7", b"")])
    held = await received(receiver, 1)
    settling = asyncio.create_task(settled(receiver, held, Outcome.RELEASE))
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.wait([settling])
    (again,) = await received(receiver, 1)
    assert again.attempt == 2
