"""aiobotocore with spans by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks.contender import Inbox, Joins, Mode, Place
from benchmarks.peers.by_hand import ACK, BrokerFacts, ByHand, Received, injected
from benchmarks.peers.sqs_client import Message, SQSClient


class SQSClientByHand(SQSClient):
    """The client, with spans by hand."""

    joins = Joins.LINK

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        parts = urlsplit(place.address)
        connection: BrokerFacts = {
            "server.address": parts.hostname or "",
            "server.port": parts.port or 443,
        }
        self._hand = ByHand(place, "aws_sqs", connection)

    async def open(self) -> None:
        """Connect; the queue's URL is an attribute of every span."""
        await super().open()
        self._hand.add("aws.sqs.queue.url", self._url)

    async def send(self, body: bytes) -> None:
        """Send one message in its span."""
        mid = uuid4().hex
        with self._hand.sending(mid, len(body)):
            await self._client.send_message(
                QueueUrl=self._url,
                MessageBody=body.decode(),
                MessageAttributes=_attributes(injected(), mid),
            )

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Make a span for each message, and send all in one."""
        mids = [uuid4().hex for _ in bodies]
        with self._hand.sending_batch(mids, len(bodies[0])) as made:
            await self._send_all(
                [
                    {"MessageBody": body.decode(), "MessageAttributes": _attributes(headers, mid)}
                    for body, headers, mid in zip(bodies, made, mids, strict=True)
                ]
            )

    def handle(self, message: Message, inbox: Inbox) -> None:
        """Handle one message in its span."""
        with self._hand.processing(_received(message)) as span:
            inbox.take(message["Body"].encode())
            span.set_attribute(*ACK)

    def handle_batch(self, messages: Sequence[Message], inbox: Inbox) -> None:
        """Handle a batch in one span, linked to all of it."""
        with self._hand.processing_batch([_received(message) for message in messages], {}):
            inbox.take_batch([message["Body"].encode() for message in messages])


def _attributes(headers: Mapping[str, str], mid: str) -> Mapping[str, object]:
    values = {**headers, "id": mid}
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def _received(message: Message) -> Received:
    headers = {name: it["StringValue"] for name, it in message.get("MessageAttributes", {}).items()}
    facts = message["Attributes"]
    return Received(
        headers,
        headers["id"],
        len(message["Body"]),
        int(facts["SentTimestamp"]) / 1000,
        attempt=int(facts["ApproximateReceiveCount"]),
    )
