"""Shape 3: a batch is processed in one span, linked to every message in it."""

from functools import partial

import anyio
import pytest
from flows import (
    TRACEPARENT,
    TRACEPARENT_IDS,
    expect,
    facts,
    ids,
    link_facts,
    linked,
    next_batch,
    only,
    process_batch,
    send_raw,
)
from opentelemetry.trace import StatusCode

from linkbus import Message


async def test_messages_of_several_requests(bus, app, spans):
    """One process span in a trace of its own links to every send span."""
    async with bus.consumer("orders") as consumer:
        for number in (1, 2):
            with app.start_as_current_span(f"POST /order/{number}"):
                await bus.producer("orders").send(b"order")
        async with await next_batch(consumer, 2):
            with app.start_as_current_span("report"):
                pass
    expect(
        spans,
        """
        A  POST /order/1   INTERNAL
             send orders   PRODUCER
        B  POST /order/2   INTERNAL
             send orders   PRODUCER
        C  process orders  CONSUMER  ⇢ A/send orders  ⇢ B/send orders
             report        INTERNAL
        """,
    )


async def test_pushed(bus, spans):
    """A handler's batch has one process span in a trace of its own."""
    done = anyio.Event()

    async def report(batch):
        assert [delivery.body for delivery in batch] == [b"1", b"2"]
        done.set()

    await bus.producer("orders").send(b"1")
    await bus.producer("orders").send(b"2")
    async with anyio.create_task_group() as tasks:
        consumer = bus.consumer("orders")
        run = partial(consumer.run_batches, report, max_messages=2, max_wait=10.0)
        tasks.start_soon(run)
        await done.wait()
        tasks.cancel_scope.cancel()
    expect(
        spans,
        """
        A  send orders     PRODUCER
        B  send orders     PRODUCER
        C  process orders  CONSUMER  ⇢ A/send orders  ⇢ B/send orders
        """,
    )


async def test_below_an_ambient_span(bus, app, spans):
    """A batch pulled in a span of the application is processed below it."""
    async with bus.consumer("orders") as consumer:
        await bus.producer("orders").send(b"1")
        with app.start_as_current_span("nightly job"):
            await process_batch(consumer, 1)
    expect(
        spans,
        """
        A  send orders       PRODUCER
        B  nightly job       INTERNAL
             process orders  CONSUMER  ⇢ A/send orders
        """,
    )


async def test_attributes(bus, spans):
    """The span tells what all messages share, each link what is about its own message."""
    async with bus.consumer("orders", group="nightly") as consumer:
        sent = await bus.producer("orders").send_batch([Message(b"1"), Message(b"22")])
        await process_batch(consumer, 2)
    found = facts(only(spans, "process orders"))
    waits = [found.pop("linkbus.queue.wait_min_ms"), found.pop("linkbus.queue.wait_max_ms")]
    assert 0 <= waits[0] <= waits[1] < 20_000
    creates = [ids(span) for span in spans.named("create orders")]
    assert found == {
        "messaging.system": "memory",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "orders",
        "messaging.consumer.group.name": "nightly",
        "messaging.batch.message_count": 2,
        "linkbus.link.count": 2,
        "linkbus.link.missing": 0,
        "linkbus.link.invalid": 0,
        "linkbus.links": tuple(f"{trace:032x}-{span:016x}" for trace, span in creates),
        "linkbus.outcome": "ack",
    }
    assert link_facts(only(spans, "process orders")) == [
        {"messaging.message.id": result.id, "linkbus.delivery.attempt": 1} for result in sent
    ]


async def test_messages_of_one_creation_context(bus, spans):
    """Messages of one creation context share one link, which says how many they are."""
    producer = bus.producer("orders", create_spans=False)
    async with bus.consumer("orders") as consumer:
        await producer.send_batch([Message(b"%d" % number) for number in range(3)])
        single = await producer.send(b"single")
        await process_batch(consumer, 4)
    process = only(spans, "process orders")
    assert linked(process) == [ids(span) for span in spans.named("send orders")]
    assert link_facts(process) == [
        {"linkbus.link.messages": 3},
        {"messaging.message.id": single.id, "linkbus.delivery.attempt": 1},
    ]
    assert facts(process)["linkbus.link.count"] == 2


async def test_a_batch_of_one(bus, spans):
    """A batch of one message is a batch: it counts, and has the mirror of a single link."""
    async with bus.consumer("orders") as consumer:
        await bus.producer("orders").send(b"1")
        await process_batch(consumer, 1)
    found = facts(only(spans, "process orders"))
    assert found["messaging.batch.message_count"] == 1
    assert found["linkbus.link.count"] == 1
    assert found["linkbus.link.span_id"] == f"{only(spans, 'send orders').context.span_id:016x}"
    assert "linkbus.links" not in found


async def test_foreign_messages_beside_our_own(bus, spans, transport):
    """Whoever sent a message: it is linked, or counted as missing or invalid."""
    async with bus.consumer("orders") as consumer:
        await bus.producer("orders").send(b"ours")
        await send_raw(transport.broker, b"linked", {"traceparent": TRACEPARENT})
        await send_raw(transport.broker, b"none", {})
        await send_raw(transport.broker, b"none", {"tenant": "a"})
        await send_raw(transport.broker, b"broken", {"traceparent": "00-broken"})
        await process_batch(consumer, 5)
    process = only(spans, "process orders")
    assert linked(process) == [ids(only(spans, "send orders")), TRACEPARENT_IDS]
    counts = [facts(process)[f"linkbus.link.{name}"] for name in ("count", "missing", "invalid")]
    assert counts == [2, 2, 1]


async def ack_one_and_fail(batch):
    """Acknowledge the first of a batch, and raise."""
    async with batch:
        await batch[0].ack()
        raise LookupError


async def test_a_batch_that_fails(bus, spans):
    """An exception is an error of the batch's span; what was settled before makes it mixed."""
    async with bus.consumer("orders") as consumer:
        await bus.producer("orders").send_batch([Message(b"1"), Message(b"2")])
        batch = await next_batch(consumer, 2)
        with pytest.raises(LookupError):
            await ack_one_and_fail(batch)
    process = only(spans, "process orders")
    assert process.status.status_code is StatusCode.ERROR
    assert facts(process)["linkbus.outcome"] == "mixed"
    assert spans.named("settle orders") == []
