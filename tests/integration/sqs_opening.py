"""What the tests on SQS share: open transports, and a way to lose answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from aiobotocore.session import AioSession

from linkbus.transports.sqs import SQSTransport
from linkbus.transports.sqs._receiver import SQSReceiver

SESSION = AioSession()
"""One for all tests: a session reads the models of SQS from files."""
SESSION.set_credentials("key", "secret")

OPTIONS = {
    "region_name": "elasticmq",
    "session": SESSION,
    "poll_wait": 1,
    "max_message_bytes": 237_568,
}
"""What ElasticMQ takes: 256 KiB in a message and in a request."""


async def opened(stack: AsyncExitStack, endpoint: str, **options: object) -> SQSTransport:
    """Open a transport until the end of the test."""
    transport = SQSTransport(endpoint_url=endpoint, **{**OPTIONS, **options})
    await transport.open()
    await stack.enter_async_context(aclosing(transport))
    return transport


async def subscribed(stack: AsyncExitStack, transport: SQSTransport, queue: str) -> SQSReceiver:
    """Subscribe until the end of the test."""
    receiver = await transport.subscribe(
        queue, "default", prefetch=100, lost=lambda *_: pytest.fail("lost was called")
    )
    await stack.enter_async_context(aclosing(receiver))
    return receiver


async def counted(transport: SQSTransport, queue: str) -> tuple[int, int]:
    """Return how many messages of a queue may be received, and how many are hidden."""
    client = transport.raw
    url = (await client.get_queue_url(QueueName=queue))["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    visible, hidden = [int(answer["Attributes"][name]) for name in names]
    return visible, hidden


class Proxy:
    """Stands before a server, and loses what it is told to.

    Attributes:
        endpoint: Its own.
        answers_to_lose: As many of the next answers break their connections instead.
        answers: Cleared, all answers wait until it is set.
    """

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._place = (parts.hostname, parts.port)
        self._tasks: set[asyncio.Task[None]] = set()
        self.endpoint = ""
        self.answers_to_lose = 0
        self.answers = asyncio.Event()
        self.answers.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        """Listen on a port of its own."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        to_reader, to_writer = await asyncio.open_connection(*self._place)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_requests(reader, to_writer))
                tasks.create_task(self._pass_answers(to_reader, writer))
        except* (ConnectionError, _Lost):
            pass
        finally:
            for one in (writer, to_writer):
                one.close()
                with suppress(ConnectionError):
                    await one.wait_closed()
            self._tasks.discard(task)

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        raise _Lost

    async def _pass_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65_536):
            await self.answers.wait()
            if self.answers_to_lose:
                self.answers_to_lose -= 1
                break
            writer.write(data)
            await writer.drain()
        raise _Lost


class _Lost(Exception):  # noqa: N818 - how a connection ends, and no error
    """One side is gone, so the other goes too."""
