"""Shapes 1 and 5: a message's baggage is current where it is handled alone, and nowhere else."""

import pytest
from flows import handle, next_batch, take
from opentelemetry import baggage, context

from linkbus import Bus, Tracing
from linkbus.transports.memory import MemoryTransport


@pytest.fixture
def tenant():
    """Make baggage current in this test."""
    token = context.attach(baggage.set_baggage("tenant", "a"))
    yield
    context.detach(token)


@pytest.mark.parametrize("relation", ["link", "parent", "both", "auto"])
@pytest.mark.usefixtures("tenant")
async def test_in_a_handler(bus, relation):
    """In every relation the handler sees the baggage that was current at the send."""
    seen = []

    async def look(delivery):
        seen.append(dict(baggage.get_all()))

    await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders", relation=relation), look)
    assert seen == [{"tenant": "a"}]


async def test_on_its_way_through_several_handlers(bus):
    """Baggage travels with every message that is sent where it is current."""
    seen = []

    async def forward(delivery):
        await bus.producer("next").send(b"")

    async def look(delivery):
        seen.append(dict(baggage.get_all()))

    token = context.attach(baggage.set_baggage("tenant", "a"))
    await bus.producer("orders").send(b"order")
    context.detach(token)
    await handle(bus.consumer("orders"), forward)
    await handle(bus.consumer("next"), look)
    assert seen == [{"tenant": "a"}]


async def test_in_a_block(bus):
    """Inside the block the message's baggage is current in place of another, which comes back."""
    token = context.attach(baggage.set_baggage("tenant", "a"))
    await bus.producer("orders").send(b"order")
    context.detach(token)
    token = context.attach(baggage.set_baggage("job", "nightly"))
    async with bus.consumer("orders") as consumer:
        (delivery,) = await take(consumer, 1)
        async with delivery:
            assert dict(baggage.get_all()) == {"tenant": "a"}
        assert dict(baggage.get_all()) == {"job": "nightly"}
    context.detach(token)


async def test_between_messages_of_one_worker(bus):
    """The baggage of one message is not seen by the next."""
    seen = []

    async def look(delivery):
        seen.append(dict(baggage.get_all()))

    token = context.attach(baggage.set_baggage("tenant", "a"))
    await bus.producer("orders").send(b"1")
    context.detach(token)
    await bus.producer("orders").send(b"2")
    await handle(bus.consumer("orders"), look, 2)
    assert seen == [{"tenant": "a"}, {}]


@pytest.mark.usefixtures("tenant")
async def test_in_a_service_that_has_baggage(bus):
    """The baggage in which a service started is not that of its messages."""
    seen = []

    async def look(delivery):
        seen.append(dict(baggage.get_all()))

    clean = context.attach(context.Context())
    await bus.producer("orders").send(b"order")
    context.detach(clean)
    await handle(bus.consumer("orders"), look)
    assert seen == [{}]


async def test_in_a_batch(bus):
    """A batch has the baggage of none of its messages."""
    token = context.attach(baggage.set_baggage("tenant", "a"))
    await bus.producer("orders").send(b"order")
    context.detach(token)
    async with bus.consumer("orders") as consumer, await next_batch(consumer, 1):
        assert dict(baggage.get_all()) == {}


@pytest.mark.parametrize("inbound", ["untrusted", "ignore"])
@pytest.mark.usefixtures("tenant")
async def test_of_a_stranger(provider, inbound):
    """The baggage of a message that is not trusted is dropped."""
    seen = []

    async def look(delivery):
        seen.append(dict(baggage.get_all()))

    tracing = Tracing(tracer_provider=provider, inbound=inbound)
    async with Bus(MemoryTransport(), tracing=tracing) as bus:
        await bus.producer("orders").send(b"order")
        await handle(bus.consumer("orders"), look)
    assert seen == [{}]
