"""Settler: a settlement is tried again while that may help, and never ends in silence."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider

from linkbus import Bus, SettleError, Tracing, TransportError
from linkbus._settling import PATIENCE, Settler
from linkbus.abc import Outcome, SettleResult, SettleStatus
from linkbus.testing import SpanRecorder
from tests.unit.scripted import OK, STALE, ScriptedReceiver, scripted

PASSING = TransportError("busy", retryable=True)
REFUSED = SettleResult(SettleStatus.FAILED, ValueError("refused"))


async def received(bus: Bus, receiver: ScriptedReceiver, consumer):
    """Return one delivery."""
    receiver.give("1")
    (delivery,) = await consumer.receive(1, timeout=2)
    return delivery


async def test_a_failure_that_may_pass_is_tried_again():
    """Two retryable errors, then success: the settlement counts, and is made once."""
    async with scripted() as (bus, transport), bus.consumer("orders") as consumer:
        delivery = await received(bus, transport.receiver, consumer)
        transport.receiver.settles.extend([PASSING, PASSING])
        await delivery.ack()
        assert transport.receiver.settle_calls == 3
    assert transport.receiver.outcomes == [("1", "ack")]


async def test_a_failure_that_lasts_is_given_up():
    """After its patience the settlement is FAILED, with the last error as the cause."""
    async with scripted() as (bus, transport), bus.consumer("orders") as consumer:
        delivery = await received(bus, transport.receiver, consumer)
        consumer._subscription._settler.patience = 0.0
        transport.receiver.settles.append(PASSING)
        with pytest.raises(SettleError, match="busy") as raised:
            await delivery.ack()
        assert raised.value.__cause__ is PASSING
        assert transport.receiver.settle_calls == 1
    assert PATIENCE == 10.0


@pytest.mark.parametrize("error", [TransportError("gone"), ValueError("bug")])
async def test_a_failure_that_does_not_pass_ends_the_consumer(error: Exception):
    """It is raised where it happened, and to whoever waits for messages."""
    async with scripted() as (bus, transport), bus.consumer("orders") as consumer:
        delivery = await received(bus, transport.receiver, consumer)
        transport.receiver.settles.extend([PASSING, error])
        with pytest.raises(type(error), match=str(error)):
            await delivery.ack()
        with pytest.raises(type(error), match=str(error)):
            await consumer.receive()


async def test_a_wrong_number_of_results_ends_the_consumer():
    """A transport that answers for more or fewer is defective, and the error says so."""
    async with scripted() as (bus, transport), bus.consumer("orders") as consumer:
        delivery = await received(bus, transport.receiver, consumer)
        transport.receiver.settles.append([OK, OK])
        with pytest.raises(TransportError, match="2 results for 1 settlements"):
            await delivery.ack()
        with pytest.raises(TransportError, match="defective"):
            await consumer.receive()


async def test_nothing_is_tried_again_after_the_receiver_was_closed():
    """A settlement that waits to be tried again while the consumer closes is FAILED."""
    async with scripted() as (bus, transport):
        async with bus.consumer("orders") as consumer:
            delivery = await received(bus, transport.receiver, consumer)
            transport.receiver.settles.append(PASSING)
            settling = asyncio.create_task(delivery.ack())
            await transport.receiver.until(lambda: transport.receiver.settle_calls)
            await asyncio.sleep(0)
        with pytest.raises(SettleError):
            await settling
        assert transport.receiver.settle_calls == 1


async def test_a_cancelled_settlement_counts_as_settled():
    """Cancelled in the middle, it is not settled again, and the cancellation goes on."""
    async with scripted() as (bus, transport), bus.consumer("orders") as consumer:
        delivery = await received(bus, transport.receiver, consumer)
        transport.receiver.settles.append(anyio.Event())
        with anyio.move_on_after(0.01) as scope:
            await delivery.ack()
        assert scope.cancelled_caught
    assert transport.receiver.settled == []


@pytest.mark.parametrize(
    ("results", "error"), [([OK], None), ([STALE], "stale"), ([REFUSED], "ValueError")]
)
async def test_a_settlement_by_hand_is_traced(results, error):
    """Its span ends well, or with the reason why it does not count."""
    with SpanRecorder(TracerProvider()) as spans:
        tracing = Tracing(tracer_provider=spans.tracer_provider)
        async with (
            scripted(tracing=tracing) as (bus, transport),
            bus.consumer("orders") as consumer,
        ):
            delivery = await received(bus, transport.receiver, consumer)
            transport.receiver.settles.append(results)
            if error is None:
                await delivery.ack()
            else:
                with pytest.raises(SettleError):
                    await delivery.ack()
    (span,) = spans.named("settle orders")
    assert dict(span.attributes or {}).get("error.type") == error


async def test_what_was_never_given_is_settled_without_a_span():
    """Releasing what the application has not seen is nothing that a trace tells of."""
    with SpanRecorder(TracerProvider()) as spans:
        tracing = Tracing(tracer_provider=spans.tracer_provider)
        async with (
            scripted(tracing=tracing) as (bus, transport),
            bus.consumer("orders") as consumer,
        ):
            delivery = await received(bus, transport.receiver, consumer)
            settler: Settler = consumer._subscription._settler
            assert await settler.settle_untraced([delivery], Outcome.RELEASE) == [OK]
    assert [one.name for one in spans.finished] == ["receive orders"]


async def test_a_settlement_in_vain_is_logged(caplog):
    """At the end of a block STALE raises nothing: the log says that it comes again."""
    async with scripted() as (bus, transport), bus.consumer("orders") as consumer:
        delivery = await received(bus, transport.receiver, consumer)
        transport.receiver.settles.append([STALE])
        async with delivery:
            pass
    assert "ack of 1 from 'orders' is stale (its lease or its partition was lost)" in caplog.text
