"""Tracing: the shapes that hold on every broker, through linkbus's public names."""

from __future__ import annotations

import anyio

import linkbus
from linkbus.testing._check import check
from linkbus.testing._recorder import SpanRecorder
from linkbus.testing._traced import (
    application,
    expect_tree,
    ids,
    linked,
    process_next,
    the_span,
    traced,
)
from linkbus.testing._trial import Trial


@check()
async def bare_transport(trial: Trial) -> None:
    """A transport used without a bus emits no span, in a span of the application neither."""
    with SpanRecorder() as spans:
        async with application(spans, "application"):
            destination = trial.new_destination()
            receiver = await trial.subscribe(destination)
            await trial.send_bodies(destination, b"1", b"2")
            await trial.release(receiver, await trial.receive_one(receiver))
            await trial.consume(receiver, 2)
            await trial.leave(receiver)
    names = [span.name for span in (*spans.finished, *spans.open)]
    assert names == ["application"], f"the transport made spans of its own: {names[:-1]}"


@check()
async def one_message(trial: Trial) -> None:
    """A message is processed in a trace of its own, linked to the span that sent it."""
    destination = trial.new_destination()
    async with traced(trial) as (bus, spans), bus.consumer(destination) as consumer:
        async with application(spans, "GET /order"):
            await bus.producer(destination).send(b"-")
        async for delivery in consumer:
            async with delivery, application(spans, "work"):
                pass
            break
    expect_tree(
        spans,
        destination,
        """
        A  GET /order      INTERNAL
             send orders   PRODUCER
        B  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
             work          INTERNAL
        """,
    )


@check()
async def batch_sent(trial: Trial) -> None:
    """Each message of a batch that was sent is linked to its own create span."""
    destination = trial.new_destination()
    bodies = {b"%d" % number for number in range(5)}
    async with traced(trial) as (bus, spans), bus.consumer(destination) as consumer:
        messages = [linkbus.Message(body, headers={"n": body}) for body in sorted(bodies)]
        await bus.producer(destination).send_batch(messages)
        creates = ids(spans.named(f"create {destination}"))
        processed = {(await process_next(consumer)).body for _ in bodies}
        processes = spans.named(f"process {destination}")
    assert processed == bodies, f"processed were {sorted(processed)}"
    targets = sorted(target for span in processes for target in linked(span))
    assert targets == sorted(creates), f"five creates, and the links are:\n{spans.tree()}"


@check()
async def batch_processed(trial: Trial) -> None:
    """A batch is processed in one span, linked to the span that sent each of its messages."""
    destination = trial.new_destination()
    async with traced(trial) as (bus, spans), bus.consumer(destination) as consumer:
        for number in range(3):
            async with application(spans, f"request {number}"):
                await bus.producer(destination).send(b"%d" % number)
        async for batch in consumer.batches(max_messages=3, max_wait=5.0):
            async with batch:
                pass
            break
    process = the_span(spans, f"process {destination}")
    assert process.parent is None, f"it is no root:\n{spans.tree()}"
    sends = ids(spans.named(f"send {destination}"))
    same = sorted(linked(process)) == sorted(sends)
    assert same, f"three messages came from three sends, and the links are:\n{spans.tree()}"
    facts = process.attributes or {}
    counts = facts.get("messaging.batch.message_count"), facts.get("linkbus.link.count")
    assert counts == (3, 3), f"three messages and three links were counted as {counts}"


@check()
async def batch_with_a_stranger(trial: Trial) -> None:
    """A batch counts the message that brings no context, and links the others."""
    destination = trial.new_destination()
    async with traced(trial) as (bus, spans), bus.consumer(destination) as consumer:
        await bus.producer(destination).send(b"linked")
        await trial.send_bodies(destination, b"stranger")
        async for batch in consumer.batches(max_messages=2, max_wait=5.0):
            async with batch:
                pass
            break
    process = the_span(spans, f"process {destination}")
    facts = process.attributes or {}
    counts = facts.get("linkbus.link.count"), facts.get("linkbus.link.missing")
    assert counts == (1, 1), f"links and messages without a context were counted as {counts}"
    spans.assert_linked(process, f"send {destination}")


