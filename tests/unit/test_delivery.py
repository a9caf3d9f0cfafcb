"""Delivery and Batch: settled exactly once, by hand or at the end of a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider

from linkbus import (
    Batch,
    CapabilityError,
    Consumer,
    Delivery,
    Headers,
    SettleError,
    Tracing,
    UsageError,
)
from linkbus.abc import Arrival, Outcome, SettleResult, SettleStatus
from linkbus.testing import SpanRecorder
from tests.unit.scripted import STALE, UNTRACED, ScriptedReceiver, arrival, scripted

CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@asynccontextmanager
async def consuming(
    *, dead_letter: str | None = None, tracing: Tracing = UNTRACED, **capabilities: object
) -> AsyncIterator[tuple[Consumer, ScriptedReceiver]]:
    """Open a consumer of a scripted transport."""
    async with (
        scripted(tracing=tracing, **capabilities) as (bus, transport),
        bus.consumer("orders", dead_letter=dead_letter) as consumer,
    ):
        yield consumer, transport.receiver


async def one_of(consumer: Consumer, receiver: ScriptedReceiver, what: Arrival | str) -> Delivery:
    """Return the delivery of an arrival."""
    receiver.give(what)
    with anyio.fail_after(2):
        return await anext(consumer)


async def batch_of(consumer: Consumer, receiver: ScriptedReceiver, *ids: str) -> Batch:
    """Return a batch of arrivals."""
    receiver.give(*ids)
    with anyio.fail_after(2):
        return await anext(consumer.batches(max_messages=len(ids), max_wait=5))


def outcomes(spans: SpanRecorder) -> list[object]:
    """Return what the process spans say was decided."""
    return [(span.attributes or {})["linkbus.outcome"] for span in spans.named("process orders")]


async def test_it_shows_all_that_arrived():
    """Every fact of the arrival can be read, and its printed form shows no content."""
    raw = object()
    what = Arrival(
        id="7",
        body=b"secret",
        key="k\udcff",
        headers=Headers({"a": "1", "traceparent": CONTEXT, "linkbus": "{}"}),
        attempt=3,
        sent_at=1.5,
        raw=raw,
    )
    async with consuming(counts_deliveries=True) as (consumer, receiver):
        it = await one_of(consumer, receiver, what)
        assert (it.id, it.body, it.key, it.key_bytes) == ("7", b"secret", "k\udcff", b"k\xff")
        assert (it.attempt, it.sent_at, it.raw, it.source) == (3, 1.5, raw, "orders")
        assert it.headers == what.headers
        assert repr(it) == "<Delivery 7 from 'orders', attempt 3>"


async def test_an_attempt_that_the_broker_does_not_count_is_the_first():
    """Whatever an arrival says, where the capability is missing."""
    async with consuming() as (consumer, receiver):
        it = await one_of(consumer, receiver, Arrival(id="7", body=b"x", attempt=3))
        assert it.attempt == 1


async def test_its_message_is_ready_to_be_sent_on():
    """Without id, context and the header of linkbus: it gets its own."""
    headers = Headers({"a": "1", "traceparent": CONTEXT, "linkbus": "{}"})
    async with consuming() as (consumer, receiver):
        full = await one_of(consumer, receiver, Arrival(id="7", body=b"x", headers=headers))
        assert full.message.headers == {"a": "1"}
        assert (full.message.body, full.message.id, full.message.context) == (b"x", None, None)
        bare = await one_of(consumer, receiver, Arrival(id=None, body=b"y", key="k"))
        assert (bare.message.key, bare.key_bytes, full.key_bytes) == ("k", b"k", None)
        assert len(bare.message.headers) == 0


@pytest.mark.parametrize("name", ["ack", "release", "reject"])
async def test_each_way_to_settle_tells_the_transport_once(name: str):
    """By hand, any second settlement is a UsageError, and changes nothing."""
    async with consuming(native_dead_letter=True) as (consumer, receiver):
        it = await one_of(consumer, receiver, "1")
        await getattr(it, name)()
        for again in (it.ack, it.release, it.reject):
            with pytest.raises(UsageError, match="settled already"):
                await again()
        with pytest.raises(UsageError, match="settled already"):
            async with it:
                pass
    assert receiver.outcomes == [("1", name)]


async def test_two_tasks_that_settle_at_once_settle_once():
    """One of them gets the UsageError, whatever the transport waits for."""
    async with consuming() as (consumer, receiver):
        it = await one_of(consumer, receiver, "1")
        gate = anyio.Event()
        receiver.settles.append(gate)
        tasks = [asyncio.create_task(it.ack()), asyncio.create_task(it.release())]
        await receiver.until(lambda: receiver.settle_calls)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[0] is None
        assert isinstance(results[1], UsageError)
    assert receiver.outcomes == [("1", "ack")]


async def test_a_block_acknowledges_on_success():
    """At the end of the block, unless it was settled inside."""
    async with consuming() as (consumer, receiver):
        async with await one_of(consumer, receiver, "1"):
            assert receiver.settled == []
        async with await one_of(consumer, receiver, "2") as it:
            await it.release()
    assert receiver.outcomes == [("1", "ack"), ("2", "release")]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_a_block_that_raises_releases(error: type[BaseException]):
    """Whatever leaves it goes on, and the message is given back."""
    async with consuming() as (consumer, receiver):
        with pytest.raises(error):
            async with await one_of(consumer, receiver, "1"):
                raise error
        assert receiver.outcomes == [("1", "release")]


async def test_a_block_that_is_cancelled_releases():
    """The release is made in spite of the cancellation, and the cancellation goes on."""
    async with consuming() as (consumer, receiver):
        it, is_inside = await one_of(consumer, receiver, "1"), anyio.Event()

        async def work() -> None:
            async with it:
                is_inside.set()
                await anyio.sleep_forever()

        task = asyncio.create_task(work())
        await is_inside.wait()
        gate = anyio.Event()
        receiver.settles.append(gate)
        task.cancel()
        await receiver.until(lambda: receiver.settle_calls)
        gate.set()
        await asyncio.wait([task])
        assert task.cancelled()
        assert receiver.outcomes == [("1", "release")]


async def test_a_block_that_a_scope_cancels_releases():
    """A cancelled scope, which cancels every await, does not keep the release from the broker."""
    async with consuming() as (consumer, receiver):
        it, gate = await one_of(consumer, receiver, "1"), anyio.Event()
        receiver.settles.append(gate)
        asyncio.get_running_loop().call_later(0.02, gate.set)
        with anyio.move_on_after(0.01):
            async with it:
                await anyio.sleep_forever()
        assert receiver.outcomes == [("1", "release")]


async def test_a_block_inside_a_block_is_refused():
    """One processing at a time: its span is open already."""
    async with consuming() as (consumer, receiver):
        it = await one_of(consumer, receiver, "1")
        async with it:
            with pytest.raises(UsageError, match="being processed already"):
                await it.__aenter__()
    assert receiver.outcomes == [("1", "ack")]


async def test_a_block_after_close_is_refused():
    """What the consumer held was released; there is nothing to process."""
    async with consuming() as (consumer, receiver):
        it = await one_of(consumer, receiver, "1")
        batch = await batch_of(consumer, receiver, "2")
    with pytest.raises(UsageError, match="is closed"):
        await it.__aenter__()
    with pytest.raises(UsageError, match="is closed"):
        await batch.__aenter__()


async def test_leaving_a_block_that_was_not_entered_does_nothing():
    """An exit without an entry is harmless."""
    async with consuming() as (consumer, receiver):
        it = await one_of(consumer, receiver, "1")
        await it.__aexit__(None, None, None)
        batch = await batch_of(consumer, receiver, "2")
        await batch.__aexit__(None, None, None)
        assert receiver.settled == []


async def test_closing_while_a_block_is_open_releases_once():
    """The consumer closes first: the block ends without settling, and without an error."""
    async with scripted() as (bus, transport):
        async with bus.consumer("orders") as consumer:
            it = await one_of(consumer, transport.receiver, "1")
            await it.__aenter__()
        await it.__aexit__(None, None, None)
        assert transport.receiver.outcomes == [("1", "release")]


async def test_a_delayed_release_needs_the_capability():
    """Without it the release is refused, and the delivery can still be settled."""
    async with consuming() as (consumer, receiver):
        it = await one_of(consumer, receiver, "1")
        with pytest.raises(CapabilityError, match="cannot be delayed"):
            await it.release(1.5)
        await it.ack()
    assert receiver.outcomes == [("1", "ack")]


async def test_a_delayed_release_is_told_to_the_transport():
    """With the capability the delay arrives, in seconds."""
    async with consuming(delayed_release=True) as (consumer, receiver):
        await (await one_of(consumer, receiver, "1")).release(1.5)
    assert receiver.settled == [("1", Outcome.RELEASE, 1.5)]


@pytest.mark.parametrize("delay", [-1.0, float("nan")])
async def test_a_delay_that_is_none_is_refused(delay: float):
    """A negative delay is a UsageError, and the delivery can still be settled."""
    async with consuming(delayed_release=True) as (consumer, receiver):
        it = await one_of(consumer, receiver, "1")
        with pytest.raises(UsageError, match="0 or more"):
            await it.release(delay)
        await it.ack()
    assert receiver.outcomes == [("1", "ack")]


async def test_rejecting_without_a_place_to_go_is_refused():
    """Neither a dead letter nor the broker's own: CapabilityError, and it stays unsettled."""
    async with consuming() as (consumer, receiver):
        it = await one_of(consumer, receiver, "1")
        with pytest.raises(CapabilityError, match="dead_letter destination"):
            await it.reject("bad")
        await it.ack()
    assert receiver.outcomes == [("1", "ack")]


