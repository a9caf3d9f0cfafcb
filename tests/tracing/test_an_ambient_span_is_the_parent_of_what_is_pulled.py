"""Shape 5: what is pulled inside a span belongs to it; what is pushed never does."""

import anyio
from flows import expect, facts, handle, nothing, only, process_next
from opentelemetry import context, trace


async def test_pulled(bus, app, spans):
    """A message pulled inside a span of the application is processed below it, and linked."""
    await bus.producer("orders").send(b"order")
    async with bus.consumer("orders") as consumer:
        with app.start_as_current_span("nightly job"):
            await process_next(consumer)
            assert trace.get_current_span().name == "nightly job"
    expect(
        spans,
        """
        A  send orders       PRODUCER
        B  nightly job       INTERNAL
             process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        """,
    )


async def test_pushed(bus, app, spans):
    """A handler's message has a trace of its own, whatever span the service started in."""
    await bus.producer("orders").send(b"order")
    with app.start_as_current_span("service"):
        await handle(bus.consumer("orders"), nothing)
    expect(
        spans,
        """
        A  send orders     PRODUCER
        B  service         INTERNAL
        C  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        """,
    )


async def test_a_handlers_batch(bus, app, spans):
    """A handler's batch has a trace of its own too."""
    done = anyio.Event()

    async def report(batch):
        done.set()

    async def run():
        await bus.consumer("orders").run_batches(report, max_messages=1, max_wait=0.0)

    await bus.producer("orders").send(b"order")
    with app.start_as_current_span("service"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await done.wait()
            tasks.cancel_scope.cancel()
    assert only(spans, "process orders").parent is None


async def test_a_consumer_that_was_entered_in_a_span(bus, app, spans):
    """The span in which a consumer was entered is no parent of what is processed outside of it."""
    consumer = bus.consumer("orders")
    with app.start_as_current_span("start"):
        await consumer.__aenter__()
    await bus.producer("orders").send(b"order")
    await process_next(consumer)
    await consumer.__aexit__(None, None, None)
    assert only(spans, "process orders").parent is None


async def test_messages_of_one_worker_do_not_see_each_other(bus, app, spans):
    """What a handler leaves current is not current for the next message of the same worker."""

    async def careless(delivery):
        assert trace.get_current_span().name == "process orders"
        with app.start_as_current_span("work") as work:
            pass
        context.attach(trace.set_span_in_context(work))

    for body in (b"1", b"2", b"3"):
        await bus.producer("orders").send(body)
    await handle(bus.consumer("orders"), careless, 3)
    processes = spans.named("process orders")
    assert [span.parent for span in processes] == [None] * 3
    assert {facts(span)["linkbus.outcome"] for span in processes} == {"ack"}
