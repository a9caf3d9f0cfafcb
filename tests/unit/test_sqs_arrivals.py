"""Messages of SQS as arrivals: linkbus's own, and what others wrote."""

from __future__ import annotations

import json

import pytest

from linkbus._message import Headers
from linkbus.abc import Arrival, Envelope
from linkbus.transports.sqs._arrivals import arrival
from linkbus.transports.sqs._packing import packed
from linkbus.transports.sqs._queues import Queue

URL = "http://sqs/1/orders"
QUEUE = Queue("orders", "orders", URL)
FIFO = Queue("orders.fifo", "orders.fifo", URL + ".fifo")
TRACED = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def received(
    body: str = "body",
    attributes: dict[str, object] | None = None,
    *,
    queue: Queue = QUEUE,
    **facts: str,
) -> Arrival:
    message = {"MessageId": "m", "ReceiptHandle": "r", "Body": body}
    if attributes is not None:
        message["MessageAttributes"] = attributes
    if facts:
        message["Attributes"] = facts
    return arrival(message, queue, "receipt", 30.0)


def carrying(**fields: object) -> dict[str, object]:
    return {"linkbus": {"DataType": "String", "StringValue": json.dumps(fields)}}


def there_and_back(sent: Envelope, limit: int = 10_000) -> Arrival:
    entry = packed(sent, limit).entry
    return received(entry["MessageBody"], entry["MessageAttributes"])


@pytest.mark.parametrize("body", [b"", b"text", b"\0\xff", b"-"])
@pytest.mark.parametrize("key", [None, "", "k", "k\udcff"])
def test_what_linkbus_sends_arrives(body, key):
    """Body, key, id and headers, whatever they are."""
    headers = Headers([("a", "1"), ("empty", ""), ("ü/", b"\xff"), ("binary", b"\xff\0")])
    one = there_and_back(Envelope("7", body, key, headers))
    assert (one.id, one.body, one.key) == ("7", body, key)
    assert {name: one.headers.get(name) for name in headers} == dict(headers)


def test_a_body_in_an_attribute_arrives():
    """And the attribute is no header."""
    one = there_and_back(Envelope("7", b"\xff" * 900), 1000)
    assert (one.body, set(one.headers)) == (b"\xff" * 900, {"linkbus"})


def test_facts():
    """What SQS says of a message."""
    one = received(ApproximateReceiveCount="3", SentTimestamp="1500")
    assert (one.attempt, one.sent_at, one.lease, one.receipt) == (3, 1.5, 30.0, "receipt")
    assert one.attributes == {"aws.sqs.queue.url": URL}
    assert one.raw["MessageId"] == "m"


def test_a_message_of_others():
    """Without linkbus's header it has no id and no key, and its attributes become text."""
    one = received(
        "aGk=",
        {
            "n": {"DataType": "Number.int", "StringValue": "42"},
            "s": {"DataType": "String.custom", "StringValue": "v"},
            "b": {"DataType": "Binary.gzip", "BinaryValue": b"\xff"},
            "linkbus-body": {"DataType": "Binary", "BinaryValue": b"theirs"},
        },
        MessageGroupId="fair",
    )
    assert (one.id, one.key, one.body, one.attempt, one.sent_at) == (None, None, b"aGk=", 1, None)
    assert dict(one.headers) == {"n": "42", "s": "v", "b": "\udcff", "linkbus-body": "theirs"}


def test_the_group_of_others_is_the_key():
    """On a FIFO queue; linkbus's own without a key has none, though it has a group."""
    assert received(queue=FIFO, MessageGroupId="g").key == "g"
    assert received("x", carrying(id="7"), queue=FIFO, MessageGroupId="g").key is None


def test_the_trace_header_is_a_traceparent():
    """Where there is no other, in whatever case it is written."""
    assert received(AWSTraceHeader=TRACED).headers["traceparent"] == TRACEPARENT
    theirs = {"TraceParent": {"DataType": "String", "StringValue": "theirs"}}
    assert dict(received("x", theirs, AWSTraceHeader=TRACED).headers) == {"TraceParent": "theirs"}
    assert len(received(AWSTraceHeader="garbage").headers) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 7, "key": ["k"], "coding": 1, "headers": "x"},
        {"id": "\ud800", "key": "\ud800", "headers": {"a": "\ud800", "\ud800": "a", "": 1}},
        {"headers": {"a": 1, "b": None, "c": {}}},
    ],
)
def test_nonsense_in_the_header_is_ignored(fields):
    """It comes from outside, and never keeps a message from arriving."""
    one = received("body", carrying(**fields))
    assert (one.id, one.key, one.body, list(one.headers)) == (None, None, b"body", ["linkbus"])


def test_carried_headers_replace_no_attribute():
    """What is there as an attribute is what was sent."""
    attributes = {**carrying(headers={"a": "carried"}), "a": {"DataType": "String"}}
    assert received("x", attributes).headers.get_all("a") == [""]
