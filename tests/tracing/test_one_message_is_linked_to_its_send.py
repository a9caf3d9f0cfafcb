"""Shape 1: one message, sent in one trace and processed in another that links to it."""

import anyio
import pytest
from flows import expect, facts, handle, ids, link_facts, linked, only, process_next, take
from opentelemetry import trace
from opentelemetry.trace import StatusCode

import linkbus


async def send_in_request(bus, app, **options):
    """Send an order in a request of the application."""
    with app.start_as_current_span("GET /order"):
        return await bus.producer("orders").send(b"order", **options)


LINKED = """
A  GET /order      INTERNAL
     send orders   PRODUCER
B  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
     bill          INTERNAL
"""


async def test_pulled(bus, app, spans):
    """A pulled message is processed in a trace of its own, with what the block does below."""
    async with bus.consumer("orders") as consumer:
        await send_in_request(bus, app)
        async for delivery in consumer:
            async with delivery:
                with app.start_as_current_span("bill"):
                    assert delivery.body == b"order"
            break
    expect(spans, LINKED)


async def test_pushed(bus, app, spans):
    """A handler's message is processed in a trace of its own, with what it does below."""

    async def bill(delivery):
        with app.start_as_current_span("bill"):
            assert delivery.body == b"order"

    await send_in_request(bus, app)
    await handle(bus.consumer("orders"), bill)
    expect(spans, LINKED)


async def test_attributes_of_the_send_span(bus, app, spans):
    """The send span has the conventions' attributes, and none of the message's content."""
    result = await send_in_request(bus, app, key="secret", headers={"tenant": "secret"})
    assert facts(only(spans, "send orders")) == {
        "messaging.system": "memory",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "orders",
        "messaging.message.id": result.id,
        "messaging.message.body.size": 5,
    }


async def test_attributes_of_the_process_span(bus, app, spans):
    """The process span has the conventions' attributes, the outcome, and no content."""
    result = await send_in_request(bus, app, key="secret", headers={"tenant": "secret"})
    async with bus.consumer("orders", group="billing") as consumer:
        await process_next(consumer)
    send, process = only(spans, "send orders"), only(spans, "process orders")
    found = facts(process)
    wait = found.pop("linkbus.queue.wait_ms")
    assert isinstance(wait, float)
    assert 0 <= wait < 20_000
    assert found == {
        "messaging.system": "memory",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "orders",
        "messaging.consumer.group.name": "billing",
        "messaging.message.id": result.id,
        "messaging.message.body.size": 5,
        "linkbus.delivery.attempt": 1,
        "linkbus.outcome": "ack",
        "linkbus.link.trace_id": f"{send.context.trace_id:032x}",
        "linkbus.link.span_id": f"{send.context.span_id:016x}",
    }
    assert link_facts(process) == [
        {"messaging.message.id": result.id, "linkbus.link.relation": "producer"}
    ]
    assert process.instrumentation_scope.name == "linkbus"
    assert process.instrumentation_scope.schema_url.startswith("https://opentelemetry.io/schemas/")


async def test_the_send_span_is_open_until_the_broker_confirms(bus, app, spans, transport):
    """While the broker has not confirmed the message, its send span has not ended."""
    asked, answered = anyio.Event(), anyio.Event()
    send = transport.send

    async def slow(destination, batch):
        asked.set()
        await answered.wait()
        return await send(destination, batch)

    transport.send = slow
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.producer("orders").send, b"order")
        await asked.wait()
        assert [span.name for span in spans.open] == ["send orders"]
        answered.set()
    assert [span.name for span in spans.finished] == ["send orders"]


async def test_a_send_that_fails_is_an_error_of_its_span(bus, spans, transport):
    """What the broker does not confirm is an error of the send span, with its type."""

    async def broken(destination, batch):
        raise linkbus.TransportError

    transport.send = broken
    with pytest.raises(linkbus.SendError):
        await bus.producer("orders").send(b"order")
    send = only(spans, "send orders")
    assert send.status.status_code is StatusCode.ERROR
    assert facts(send)["error.type"] == "linkbus.TransportError"


