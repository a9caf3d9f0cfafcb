"""`Tracing(spans=…)`: spans of polls and of settlements, where somebody asks for them."""

import pytest
from flows import (
    expect,
    facts,
    handle,
    ids,
    linked,
    nothing,
    only,
    parent,
    process_batch,
    process_next,
)
from opentelemetry.trace import StatusCode

from linkbus import Bus, SettleError, Tracing
from linkbus.abc import SettleResult, SettleStatus
from linkbus.transports.memory import MemoryTransport


class Forgetful(MemoryTransport):
    """Takes note of no settlement."""

    async def subscribe(self, source, group, *, prefetch, lost):
        receiver = await super().subscribe(source, group, prefetch=prefetch, lost=lost)

        async def settle(settlements):
            return [SettleResult(SettleStatus.STALE) for _ in settlements]

        receiver.settle = settle
        return receiver


@pytest.fixture
async def settling(provider, spans):
    """Open a bus that makes settle spans."""
    tracing = Tracing(tracer_provider=provider, spans=frozenset({"settle"}))
    async with Bus(MemoryTransport(), tracing=tracing) as bus:
        yield bus


async def test_settle(settling, spans):
    """The settlement at the end of a block or a handler is a child of its process span."""
    await settling.producer("orders").send(b"order")
    await handle(settling.consumer("orders"), nothing)
    expect(
        spans,
        """
        A  send orders      PRODUCER
        B  process orders   CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
             settle orders  CLIENT
        """,
    )
    process, settle = only(spans, "process orders"), only(spans, "settle orders")
    assert process.end_time <= settle.start_time
    assert facts(settle)["messaging.message.id"] == facts(process)["messaging.message.id"]


async def test_settle_by_hand(settling, spans):
    """So is a settlement by hand, inside the block."""
    await settling.producer("orders").send(b"order")
    async with settling.consumer("orders") as consumer:
        delivery = (await consumer.receive(1, timeout=10.0))[0]
        async with delivery:
            await delivery.ack()
    assert parent(only(spans, "settle orders")) == ids(only(spans, "process orders"))


async def test_settle_a_batch(settling, spans):
    """A batch is settled in one span, which counts it."""
    for body in (b"1", b"2"):
        await settling.producer("orders").send(body)
    async with settling.consumer("orders") as consumer:
        await process_batch(consumer, 2)
    settle = only(spans, "settle orders")
    assert parent(settle) == ids(only(spans, "process orders"))
    assert facts(settle)["messaging.batch.message_count"] == 2


async def test_a_settlement_that_does_not_count(provider, spans):
    """A settlement in vain is an error of its span, and not of the process span."""
    tracing = Tracing(tracer_provider=provider, spans=frozenset({"settle"}))
    async with Bus(Forgetful(), tracing=tracing) as bus:
        await bus.producer("orders").send(b"order")
        await handle(bus.consumer("orders"), nothing)
    assert only(spans, "process orders").status.status_code is StatusCode.UNSET
    settle = only(spans, "settle orders")
    assert settle.status.status_code is StatusCode.ERROR
    assert facts(settle)["error.type"] == "stale"


async def test_a_settlement_by_hand_that_does_not_count(provider, spans):
    """Without a block, the settle span that there always is has the error."""
    async with Bus(Forgetful(), tracing=Tracing(tracer_provider=provider)) as bus:
        await bus.producer("orders").send(b"order")
        async with bus.consumer("orders") as consumer:
            (delivery,) = await consumer.receive(1, timeout=10.0)
            with pytest.raises(SettleError):
                await delivery.ack()
    assert facts(only(spans, "settle orders"))["error.type"] == "stale"


async def test_receive(provider, spans):
    """The polls of iteration and of a handler have receive spans, if they brought something."""
    tracing = Tracing(tracer_provider=provider, spans=frozenset({"receive"}))
    async with Bus(MemoryTransport(), tracing=tracing) as bus:
        await bus.producer("orders").send(b"1")
        async with bus.consumer("orders") as consumer:
            await process_next(consumer)
        await bus.producer("orders").send(b"2")
        await handle(bus.consumer("orders"), nothing)
    sends = [[ids(span)] for span in spans.named("send orders")]
    assert [linked(span) for span in spans.named("receive orders")] == sends


async def test_none_by_default(bus, spans):
    """Nobody asked: neither polls nor settlements have spans."""
    await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders"), nothing)
    assert {span.name for span in spans.finished} == {"send orders", "process orders"}
