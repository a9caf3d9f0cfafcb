"""Shape 14: `receive` makes one span, linked to every message that it brought."""

import anyio
from flows import TRACEPARENT, expect, facts, ids, link_facts, linked, only, parent, send_raw
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from linkbus import Bus, Message, Tracing
from linkbus.transports.memory import MemoryTransport


async def test_the_shape(bus, app, spans):
    """It is below the ambient span and links to all; each delivery is processed by itself."""
    await bus.producer("orders").send(b"1")
    await bus.producer("orders").send(b"2")
    async with bus.consumer("orders") as consumer:
        with app.start_as_current_span("job"):
            for delivery in await consumer.receive(10, timeout=10.0):
                async with delivery:
                    pass
    expect(
        spans,
        """
        A  send orders          PRODUCER
        B  send orders          PRODUCER
        C  job                  INTERNAL
             receive orders     CLIENT    ⇢ A/send orders  ⇢ B/send orders
             process orders #1  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
             process orders #2  CONSUMER  ⇢ B/send orders {linkbus.link.relation=producer}
        """,
    )


async def test_outside_of_any_span(bus, spans):
    """Without an ambient span it is a root, and so is each process span."""
    await bus.producer("orders").send(b"1")
    async with bus.consumer("orders") as consumer:
        (delivery,) = await consumer.receive(1, timeout=10.0)
        async with delivery:
            pass
    assert parent(only(spans, "receive orders")) is None
    assert parent(only(spans, "process orders")) is None


async def test_it_lasts_as_long_as_the_call(bus, spans):
    """Its time is that of the call, the waiting for the first message included."""
    async with bus.consumer("orders") as consumer, anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.receive)
        await anyio.wait_all_tasks_blocked()
        await bus.producer("orders").send(b"1")
    receive, send = only(spans, "receive orders"), only(spans, "send orders")
    assert receive.start_time < send.start_time < send.end_time <= receive.end_time


async def test_attributes(bus, spans):
    """It has the conventions' attributes; what is about one message is on its link."""
    sent = await bus.producer("orders").send_batch([Message(b"1"), Message(b"2")])
    async with bus.consumer("orders", group="billing") as consumer:
        held = await consumer.receive(10, timeout=10.0)
    assert len(held) == 2
    found = facts(only(spans, "receive orders"))
    assert len(found.pop("linkbus.links")) == 2
    assert found == {
        "messaging.system": "memory",
        "messaging.operation.name": "receive",
        "messaging.operation.type": "receive",
        "messaging.destination.name": "orders",
        "messaging.consumer.group.name": "billing",
        "messaging.batch.message_count": 2,
        "linkbus.link.count": 2,
    }
    ids_on_links = [
        fact["messaging.message.id"] for fact in link_facts(only(spans, "receive orders"))
    ]
    assert ids_on_links == [result.id for result in sent]


async def test_an_empty_poll(bus, spans):
    """A receive that brings nothing makes no span."""
    async with bus.consumer("orders") as consumer:
        assert await consumer.receive(10, timeout=0.0) == []
    assert spans.finished == []


async def test_distinct_contexts(bus, spans, transport):
    """Each distinct creation context has one link; a message without one has none."""
    producer = bus.producer("orders", create_spans=False)
    await producer.send_batch([Message(b"1"), Message(b"2")])
    await send_raw(transport.broker, b"3", {"traceparent": TRACEPARENT})
    await send_raw(transport.broker, b"4", {})
    async with bus.consumer("orders") as consumer:
        assert len(await consumer.receive(4, timeout=10.0)) == 4
    receive = only(spans, "receive orders")
    assert len(receive.links) == 2
    assert linked(receive)[0] == ids(only(spans, "send orders"))
    assert link_facts(receive)[0] == {"linkbus.link.messages": 2}


class Watching(Sampler):
    """Notes how many links it sees of which span, and samples all."""

    def __init__(self):
        self.seen = []

    def should_sample(self, *call):
        _, _, name, _, _, links = call
        self.seen.append((name, len(links or ())))
        return ALWAYS_ON.should_sample(*call)

    def get_description(self):
        return "watching"


async def test_samplers_see_the_links():
    """Links are given at the creation of a span, when a sampler can see them."""
    sampler = Watching()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    async with Bus(MemoryTransport(), tracing=Tracing(tracer_provider=provider)) as bus:
        await bus.producer("orders").send(b"1")
        async with bus.consumer("orders") as consumer:
            (delivery,) = await consumer.receive(1, timeout=10.0)
            async with delivery:
                pass
    assert sampler.seen == [("send orders", 0), ("receive orders", 1), ("process orders", 1)]
