"""Shape 13: nothing else makes spans of what a transport does, and the application's code may."""

import asyncio

import anyio
import pytest
from flows import expect, handle, ids, only, process_batch, process_next, take
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.propagators.aws import AwsXRayPropagator
from opentelemetry.trace import NoOpTracerProvider

from linkbus import Bus, Message, RetryPolicy, SendError, Tracing, TransportError
from linkbus.abc import Receiver
from linkbus.transports.memory import MemoryBroker, MemoryTransport

ALL_CALLS = {"open", "send", "subscribe", "receive", "settle", "extend", "leave", "aclose"}


def seen():
    """Return what instrumentation finds: whether it is wanted, the span, and the baggage."""
    span = trace.get_current_span().get_span_context()
    return is_instrumentation_enabled(), (span.trace_id, span.span_id), dict(baggage.get_all())


NOTHING = (False, (0, 0), {})
"""What a transport sees of the application."""


class Watched(MemoryTransport):
    """Looks around in each call, in a task that the call leaves behind, and in a callback.

    Attributes:
        seen: What was seen, by the name of the call.
        failing: What `send` raises.
        reached: Set when `send` is called.
        extended: Set when a lease is extended.
        blocked: Waited for by `send`.
    """

    def __init__(self, *, lease=30.0):
        super().__init__(MemoryBroker(lease=lease))
        self.seen = {}
        self.failing = None
        self.reached = anyio.Event()
        self.extended = anyio.Event()
        self.blocked = anyio.Event()
        self.blocked.set()
        self._tasks = set()

    def look(self, call):
        self.seen.setdefault(call, set()).add(str(seen()))
        task = asyncio.create_task(self._look_later(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_later(self, call):
        await asyncio.sleep(0)
        self.seen[call].add(str(seen()))
        asyncio.get_running_loop().call_soon(lambda: self.seen[call].add(str(seen())))

    async def open(self):
        self.look("open")
        await super().open()

    async def send(self, destination, batch):
        self.look("send")
        self.reached.set()
        await self.blocked.wait()
        if self.failing is not None:
            raise self.failing
        return await super().send(destination, batch)

    async def subscribe(self, source, group, *, prefetch, lost):
        self.look("subscribe")
        receiver = await super().subscribe(source, group, prefetch=prefetch, lost=lost)
        return WatchedReceiver(self, receiver)

    async def aclose(self):
        self.look("aclose")
        await super().aclose()


class WatchedReceiver(Receiver):
    """The same, for what was subscribed."""

    def __init__(self, transport, receiver):
        self._look = transport.look
        self._extended = transport.extended
        self._receiver = receiver

    async def receive(self, max_messages, wait):
        self._look("receive")
        return await self._receiver.receive(max_messages, wait)

    async def settle(self, settlements):
        self._look("settle")
        return await self._receiver.settle(settlements)

    async def extend(self, arrivals, seconds):
        self._look("extend")
        self._extended.set()
        return await self._receiver.extend(arrivals, seconds)

    async def aclose(self):
        self._look("leave")
        await self._receiver.aclose()


@pytest.fixture
def transport():
    """Give the transport of `bus`: one that looks around."""
    return Watched()


@pytest.fixture
def application(app):
    """Make a span and baggage of the application current; return what is seen of them."""
    token = context.attach(baggage.set_baggage("tenant", "a"))
    with app.start_as_current_span("GET /order") as span:
        yield True, ids(span), {"tenant": "a"}
    context.detach(token)


def check(transport, calls):
    """Check that these calls were made, and that none of them saw anything."""
    assert {call: seen for call, seen in transport.seen.items() if seen != {str(NOTHING)}} == {}
    assert set(transport.seen) == set(calls)


async def test_pulling(provider, spans, application):
    """Whatever the core calls in the pull styles, and its tasks, see nothing; the caller does."""
    transport = Watched(lease=1.0)
    extra = frozenset({"receive", "settle"})
    async with Bus(transport, tracing=Tracing(tracer_provider=provider, spans=extra)) as bus:
        orders = bus.producer("orders")
        async with bus.consumer("orders") as consumer:
            for _ in range(3):
                await orders.send(b"order")
                assert seen() == application
            await orders.send_batch([Message(b"order"), Message(b"order")])
            deliveries = await take(consumer, 2)
            assert seen() == application
            await transport.extended.wait()
            await deliveries[0].ack()
            await deliveries[1].release()
            assert seen() == application
            await process_batch(consumer, 2)
            assert seen() == application
        assert seen() == application
    assert seen() == application
    check(transport, ALL_CALLS)


async def test_pushing(bus, spans, transport, application):
    """In the push styles neither; and the handler has its own span, and instrumentation."""
    handled = []

    async def handler(delivery):
        handled.append(seen())
        await bus.producer("next").send(delivery.body)
        handled.append(seen())

    await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders", concurrency=2), handler)
    process = (True, ids(only(spans, "process orders")), {"tenant": "a"})
    assert handled == [process, process]
    assert seen() == application
    check(transport, ALL_CALLS - {"extend", "aclose"})


async def test_in_a_block(bus, spans, application):
    """Inside `async with delivery` its span is current, and instrumentation is on."""
    await bus.producer("orders").send(b"order")
    async with bus.consumer("orders") as consumer:
        async with (await take(consumer, 1))[0]:
            inside = seen()
        assert seen() == application
    assert inside == (True, ids(only(spans, "process orders")), {"tenant": "a"})


async def test_every_attempt(bus, spans, transport, application):
    """So it is in each attempt of a handler, and what goes to the dead letters is no exception."""
    attempts = []

    async def handler(delivery):
        attempts.append(seen())
        raise ValueError

    policy = RetryPolicy(max_attempts=3, initial_delay=0.0, jitter=0.0)
    await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders", retry=policy, dead_letter="dead"), handler, 3)
    assert attempts == [(True, ids(one), {"tenant": "a"}) for one in spans.named("process orders")]
    assert len(spans.named("send dead")) == 1
    check(transport, ALL_CALLS - {"extend", "aclose"})


async def test_in_the_handler_of_a_batch(bus, spans, transport, application):
    """And in the handler of a batch, whose messages' baggage is not current."""
    done = anyio.Event()
    inside = []

    async def handler(batch):
        inside.append(seen())
        done.set()

    await bus.producer("orders").send_batch([Message(b"1"), Message(b"2")])
    async with anyio.create_task_group() as tasks:
        consumer = bus.consumer("orders")
        tasks.start_soon(lambda: consumer.run_batches(handler, max_messages=2, max_wait=10.0))
        await done.wait()
        tasks.cancel_scope.cancel()
    assert inside == [(True, ids(only(spans, "process orders")), {})]
    check(transport, ALL_CALLS - {"extend", "aclose"})


async def test_after_a_failure(bus, transport, application):
    """A send that fails leaves the application as it was."""
    transport.failing = TransportError("refused")
    with pytest.raises(SendError):
        await bus.producer("orders").send(b"order")
    assert seen() == application
    check(transport, {"open", "send"})


async def test_after_a_cancellation(bus, transport, application):
    """So does one that is cancelled."""
    transport.blocked = anyio.Event()
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:

            async def cancel():
                await transport.reached.wait()
                scope.cancel()

            tasks.start_soon(cancel)
            await bus.producer("orders").send(b"order")
        assert scope.cancelled_caught
        assert seen() == application
    check(transport, {"open", "send"})


async def test_a_second_context_that_would_leave(bus, transport, application):
    """The instrumentation of botocore, which writes X-Ray's header unasked, finds no span."""
    injected = []

    async def send(destination, batch):
        headers = {}
        AwsXRayPropagator().inject(headers)
        injected.append(headers)
        return await MemoryTransport.send(transport, destination, batch)

    transport.send = send
    await bus.producer("orders").send(b"order")
    assert injected == [{}]


async def test_where_linkbus_records_nothing(application):
    """A bus that makes no spans leaves those of others to whoever makes them."""
    transport = Watched()
    silent = Tracing(tracer_provider=NoOpTracerProvider())
    async with Bus(transport, tracing=silent) as bus, bus.consumer("orders") as consumer:
        await bus.producer("orders").send(b"order")
        await process_next(consumer)
    assert transport.seen["send"] == transport.seen["settle"] == {str(application)}


def test_on_trio(provider):
    """On another event loop it is the same."""
    looks = []

    class Looking(MemoryTransport):
        async def send(self, destination, batch):
            looks.append(seen())
            return await super().send(destination, batch)

    async def main():
        async with Bus(Looking(), tracing=Tracing(tracer_provider=provider)) as bus:
            await bus.producer("orders").send(b"order")
            await handle(bus.consumer("orders"), look)

    async def look(delivery):
        looks.append(seen()[0])

    anyio.run(main, backend="trio")
    assert looks == [NOTHING, True]


async def test_the_shape(provider, spans, app):
    """An instrumented client makes spans where the application calls it, and nowhere else."""

    def instrumented():
        if is_instrumentation_enabled():
            app.start_span("client call").end()

    class OverTheClient(MemoryTransport):
        async def send(self, destination, batch):
            instrumented()
            return await super().send(destination, batch)

    async def bill(delivery):
        instrumented()

    async with Bus(OverTheClient(), tracing=Tracing(tracer_provider=provider)) as bus:
        with app.start_as_current_span("GET /order"):
            instrumented()
            await bus.producer("orders").send(b"order")
        await handle(bus.consumer("orders"), bill)
    expect(
        spans,
        """
        A  GET /order      INTERNAL
             client call   INTERNAL
             send orders   PRODUCER
        B  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
             client call   INTERNAL
        """,
    )
