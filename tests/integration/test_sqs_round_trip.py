"""Messages on a real server: what awkward ones become, and what others see of them."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

import linkbus
from linkbus import Headers, Message
from linkbus.abc import Arrival, Envelope
from linkbus.testing import SpanRecorder
from linkbus.transports.sqs import SQSTransport
from tests.brokers.fixtures import SQS
from tests.integration.conftest import received, settled
from tests.integration.sqs_opening import OPTIONS, SESSION, opened, subscribed

pytestmark = pytest.mark.broker

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NAMES = [*[f"h{number}" for number in range(7)], "ü/ №", "AWS.x"]


async def there_and_back(
    stack: AsyncExitStack, endpoint: str, queue: str, sent: Envelope
) -> Arrival:
    transport = await opened(stack, endpoint)
    receiver = await subscribed(stack, transport, queue)
    (result,) = await transport.send(queue, [sent])
    assert result.status == "sent", result
    (arrival,) = await received(receiver, 1)
    assert await settled(receiver, [arrival]) == ["ok"]
    return arrival


AWKWARD = [
    (b"", ""),
    (b"text \r\n\t", "Grüße, 注文 №7 🧾\u2028"),
    (bytes(range(256)), bytes(range(256))),
    ("\ufffe".encode(), "\0"),
    (b"aGVsbG8=", b"\xff"),
]


@pytest.mark.parametrize("fifo", [False, True])
@pytest.mark.parametrize("awkward", AWKWARD)
async def test_awkward_messages_arrive(sqs: SQS, stack, awkward, fifo):
    """Nine headers, some with names and values that SQS refuses, and any body."""
    body, value = awkward
    headers = Headers(dict.fromkeys(NAMES, value))
    sent = Envelope("an id", body, "a key", headers, max_headers=9)
    queue = sqs.create_queue(fifo=fifo)
    arrival = await there_and_back(stack, sqs.endpoint, queue, sent)
    assert (arrival.id, arrival.body, arrival.key) == ("an id", body, "a key")
    assert {name: arrival.headers[name] for name in NAMES} == dict(headers)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"x" * 237_568, {}),
        (b"\xff" * 237_560, {"h": b"\xff"}),
        (b"\xff" * 237_000, {f"h{number}": "v" for number in range(8)}),
    ],
)
async def test_messages_as_large_as_allowed(sqs: SQS, stack, body, headers):
    """Text and binary ones, with their trace context."""
    sent = Envelope("7", body, None, Headers(headers), {"traceparent": TRACEPARENT}, max_headers=9)
    arrival = await there_and_back(stack, sqs.endpoint, sqs.create_queue(), sent)
    assert arrival.body == body
    assert arrival.headers["traceparent"] == TRACEPARENT


async def test_a_context_without_a_place_comes_back(sqs: SQS, stack):
    """With nine headers the traceparent goes beside the attributes, and is read from there."""
    headers = {f"h{number}": "v" for number in range(9)}
    context = {"traceparent": TRACEPARENT, "tracestate": "a=b"}
    sent = Envelope("7", b"", None, Headers(headers), context, max_headers=9)
    arrival = await there_and_back(stack, sqs.endpoint, sqs.create_queue(), sent)
    assert dict(arrival.headers) == {
        **headers,
        "linkbus": '{"id":"7","coding":"empty"}',
        "traceparent": TRACEPARENT,
    }
    assert set(arrival.raw["MessageAttributes"]) == {*headers, "linkbus"}


async def test_spans_are_linked_without_a_free_attribute(sqs: SQS):
    """The whole way, with nine headers: what processes is linked to what sent."""
    queue = sqs.create_queue()
    url = sqs.endpoint.replace("http", "sqs")
    options = {"region_name": "x", "session": SESSION, "poll_wait": "1"}
    with SpanRecorder() as spans:
        async with linkbus.connect(url, **options) as bus, bus.consumer(queue) as consumer:
            headers = {f"h{number}": "v" for number in range(9)}
            await bus.producer(queue).send(b"-", headers=headers)
            (delivery,) = await consumer.receive(1, timeout=5.0)
            async with delivery:
                pass
        (process,) = spans.named(f"process {queue}")
        (send,) = spans.named(f"send {queue}")
    spans.assert_linked(process, send)
    assert process.attributes["aws.sqs.queue.url"].endswith(queue)
    assert process.attributes["messaging.system"] == "aws_sqs"


async def test_a_message_of_another_program(sqs: SQS, stack):
    """Its attributes are headers, its trace header is a traceparent, its body is left alone."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint)
    client = transport.raw
    await client.send_message(
        QueueUrl=(await client.get_queue_url(QueueName=queue))["QueueUrl"],
        MessageBody="aGVsbG8=",
        MessageAttributes={
            "count": {"DataType": "Number.int", "StringValue": "42"},
            "label": {"DataType": "String.custom", "StringValue": "v"},
        },
        MessageSystemAttributes={
            "AWSTraceHeader": {
                "DataType": "String",
                "StringValue": "Root=1-0af76519-16cd43dd8448eb211c80319c;"
                "Parent=b7ad6b7169203331;Sampled=1",
            }
        },
    )
    receiver = await subscribed(stack, transport, queue)
    (arrival,) = await received(receiver, 1)
    assert (arrival.id, arrival.key, arrival.body) == (None, None, b"aGVsbG8=")
    assert dict(arrival.headers) == {"count": "42", "label": "v", "traceparent": TRACEPARENT}


async def test_another_program_reads_a_message(sqs: SQS, stack):
    """Text and headers are where it looks for them."""
    queue = sqs.create_queue(fifo=True)
    transport = await opened(stack, sqs.endpoint)
    await transport.send(queue, [Envelope("7", b'{"a":1}', "order-42", Headers({"tenant": "a"}))])
    client = transport.raw
    answer = await client.receive_message(
        QueueUrl=(await client.get_queue_url(QueueName=queue))["QueueUrl"],
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["MessageGroupId"],
    )
    (message,) = answer["Messages"]
    assert message["Body"] == '{"a":1}'
    assert message["MessageAttributes"]["tenant"]["StringValue"] == "a"
    assert message["Attributes"]["MessageGroupId"] == "order-42"


async def test_a_message_sent_on_leaves_nothing_behind(sqs: SQS):
    """Not the coding of its earlier body, nor the headers that were carried."""
    first, second = sqs.create_queue(), sqs.create_queue()
    async with (
        linkbus.Bus(SQSTransport(endpoint_url=sqs.endpoint, **OPTIONS)) as bus,
        bus.consumer(first) as one,
        bus.consumer(second) as other,
    ):
        await bus.producer(first).send(b"\xff", headers={"e": ""})
        (delivery,) = await one.receive(1, timeout=5.0)
        async with delivery:
            forwarded = Message(b"text", headers=delivery.headers, key="k")
            await bus.producer(second).send(forwarded)
        (delivery,) = await other.receive(1, timeout=5.0)
        async with delivery:
            assert (delivery.body, delivery.key) == (b"text", "k")
            assert delivery.headers["e"] == ""
