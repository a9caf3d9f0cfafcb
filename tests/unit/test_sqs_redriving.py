"""Copies for the target of a redrive policy."""

from __future__ import annotations

from linkbus.transports.sqs._queues import Queue
from linkbus.transports.sqs._redriving import copy_of

TARGET = Queue("dead", "dead", "http://sqs/1/dead")
FIFO = Queue("dead.fifo", "dead.fifo", "http://sqs/1/dead.fifo")
ATTRIBUTES = {"a": {"DataType": "Binary", "BinaryValue": b"\xff"}}


def test_a_copy_is_as_the_message_was():
    """Body, attributes and trace header."""
    message = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": "b",
        "MessageAttributes": ATTRIBUTES,
        "Attributes": {"AWSTraceHeader": "Root=1", "MessageGroupId": "g"},
    }
    assert copy_of(message, TARGET) == {
        "MessageBody": "b",
        "MessageAttributes": ATTRIBUTES,
        "MessageSystemAttributes": {
            "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}
        },
    }


def test_a_copy_for_a_fifo_queue():
    """It keeps its group, and gets an id that no copy had."""
    message = {"MessageId": "m", "ReceiptHandle": "r", "Body": "b"}
    one, other = copy_of(message, FIFO), copy_of(message, FIFO)
    assert one["MessageDeduplicationId"] != other["MessageDeduplicationId"]
    assert one["MessageGroupId"] != other["MessageGroupId"]
    kept = copy_of({**message, "Attributes": {"MessageGroupId": "g"}}, FIFO)
    assert kept["MessageGroupId"] == "g"
