"""aiobotocore itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from benchmarks.contender import Contender, Inbox, Mode, Place

REGION = "elasticmq"
SENDERS, POLLERS = 8, 4
"""Requests at once: as many as linkbus makes."""
_MOST = 10
"""Messages in a request."""

Message = dict[str, Any]  # what aiobotocore gives


@cache
def session() -> AioSession:
    """Return one session: it reads the models of SQS from files."""
    made = AioSession()
    made.set_credentials("key", "secret")
    return made


class SQSClient(Contender):
    """The client, which deletes ten messages with one request."""

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        self._stack = AsyncExitStack()
        self._client: Any = None  # aiobotocore makes its classes while it runs
        self._url = ""

    async def open(self) -> None:
        """Connect, and look the queue up."""
        self._client = await self._stack.enter_async_context(
            session().create_client(
                "sqs",
                region_name=REGION,
                endpoint_url=self.place.address,
                config=AioConfig(max_pool_connections=100),
            )
        )
        answer = await self._client.get_queue_url(QueueName=self.place.destination)
        self._url = answer["QueueUrl"]

    async def send(self, body: bytes) -> None:
        """Send one message."""
        await self._client.send_message(QueueUrl=self._url, MessageBody=body.decode())

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Send ten with each request, several requests at once."""
        await self._send_all([{"MessageBody": body.decode()} for body in bodies])

    async def receive(self, inbox: Inbox) -> None:
        """Handle one message after the other."""

        async def poll() -> None:
            while not inbox.is_full:
                messages = await self._some()
                for message in messages:
                    self.handle(message, inbox)
                await self._delete(messages)

        await asyncio.gather(*[poll() for _ in range(POLLERS)])

    async def receive_batches(self, inbox: Inbox, size: int) -> None:
        """Handle batches."""
        batch: list[Message] = []

        async def poll() -> None:
            nonlocal batch
            while not inbox.is_full:
                messages = await self._some()
                batch += messages  # not before: another poll may have begun a batch
                if len(batch) >= size or (batch and not messages):
                    whole, batch = batch[:size], batch[size:]
                    self.handle_batch(whole, inbox)
                    await self._delete(whole)

        await asyncio.gather(*[poll() for _ in range(POLLERS)])

    async def aclose(self) -> None:
        """Disconnect."""
        await self._stack.aclose()

    def handle(self, message: Message, inbox: Inbox) -> None:
        """Handle one message."""
        inbox.take(message["Body"].encode())

    def handle_batch(self, messages: Sequence[Message], inbox: Inbox) -> None:
        """Handle a batch."""
        inbox.take_batch([message["Body"].encode() for message in messages])

    async def _send_all(self, entries: Sequence[Message]) -> None:
        free = asyncio.Semaphore(SENDERS)

        async def request(part: Sequence[Message]) -> None:
            numbered = [{"Id": str(number), **entry} for number, entry in enumerate(part)]
            async with free:
                answer = await self._client.send_message_batch(QueueUrl=self._url, Entries=numbered)
            assert not answer.get("Failed"), "SQS refused a message"

        parts = [entries[at : at + _MOST] for at in range(0, len(entries), _MOST)]
        await asyncio.gather(*map(request, parts))

    async def _some(self) -> list[Message]:
        answer = await self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=_MOST,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
            AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        return list(answer.get("Messages", ()))

    async def _delete(self, messages: Sequence[Message]) -> None:
        for at in range(0, len(messages), _MOST):
            part = messages[at : at + _MOST]
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(part)
            ]
            await self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