async def test_the_reason_of_a_rejection_is_logged(caplog):
    """It goes to the log and nowhere else."""
    caplog.set_level("INFO", "linkbus")
    async with consuming(native_dead_letter=True) as (consumer, receiver):
        await (await one_of(consumer, receiver, "1")).reject("bad")
        await (await one_of(consumer, receiver, "2")).reject()
    assert caplog.text.count("rejecting <Delivery") == 1
    assert "bad" in caplog.text


async def test_settling_too_late_by_hand_raises():
    """STALE and FAILED raise SettleError with the transport's error, and count as settled."""
    failed = SettleResult(SettleStatus.FAILED, ValueError("refused"))
    async with consuming() as (consumer, receiver):
        for result, match in ((STALE, "came too late"), (failed, "refused")):
            it = await one_of(consumer, receiver, "1")
            receiver.settles.append([result])
            with pytest.raises(SettleError, match=match) as raised:
                await it.ack()
            assert raised.value.__cause__ is result.error
            with pytest.raises(UsageError):
                await it.ack()


async def test_a_span_says_what_was_decided():
    """By hand, at the end of a block, by an error, or nothing because it was lost."""
    with SpanRecorder(TracerProvider()) as spans:
        tracing = Tracing(tracer_provider=spans.tracer_provider)
        async with consuming(tracing=tracing, native_dead_letter=True) as (consumer, receiver):
            async with await one_of(consumer, receiver, "1"):
                pass
            async with await one_of(consumer, receiver, "2") as it:
                await it.reject()
            with pytest.raises(ValueError, match="no"):
                async with await one_of(consumer, receiver, "3"):
                    raise ValueError("no")  # noqa: EM101 - the text is the expectation
            async with await one_of(consumer, receiver, four := arrival("4")):
                receiver.lost([four], 0.0)
            it = await one_of(consumer, receiver, five := arrival("5"))
            receiver.lost([five], 0.0)
            with pytest.raises(SettleError):
                async with it:
                    await it.ack()
    assert outcomes(spans) == ["ack", "reject", "release", "lost", "lost"]


