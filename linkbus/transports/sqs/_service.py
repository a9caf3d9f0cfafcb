"""The operations of SQS that are used, with types and within a time limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict, cast

from aiobotocore.client import AioBaseClient

from linkbus.transports._deadlines import Deadlines

_SYSTEM_ATTRIBUTES = [
    "ApproximateReceiveCount",
    "SentTimestamp",
    "MessageGroupId",
    "AWSTraceHeader",
]


class Attribute(TypedDict):
    """A message attribute, as it is sent and as it is received."""

    DataType: str
    StringValue: NotRequired[str]
    BinaryValue: NotRequired[bytes]


class Entry(TypedDict):
    """A message in a request to send; its id there is its place."""

    MessageBody: str
    MessageAttributes: Mapping[str, Attribute]
    MessageSystemAttributes: NotRequired[Mapping[str, Attribute]]
    MessageGroupId: NotRequired[str]
    MessageDeduplicationId: NotRequired[str]


class Handle(TypedDict):
    """A received message in a request to settle it."""

    Id: str
    ReceiptHandle: str
    VisibilityTimeout: NotRequired[int]


class Received(TypedDict):
    """A message as SQS gives it."""

    MessageId: str
    ReceiptHandle: str
    Body: str
    Attributes: NotRequired[Mapping[str, str]]
    MessageAttributes: NotRequired[Mapping[str, Attribute]]


class Refusal(TypedDict):
    """Why SQS refused one entry of a request."""

    Id: str
    Code: str
    SenderFault: bool
    Message: NotRequired[str]


class Service:
    """Calls SQS.

    Every operation raises what the client does, and `TimeoutError` when its time is over.

    Args:
        client: An open client.
        timeout: Seconds for one request, but for receiving: that is never cut off, for it
            may bring messages, and ends with the client's own `read_timeout`.
    """

    def __init__(self, client: AioBaseClient, timeout: float) -> None:
        self.client = client
        self._deadlines = Deadlines(timeout)

    def close(self) -> None:
        """Stop the timer of the time limits; the client stays open."""
        self._deadlines.close()

    async def receive(self, url: str, *, most: int, wait: int, visibility: int) -> list[Received]:
        """Receive up to `most` messages, hidden from others for `visibility` seconds."""
        answer = await self.client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait,
            VisibilityTimeout=visibility,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=_SYSTEM_ATTRIBUTES,
        )
        return cast("list[Received]", answer.get("Messages") or [])

    async def send(self, url: str, entries: Sequence[Entry]) -> dict[int, Refusal]:
        """Send up to ten messages, and return the refusals by place."""
        numbered = [{"Id": str(place), **entry} for place, entry in enumerate(entries)]
        return _refusals(await self._ask("send_message_batch", QueueUrl=url, Entries=numbered))

    async def delete(self, url: str, handles: Sequence[str]) -> dict[int, Refusal]:
        """Delete up to ten received messages, and return the refusals by place."""
        entries = [Handle(Id=str(at), ReceiptHandle=one) for at, one in enumerate(handles)]
        return _refusals(await self._ask("delete_message_batch", QueueUrl=url, Entries=entries))

    async def hide(self, url: str, handles: Sequence[tuple[str, int]]) -> dict[int, Refusal]:
        """Hide up to ten received messages for so many seconds from now; 0 shows them."""
        entries = [
            Handle(Id=str(at), ReceiptHandle=handle, VisibilityTimeout=seconds)
            for at, (handle, seconds) in enumerate(handles)
        ]
        operation = "change_message_visibility_batch"
        return _refusals(await self._ask(operation, QueueUrl=url, Entries=entries))

    async def url_of(self, name: str, account: str | None = None) -> str:
        """Return the URL of a queue that exists, of this account or another."""
        asked = {"QueueName": name}
        if account is not None:
            asked["QueueOwnerAWSAccountId"] = account
        return str((await self._ask("get_queue_url", **asked))["QueueUrl"])

    async def create(self, name: str, attributes: Mapping[str, str]) -> str:
        """Create a queue, if there is none, and return its URL."""
        answer = await self._ask("create_queue", QueueName=name, Attributes=attributes)
        return str(answer["QueueUrl"])

    async def attribute(self, url: str, name: str) -> str | None:
        """Return an attribute of a queue, if it is set."""
        answer = await self._ask("get_queue_attributes", QueueUrl=url, AttributeNames=[name])
        found = (answer.get("Attributes") or {}).get(name)
        return None if found is None else str(found)

    async def ask_for_anything(self) -> None:
        """Make the cheapest call there is, for its errors."""
        await self._ask("list_queues", MaxResults=1)

    async def _ask(self, operation: str, **asked: object) -> Mapping[str, Any]:
        with self._deadlines.limit():
            return cast("Mapping[str, Any]", await getattr(self.client, operation)(**asked))


def _refusals(answer: Mapping[str, Any]) -> dict[int, Refusal]:
    return {int(refusal["Id"]): refusal for refusal in answer.get("Failed") or ()}
