"""Redriving: a rejected message goes, as it is, to the target of its queue's redrive policy."""

from __future__ import annotations

from uuid import uuid4

from linkbus.transports.sqs import _trace_header as trace_header
from linkbus.transports.sqs._queues import Queue
from linkbus.transports.sqs._service import Attribute, Entry, Received


def copy_of(message: Received, target: Queue) -> Entry:
    """Return a received message as an entry to send: body, attributes and group unchanged.

    Its deduplication id is new: with the old one SQS would answer success, and drop it.
    """
    facts = message.get("Attributes") or {}
    entry = Entry(
        MessageBody=message["Body"], MessageAttributes=message.get("MessageAttributes") or {}
    )
    traced = facts.get(trace_header.NAME)
    if traced is not None:
        value = Attribute(DataType="String", StringValue=traced)
        entry["MessageSystemAttributes"] = {trace_header.NAME: value}
    if target.is_fifo:
        entry["MessageGroupId"] = facts.get("MessageGroupId") or uuid4().hex
        entry["MessageDeduplicationId"] = uuid4().hex
    return entry