async def test_a_send_that_is_cancelled_ends_its_span(bus, spans, transport):
    """Cancelling a send ends its span, with the cancellation as its error type."""
    asked = anyio.Event()

    async def silent(destination, batch):
        asked.set()
        await anyio.sleep_forever()

    transport.send = silent
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.producer("orders").send, b"order")
        await asked.wait()
        tasks.cancel_scope.cancel()
    assert facts(only(spans, "send orders"))["error.type"].endswith("CancelledError")


async def test_nothing_is_processed_by_iteration_alone(bus, app, spans):
    """Taking deliveries opens no span; leaving the loop leaves none current."""
    async with bus.consumer("orders") as consumer:
        for _ in range(3):
            await bus.producer("orders").send(b"order")
        await take(consumer, 2)
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert {span.name for span in spans.finished} == {"send orders"}
    assert spans.open == []


async def test_leaving_the_loop_inside_the_block(bus, app, spans):
    """A `break` inside the block ends the process span, and leaves none current."""
    await send_in_request(bus, app)
    async with bus.consumer("orders") as consumer:
        async for delivery in consumer:
            async with delivery:
                break
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert facts(only(spans, "process orders"))["linkbus.outcome"] == "ack"


async def test_an_exception_in_the_block(bus, app, spans):
    """An exception that leaves the block is an error of the span, and the release its outcome."""
    await send_in_request(bus, app)
    async with bus.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        with pytest.raises(LookupError):
            async with delivery:
                raise LookupError
        assert trace.get_current_span() is trace.INVALID_SPAN
    process = only(spans, "process orders")
    assert process.status.status_code is StatusCode.ERROR
    assert facts(process)["error.type"] == "LookupError"
    assert facts(process)["linkbus.outcome"] == "release"
    assert [event.name for event in process.events] == ["exception"]


async def test_cancellation_in_the_block(bus, app, spans):
    """Cancellation is an outcome of the span and not an error of it."""
    await send_in_request(bus, app)
    async with bus.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        with anyio.CancelScope() as scope:
            async with delivery:
                scope.cancel()
                await anyio.sleep_forever()
    process = only(spans, "process orders")
    assert process.status.status_code is StatusCode.UNSET
    assert process.events == ()
    assert facts(process)["linkbus.outcome"] == "release"
    assert "error.type" not in facts(process)


@pytest.mark.parametrize("outcome", ["ack", "release"])
async def test_settling_by_hand_in_the_block(bus, app, spans, outcome):
    """What the block settles by hand is the outcome of its span; settling has no span."""
    await send_in_request(bus, app)
    async with bus.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        async with delivery:
            await getattr(delivery, outcome)()
    assert facts(only(spans, "process orders"))["linkbus.outcome"] == outcome
    assert spans.named("settle orders") == []


@pytest.mark.parametrize("settle", ["ack", "release"])
async def test_settled_outside_a_block(bus, app, spans, settle):
    """A delivery settled without a block gets a settle span, and no process span is invented."""
    result = await send_in_request(bus, app)
    async with bus.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        await getattr(delivery, settle)()
    expect(
        spans,
        """
        A  GET /order     INTERNAL
             send orders  PRODUCER
        B  settle orders  CLIENT    ⇢ A/send orders
        """,
    )
    found = facts(only(spans, "settle orders"))
    assert found["messaging.operation.type"] == "settle"
    assert found["messaging.message.id"] == result.id


async def test_a_message_is_linked_by_every_one_who_processes_it(bus, app, spans):
    """A message that is given again is linked to the same send span."""
    await send_in_request(bus, app)
    async with bus.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        async with delivery:
            await delivery.release()
        await process_next(consumer)
    first, second = spans.named("process orders")
    send = ids(only(spans, "send orders"))
    assert linked(first) == linked(second) == [send]
    assert first.context.trace_id != second.context.trace_id
    assert facts(second)["linkbus.delivery.attempt"] == 2
