"""Shape 6: every attempt has its own process span, linked to the one before it."""

from functools import partial

import anyio
import pytest
from flows import expect, facts, handle, ids, link_facts, linked, only, take
from opentelemetry.trace import StatusCode

import linkbus
from linkbus import Reject, Retry, RetryPolicy

AT_ONCE = RetryPolicy(max_attempts=3, initial_delay=0.0)


def failing(times, error=ValueError):
    """Return a handler that raises so many times, then is done."""
    calls = []

    async def handler(delivery):
        calls.append(delivery.attempt)
        if len(calls) <= times:
            raise error

    return handler


async def test_of_a_message_that_linkbus_holds(bus, spans):
    """Each attempt is a root, linked to the send span and to the attempt before."""
    await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders", retry=AT_ONCE), failing(2), 3)
    expect(
        spans,
        """
        A  send orders     PRODUCER
        B  process orders  CONSUMER  ERROR  {linkbus.outcome=retry}
                                     ⇢ A/send orders {linkbus.link.relation=producer}
        C  process orders  CONSUMER  ERROR  {linkbus.outcome=retry}
                                     ⇢ A/send orders {linkbus.link.relation=producer}
                                     ⇢ B/process orders {linkbus.link.relation=retry}
        D  process orders  CONSUMER  {linkbus.outcome=ack}
                                     ⇢ A/send orders {linkbus.link.relation=producer}
                                     ⇢ C/process orders {linkbus.link.relation=retry}
        """,
        attributes=["linkbus.outcome"],
        width=90,
    )
    processes = spans.named("process orders")
    assert [facts(span)["linkbus.delivery.attempt"] for span in processes] == [1, 2, 3]
    assert facts(processes[0])["error.type"] == "ValueError"
    assert [event.name for event in processes[0].events] == ["exception"]
    mirrors = {facts(span)["linkbus.link.span_id"] for span in processes}
    assert mirrors == {f"{only(spans, 'send orders').context.span_id:016x}"}


async def test_of_a_message_that_the_broker_gives_again(bus, spans):
    """A message that the broker gave again is not linked to an attempt that we do not know."""
    await bus.producer("orders").send(b"order")
    async with bus.consumer("orders") as consumer:
        for settle in ("release", "ack"):
            (delivery,) = await take(consumer, 1)
            async with delivery:
                await getattr(delivery, settle)()
    second = spans.named("process orders")[1]
    assert linked(second) == [ids(only(spans, "send orders"))]
    assert facts(second)["linkbus.delivery.attempt"] == 2


async def test_a_handler_that_asks_for_another_attempt(bus, spans):
    """`Retry` is an outcome of the span, and no error of it."""
    await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders", retry=AT_ONCE), failing(1, Retry(0.0)), 2)
    first = spans.named("process orders")[0]
    assert facts(first)["linkbus.outcome"] == "retry"
    assert first.status.status_code is StatusCode.UNSET
    assert first.events == ()


@pytest.mark.parametrize(
    ("error", "name", "events"),
    [(ValueError("secret"), "ValueError", 1), (Reject("secret"), "linkbus.Reject", 0)],
)
async def test_a_dead_letter(bus, spans, error, name, events):
    """The dead letter is sent below the attempt that failed, an error with an event or without."""
    await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders", dead_letter="orders.dead"), failing(1, error))
    expect(
        spans,
        """
        A  send orders         PRODUCER
        B  process orders      CONSUMER  ERROR  {linkbus.outcome=dead_letter}
                                         ⇢ A/send orders {linkbus.link.relation=producer}
             send orders.dead  PRODUCER
        """,
        attributes=["linkbus.outcome"],
    )
    process = only(spans, "process orders")
    assert facts(process)["error.type"] == name
    assert len(process.events) == events


async def test_a_message_that_nobody_can_take(bus, spans):
    """Where there is no place for it, the outcome is the release, with the error."""
    await bus.producer("orders").send(b"order")
    with pytest.raises(linkbus.DeliveryError):
        await bus.consumer("orders").run(failing(1))
    process = only(spans, "process orders")
    assert facts(process)["linkbus.outcome"] == "release"
    assert process.status.status_code is StatusCode.ERROR


async def test_a_batch(bus, spans):
    """A batch that is attempted again is linked to its attempt before; counts are on links."""
    done = anyio.Event()
    calls = []

    async def report(batch):
        calls.append(batch)
        if len(calls) == 1:
            raise ValueError
        done.set()

    await bus.producer("orders").send(b"1")
    await bus.producer("orders").send(b"2")
    consumer = bus.consumer("orders", retry=AT_ONCE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(consumer.run_batches, report, max_messages=2, max_wait=10.0))
        await done.wait()
        tasks.cancel_scope.cancel()
    first, second = spans.named("process orders")
    sends = [ids(span) for span in spans.named("send orders")]
    assert linked(first) == sends
    assert linked(second) == [*sends, ids(first)]
    assert [fact.get("linkbus.delivery.attempt") for fact in link_facts(second)] == [2, 2, None]
    assert link_facts(second)[-1] == {"linkbus.link.relation": "retry"}
    assert facts(second)["linkbus.link.count"] == 2
    assert len(facts(second)["linkbus.links"]) == 2


async def test_a_handler_that_is_cancelled(bus, spans):
    """A handler that is cancelled at the end of draining has the release as its outcome."""
    started = anyio.Event()

    async def endless(delivery):
        started.set()
        await anyio.sleep_forever()

    await bus.producer("orders").send(b"order")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.consumer("orders", drain_timeout=0.0).run, endless)
        await started.wait()
        tasks.cancel_scope.cancel()
    process = only(spans, "process orders")
    assert facts(process)["linkbus.outcome"] == "release"
    assert process.status.status_code is StatusCode.UNSET


async def test_the_span_ends_before_it_is_settled(bus, spans, transport):
    """When the transport is told, the process span has ended."""
    ended = []
    subscribe = transport.subscribe

    async def watched(*args, **options):
        receiver = await subscribe(*args, **options)
        settle = receiver.settle

        async def settled(settlements):
            ended.append(len(spans.named("process orders")))
            return await settle(settlements)

        receiver.settle = settled
        return receiver

    transport.subscribe = watched
    await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders"), failing(0))
    assert ended == [1]


async def test_asking_once_too_often(bus, spans):
    """`Retry` at the last attempt is no error of the span either."""
    await bus.producer("orders").send(b"order")
    handler = failing(9, Retry(0.0))
    consumer = bus.consumer("orders", dead_letter="orders.dead", retry=RetryPolicy(max_attempts=1))
    await handle(consumer, handler)
    process = only(spans, "process orders")
    assert facts(process)["linkbus.outcome"] == "dead_letter"
    assert process.status.status_code is StatusCode.UNSET