@check()
async def pulled_in_a_span(trial: Trial) -> None:
    """A message pulled in a span of the application is processed below it, and linked."""
    destination = trial.new_destination()
    async with traced(trial) as (bus, spans), bus.consumer(destination) as consumer:
        await bus.producer(destination).send(b"-")
        async with application(spans, "nightly job"):
            await process_next(consumer)
    expect_tree(
        spans,
        destination,
        """
        A  send orders       PRODUCER
        B  nightly job       INTERNAL
             process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        """,
    )


@check()
async def pushed_in_a_span(trial: Trial) -> None:
    """A handler's message has a trace of its own, whatever span the service started in."""
    destination = trial.new_destination()
    handled = anyio.Event()

    async def handle(delivery: linkbus.Delivery) -> None:
        assert delivery.body == b"-", f"{delivery.body!r} came"
        handled.set()

    async with traced(trial) as (bus, spans):
        await trial.leave(await trial.subscribe(destination))
        await bus.producer(destination).send(b"-")
        async with application(spans, "service"), anyio.create_task_group() as tasks:
            tasks.start_soon(bus.consumer(destination).run, handle)
            await handled.wait()
            tasks.cancel_scope.cancel()
    expect_tree(
        spans,
        destination,
        """
        A  send orders     PRODUCER
        B  service         INTERNAL
        C  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        """,
    )


@check()
async def forwarded(trial: Trial) -> None:
    """A message that is sent on with all its headers leaves with one context, the new one."""
    first, second = trial.new_destination(), trial.new_destination()
    receiver = await trial.subscribe(second)
    async with traced(trial) as (bus, spans), bus.consumer(first) as consumer:
        await bus.producer(first).send(b"-", headers={"tenant": "a"})
        async for delivery in consumer:
            async with delivery:
                await bus.producer(second).send(delivery.body, headers=delivery.headers)
            break
    (arrival,) = await trial.consume(receiver, 1)
    parents = [value for name, value in arrival.headers.items() if name.lower() == "traceparent"]
    assert len(parents) == 1, f"it left with {len(parents)} traceparent headers"
    context = the_span(spans, f"send {second}").context
    mine = context is not None and f"{context.span_id:016x}" in parents[0]
    assert mine, f"the context is not that of the second send: {parents[0]}\n{spans.tree()}"


@check("groups")
async def two_groups(trial: Trial) -> None:
    """Two groups process one message in two traces, both linked to the span that sent it."""
    destination = trial.new_destination()
    async with (
        traced(trial) as (bus, spans),
        bus.consumer(destination, group="billing") as billing,
        bus.consumer(destination, group="shipping") as shipping,
    ):
        await bus.producer(destination).send(b"-")
        for consumer in (billing, shipping):
            await process_next(consumer)
    expect_tree(
        spans,
        destination,
        """
        A  send orders     PRODUCER
        B  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        C  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
        """,
    )


@check()
async def given_again(trial: Trial) -> None:
    """A message that is released and given again has a second process span, linked alike."""
    destination = trial.new_destination()
    async with traced(trial) as (bus, spans), bus.consumer(destination) as consumer:
        await bus.producer(destination).send(b"-")
        async for delivery in consumer:
            async with delivery:
                await delivery.release()
            break
        await process_next(consumer)
    processes = spans.named(f"process {destination}")
    assert len(processes) == 2, f"two attempts, and the spans are:\n{spans.tree()}"  # noqa: PLR2004
    spans.assert_linked(f"process {destination}", f"send {destination}")
    traces = {span.context.trace_id for span in processes if span.context}
    assert len(traces) == 2, f"the attempts share a trace:\n{spans.tree()}"  # noqa: PLR2004