async def test_a_batch_is_a_sequence():
    """Its deliveries are in order, by index, slice and iteration."""
    async with consuming() as (consumer, receiver):
        batch = await batch_of(consumer, receiver, "1", "2", "3")
        assert len(batch) == 3
        assert batch[0].id == "1"
        assert [it.id for it in batch[1:]] == ["2", "3"]
        assert [it.id for it in batch] == ["1", "2", "3"]
        assert batch[1] in batch
        assert repr(batch) == "<Batch of 3 from 'orders'>"


async def test_a_batch_settles_the_rest_together():
    """Single ones are settled first, by hand; the others in one call at the end."""
    with SpanRecorder(TracerProvider()) as spans:
        tracing = Tracing(tracer_provider=spans.tracer_provider)
        async with consuming(tracing=tracing) as (consumer, receiver):
            batch = await batch_of(consumer, receiver, "1", "2", "3")
            await batch[0].release()
            async with batch:
                await batch[1].ack()
            both = await batch_of(consumer, receiver, "4", "5")
            async with both:
                await both[0].ack()
                await both[1].ack()
            rest = await batch_of(consumer, receiver, "6", "7")
            async with rest:
                await rest[0].ack()
    assert receiver.outcomes == [
        ("1", "release"),
        ("2", "ack"),
        ("3", "ack"),
        *[(one, "ack") for one in "4567"],
    ]
    assert receiver.settle_calls == 7
    assert outcomes(spans) == ["mixed", "ack", "ack"]


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError()])
async def test_a_batch_that_fails_after_one_was_settled_is_mixed(error):
    """One was acknowledged and the other is released."""
    with SpanRecorder(TracerProvider()) as spans:
        tracing = Tracing(tracer_provider=spans.tracer_provider)
        async with consuming(tracing=tracing) as (consumer, receiver):
            batch = await batch_of(consumer, receiver, "1", "2")
            with suppress(type(error)):
                async with batch:
                    await batch[0].ack()
                    raise error
    assert receiver.outcomes == [("1", "ack"), ("2", "release")]
    assert outcomes(spans) == ["mixed"]


async def test_a_batch_whose_block_raises_releases_the_rest():
    """What was settled by hand stays so."""
    async with consuming() as (consumer, receiver):
        batch = await batch_of(consumer, receiver, "1", "2")
        await batch[0].ack()
        with pytest.raises(ValueError, match="no"):
            async with batch:
                raise ValueError("no")  # noqa: EM101 - the text is the expectation
    assert receiver.outcomes == [("1", "ack"), ("2", "release")]


async def test_a_batch_is_processed_once():
    """Not inside itself, not beside one of its deliveries, and not again."""
    async with consuming() as (consumer, receiver):
        batch = await batch_of(consumer, receiver, "1", "2")
        async with batch:
            with pytest.raises(UsageError, match="being processed already"):
                await batch.__aenter__()
            with pytest.raises(UsageError, match="being processed already"):
                await batch[0].__aenter__()
        with pytest.raises(UsageError, match="processed already"):
            await batch.__aenter__()
        other = await batch_of(consumer, receiver, "3", "4")
        async with other[0]:
            with pytest.raises(UsageError, match="being processed already"):
                await other.__aenter__()
    assert [one for one in receiver.outcomes if one[1] == "ack"] == [
        ("1", "ack"),
        ("2", "ack"),
        ("3", "ack"),
    ]
