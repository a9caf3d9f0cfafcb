"""Shape 2: a batch is sent with a creation context for every message."""

import pytest
from flows import expect, facts, ids, link_facts, linked, only, parent, process_next
from opentelemetry.trace import StatusCode

import linkbus
from linkbus import Message, SendResult, SendStatus
from linkbus.transports.memory import MemoryTransport


class Picky(MemoryTransport):
    """Does not take what is called "bad", and cannot tell of what is called "lost"."""

    async def send(self, destination, batch):
        results = await super().send(destination, batch)
        answers = {
            b"bad": SendResult(SendStatus.FAILED, error=linkbus.TransportError("no")),
            b"lost": SendResult(SendStatus.UNKNOWN),
        }
        return [
            answers.get(envelope.body, result)
            for envelope, result in zip(batch, results, strict=True)
        ]


@pytest.fixture
def transport():
    """Give a transport that does not take everything."""
    return Picky()


async def test_in_a_request(bus, app, spans):
    """Each message has a create span beside the one send span, which links to all of them."""
    with app.start_as_current_span("GET /order"):
        await bus.producer("orders").send_batch([Message(b"1"), Message(b"2")])
    expect(
        spans,
        """
        A  GET /order          INTERNAL
             create orders #1  PRODUCER
             create orders #2  PRODUCER
             send orders       CLIENT    ⇢ A/create orders #1  ⇢ A/create orders #2
        """,
    )
    creates, send = spans.named("create orders"), only(spans, "send orders")
    assert all(create.end_time <= send.start_time for create in creates)


async def test_outside_of_any_span(bus, spans):
    """Without an ambient span each create span, and the send span, is a root."""
    await bus.producer("orders").send_batch([Message(b"1"), Message(b"2")])
    assert [parent(span) for span in spans.finished] == [None, None, None]
    assert len({span.context.trace_id for span in spans.finished}) == 3


async def test_attributes(bus, spans):
    """Create spans tell of one message each, the send span of their number."""
    first, second = await bus.producer("orders").send_batch([Message(b"1"), Message(b"22")])
    base = {"messaging.system": "memory", "messaging.destination.name": "orders"}
    create = base | {"messaging.operation.name": "create", "messaging.operation.type": "create"}
    assert [facts(span) for span in spans.named("create orders")] == [
        create | {"messaging.message.id": first.id, "messaging.message.body.size": 1},
        create | {"messaging.message.id": second.id, "messaging.message.body.size": 2},
    ]
    send = facts(only(spans, "send orders"))
    assert len(send.pop("linkbus.links")) == 2
    assert send == base | {
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 2,
        "linkbus.link.count": 2,
    }
    assert link_facts(only(spans, "send orders")) == [
        {"messaging.message.id": first.id},
        {"messaging.message.id": second.id},
    ]


async def test_a_batch_of_one(bus, spans):
    """A batch of one message has a create span, and a send span that counts one."""
    await bus.producer("orders").send_batch([Message(b"1")])
    expect(
        spans,
        """
        A  create orders  PRODUCER
        B  send orders    CLIENT    {messaging.batch.message_count=1}  ⇢ A/create orders
        """,
        attributes=["messaging.batch.*"],
    )


async def test_an_empty_batch(bus, spans):
    """An empty list makes no span."""
    assert await bus.producer("orders").send_batch([]) == []
    assert spans.finished == []


async def test_each_message_is_linked_to_its_own_create_span(bus, spans):
    """The context in each message is that of its own create span."""
    async with bus.consumer("orders") as consumer:
        await bus.producer("orders").send_batch([Message(b"1"), Message(b"2")])
        for _ in range(2):
            await process_next(consumer)
    creates = [[ids(span)] for span in spans.named("create orders")]
    assert [linked(span) for span in spans.named("process orders")] == creates


async def test_without_create_spans(bus, spans):
    """Without create spans the one send span is in every message."""
    async with bus.consumer("orders") as consumer:
        await bus.producer("orders", create_spans=False).send_batch([Message(b"1"), Message(b"2")])
        for _ in range(2):
            await process_next(consumer)
    expect(
        spans,
        """
        A  send orders     PRODUCER
        B  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        C  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        """,
    )


@pytest.mark.parametrize(("create_spans", "kind"), [(True, "CLIENT"), (False, "PRODUCER")])
async def test_beside_messages_that_were_created_early(bus, app, spans, create_spans, kind):
    """A message made by `create` keeps its context; only the others need one."""
    producer = bus.producer("orders", create_spans=create_spans)
    with app.start_as_current_span("GET /order"):
        early = producer.create(b"early")
    (created,) = spans.named("create orders")
    await producer.send_batch([early, Message(b"late")])
    send = only(spans, "send orders")
    assert send.kind.name == kind
    assert len(spans.named("create orders")) == (2 if create_spans else 1)
    assert linked(send) == [ids(span) for span in spans.named("create orders")]
    async with bus.consumer("orders") as consumer:
        first, second = await process_next(consumer), await process_next(consumer)
    assert (first.body, second.body) == (b"early", b"late")
    sources = [linked(span)[0] for span in spans.named("process orders")]
    assert sources == [
        ids(created),
        ids(spans.named("create orders")[-1] if create_spans else send),
    ]


async def test_a_batch_wholly_created_early_without_create_spans(bus, spans):
    """A send that made no context at all is a CLIENT, though it may make no create spans."""
    producer = bus.producer("orders", create_spans=False)
    await producer.send_batch([producer.create(b"1"), producer.create(b"2")])
    send = only(spans, "send orders")
    assert send.kind.name == "CLIENT"
    assert linked(send) == [ids(span) for span in spans.named("create orders")]


async def test_one_message_twice(bus, spans):
    """A message that is in a batch twice is linked once, with how often it is there."""
    producer = bus.producer("orders")
    early = producer.create(b"1")
    await producer.send_batch([early, early])
    assert link_facts(only(spans, "send orders")) == [{"linkbus.link.messages": 2}]


@pytest.mark.parametrize(
    ("body", "reason"), [(b"bad", "linkbus.TransportError"), (b"lost", "UNKNOWN")]
)
async def test_a_message_that_is_not_confirmed(bus, spans, body, reason):
    """What is FAILED or UNKNOWN is an error of the send span, with the type of the first."""
    results = await bus.producer("orders").send_batch([Message(b"1"), Message(body)])
    assert [result.status is SendStatus.SENT for result in results] == [True, False]
    send = only(spans, "send orders")
    assert send.status.status_code is StatusCode.ERROR
    assert facts(send)["error.type"].lower() == reason.lower()


async def test_a_message_that_cannot_be_sent(bus, spans):
    """A message that is refused before is an error of the send span, and has no create span."""
    too_big = Message(b"x" * (bus.transport.capabilities.max_message_bytes + 1))
    results = await bus.producer("orders").send_batch([too_big, Message(b"1")])
    assert [result.status for result in results] == [SendStatus.FAILED, SendStatus.SENT]
    assert len(spans.named("create orders")) == 1
    send = only(spans, "send orders")
    assert send.status.status_code is StatusCode.ERROR
    assert facts(send)["error.type"] == "linkbus.MessageError"
    assert len(send.links) == 1


async def test_a_transport_that_fails(bus, spans, transport):
    """A batch that a defect ends is an error of its span."""

    async def broken(destination, batch):
        raise LookupError

    transport.send = broken
    with pytest.raises(LookupError):
        await bus.producer("orders").send_batch([Message(b"1")])
    assert facts(only(spans, "send orders"))["error.type"] == "LookupError"
