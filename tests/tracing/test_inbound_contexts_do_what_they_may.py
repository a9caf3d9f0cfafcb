"""`inbound`: what the context of a received message may do is what the bus says."""

import pytest
from flows import facts, handle, ids, link_facts, linked, nothing, only, process_batch

from linkbus import Bus, Tracing
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryTransport


async def processed(provider, **tracing):
    """Send a message, have it handled by such a bus, and return the spans."""
    with SpanRecorder(provider) as spans:
        bus = Bus(MemoryTransport(), tracing=Tracing(tracer_provider=provider, **tracing))
        async with bus:
            await bus.producer("orders").send(b"order")
            await handle(bus.consumer("orders"), nothing)
    return spans


@pytest.mark.parametrize("relation", ["link", "parent", "both", "auto"])
async def test_untrusted(provider, relation):
    """An untrusted context is linked, marked, and never a parent."""
    spans = await processed(provider, inbound="untrusted", relation=relation)
    process = only(spans, "process orders")
    assert process.parent is None
    assert linked(process) == [ids(only(spans, "send orders"))]
    assert link_facts(process)[0]["linkbus.link.trusted"] is False


async def test_untrusted_in_a_batch(provider, spans):
    """The links of an untrusted batch are marked."""
    tracing = Tracing(tracer_provider=provider, inbound="untrusted")
    async with Bus(MemoryTransport(), tracing=tracing) as bus:
        await bus.producer("orders").send(b"order")
        async with bus.consumer("orders") as consumer:
            await process_batch(consumer, 1)
    assert link_facts(only(spans, "process orders"))[0]["linkbus.link.trusted"] is False


async def test_ignored(provider):
    """An ignored context is as none."""
    spans = await processed(provider, inbound="ignore", relation="parent")
    process = only(spans, "process orders")
    assert (process.parent, process.links) == (None, ())
    assert facts(process)["linkbus.link.missing"] == 1


async def test_trusted(provider):
    """A trusted link has no mark."""
    spans = await processed(provider)
    assert "linkbus.link.trusted" not in link_facts(only(spans, "process orders"))[0]
