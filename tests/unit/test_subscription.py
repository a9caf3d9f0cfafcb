"""Subscription: room, losing and keeping deliveries, settling, opening and closing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from linkbus import (
    Bus,
    Consumer,
    Delivery,
    DeliveryError,
    Retry,
    SettleError,
    TransportError,
    UsageError,
)
from linkbus.abc import Outcome, SettleResult, SettleStatus
from tests.unit.scripted import (
    STALE,
    ScriptedReceiver,
    Work,
    arrival,
    ended,
    running,
    scripted,
)

FAILED = SettleResult(SettleStatus.FAILED, ValueError("refused"))


@asynccontextmanager
async def consuming(
    *, prefetch: int | None = None, dead_letter: str | None = None, **capabilities: object
) -> AsyncIterator[tuple[Bus, Consumer, ScriptedReceiver]]:
    """Open a consumer of a scripted transport."""
    async with scripted(**capabilities) as (bus, transport):
        consumer = bus.consumer("orders", prefetch=prefetch, dead_letter=dead_letter)
        async with consumer:
            yield bus, consumer, transport.receiver


async def given(consumer: Consumer, count: int) -> list[Delivery]:
    """Return so many deliveries."""
    with anyio.fail_after(2):
        return [await anext(consumer) for _ in range(count)]


async def is_lost(consumer: Consumer) -> None:
    """Wait until a delivery that was given is lost."""
    event = anyio.Event()
    consumer._subscription.on_lost = lambda _: event.set()
    with anyio.fail_after(2):
        await event.wait()


async def test_it_asks_for_as_many_as_there_is_room_for():
    """It fills up to prefetch, and asks again when half of that was given."""
    async with consuming(prefetch=4) as (_, consumer, receiver):
        receiver.give("1", "2", "3", "4", "5", "6")
        await receiver.until(lambda: len(receiver._given) == 2)
        assert receiver.asked == [4]
        await given(consumer, 1)
        await asyncio.sleep(0)
        assert receiver.asked == [4]
        await given(consumer, 1)
        await receiver.until(lambda: len(receiver.asked) >= 2)
        assert receiver.asked[1] == 2


async def test_a_batch_may_need_all_of_prefetch():
    """Who waits for more than half is given all, though half is there."""
    async with consuming(prefetch=4) as (_, consumer, receiver):
        receiver.give("1", "2", "3")
        batches = consumer.batches(max_messages=4, max_wait=30)
        waiting = asyncio.create_task(anext(batches))
        await receiver.until(lambda: not receiver._given and receiver.is_receiving)
        receiver.give("4")
        with anyio.fail_after(2):
            assert len(await waiting) == 4


async def test_a_lost_delivery_cannot_be_settled():
    """In a pull style nothing is cancelled: settling raises SettleError, once."""
    async with consuming() as (_, consumer, receiver):
        one = arrival("1")
        receiver.give(one)
        (delivery,) = await given(consumer, 1)
        receiver.lost([one], 0.0)
        with pytest.raises(SettleError, match="came too late"):
            await delivery.ack()
        with pytest.raises(UsageError, match="settled already"):
            await delivery.ack()
    assert receiver.settled == []


async def test_what_is_lost_before_it_was_given_is_forgotten():
    """Grace 0: it leaves the buffer, nothing is settled, and there is room for others."""
    async with consuming(prefetch=2) as (_, consumer, receiver):
        first, second = arrival("1"), arrival("2")
        receiver.give(first, second, "3")
        await receiver.until(lambda: len(receiver._given) == 1)
        receiver.lost([first, second], 0.0)
        receiver.lost([first, second], 0.0)
        (delivery,) = await given(consumer, 1)
        assert delivery.id == "3"
        await delivery.ack()
    assert receiver.outcomes == [("3", "ack")]


async def test_what_will_be_lost_before_it_was_given_is_released():
    """Grace > 0: it leaves the buffer and is released, once."""
    async with consuming() as (_, _, receiver):
        one = arrival("1")
        receiver.give(one)
        await receiver.until(lambda: not receiver._given and receiver.is_receiving)
        receiver.lost([one], 5.0)
        receiver.lost([one], 5.0)
        await receiver.until(lambda: receiver.settled)
    assert receiver.outcomes == [("1", "release")]


async def test_what_was_given_may_settle_within_the_grace():
    """A revoked delivery is settled like others until the grace is over."""
    async with consuming() as (_, consumer, receiver):
        one, two = arrival("1"), arrival("2")
        receiver.give(one, two)
        first, second = await given(consumer, 2)
        receiver.lost([one], 5.0)
        await first.ack()
        receiver.lost([one], 0.0)
        receiver.lost([two], 0.02)
        await is_lost(consumer)
        with pytest.raises(SettleError):
            await second.ack()
    assert receiver.outcomes == [("1", "ack")]


async def test_losing_strangers_is_nothing():
    """Arrivals that are not held, or that were settled, change nothing."""
    async with consuming() as (_, consumer, receiver):
        receiver.lost([arrival("9")], 0.0)
        receiver.give("1")
        (delivery,) = await given(consumer, 1)
        receiver.lost([arrival("9")], 0.0)
        gate = anyio.Event()
        receiver.settles.append(gate)
        settling = asyncio.create_task(delivery.ack())
        await asyncio.sleep(0)
        receiver.lost([delivery._arrival], 0.0)
        gate.set()
        await settling
    assert receiver.outcomes == [("1", "ack")]


async def test_the_end_of_a_lease_takes_what_was_not_given():
    """A lease that runs out in the buffer is a loss: it is not given any more."""
    async with consuming(prefetch=1) as (_, consumer, receiver):
        receiver.give(arrival("1", lease=0.01))
        await receiver.until(lambda: len(receiver.asked) == 2)
        receiver.give("2")
        assert [one.id for one in await given(consumer, 1)] == ["2"]


async def test_there_is_room_again_when_what_waited_behind_a_key_is_released():
    """Though the buffer was full of one key, others are received after its release."""
    async with scripted() as (bus, transport):
        work = Work()

        async def handle(delivery: Delivery) -> None:
            await work(delivery)
            if delivery.id == "a1":
                await transport.receiver.until(lambda: not transport.receiver._given)
                await delivery.release()

        async with running(bus.consumer("orders", prefetch=2).run(handle)):
            await transport.watch.until(lambda: transport.receivers)
            receiver = transport.receiver
            receiver.give("a1", "a2", "a3")
            await receiver.until(lambda: len(receiver.settled) == 3)
            receiver.give("b1")
            await work.until(lambda: work.ended == ["a1", "b1"])


async def test_leases_in_the_buffer_are_extended():
    """What waits to be given stays ours."""
    async with consuming(extendable_lease=True) as (_, consumer, receiver):
        receiver.give(arrival("1", lease=0.04))
        await receiver.until(lambda: len(receiver.extended) >= 3)
        (delivery,) = await given(consumer, 1)
        await delivery.ack()
    assert receiver.outcomes == [("1", "ack")]


async def test_revoking_while_releasing_what_was_revoked():
    """What is revoked while an earlier release is under way is released after it."""
    async with consuming() as (_, _, receiver):
        one, two, gate = arrival("1"), arrival("2"), anyio.Event()
        receiver.give(one, two)
        await receiver.until(lambda: not receiver._given and receiver.is_receiving)
        receiver.settles.append(gate)
        receiver.lost([one], 5.0)
        await receiver.until(lambda: receiver.settle_calls == 1)
        receiver.lost([two], 5.0)
        gate.set()
        await receiver.until(lambda: len(receiver.settled) == 2)
    assert receiver.outcomes == [("1", "release"), ("2", "release")]


async def test_revoking_while_extending_is_not_forgotten():
    """What is revoked while leases are extended is released at once."""
    async with consuming(extendable_lease=True) as (_, _, receiver):
        one, gate = arrival("2"), anyio.Event()
        receiver.extends.append(gate)
        receiver.give(arrival("1", lease=0.2), one)
        await receiver.until(lambda: receiver.extended)
        receiver.lost([one], 30.0)
        gate.set()
        await receiver.until(lambda: receiver.settled)
    assert receiver.outcomes[0] == ("2", "release")


@pytest.mark.parametrize("error", [TransportError("gone"), ValueError("bug")])
async def test_an_extension_that_cannot_go_on_ends_the_consumer(error: Exception):
    """An error that is not retryable is raised to whoever waits for a message."""
    async with consuming(extendable_lease=True) as (_, consumer, receiver):
        receiver.extends.append(error)
        receiver.give(arrival("1", lease=0.02))
        await given(consumer, 1)
        with anyio.fail_after(2), pytest.raises(type(error), match=str(error)):
            await anext(consumer)
        with pytest.raises(type(error)):
            await consumer.receive()


async def test_an_extension_that_lets_out_a_cancellation_ends_the_consumer():
    """A cancellation that nobody asked for is an error of the transport, and no end of tasks."""
    async with consuming(extendable_lease=True) as (_, consumer, receiver):
        receiver.extends.append(asyncio.CancelledError())
        receiver.give(arrival("1", lease=0.02))
        await given(consumer, 1)
        with anyio.fail_after(2), pytest.raises(RuntimeError, match="extending leases"):
            await anext(consumer)


async def test_cancelling_everything_ends_an_extension_under_way():
    """When the event loop cancels all tasks the one that keeps leases ends with them."""
    async with consuming(extendable_lease=True) as (_, consumer, receiver):
        receiver.extends.append(anyio.Event())
        receiver.give(arrival("1", lease=30.0))
        await given(consumer, 1)
        consumer._subscription._leases.next_at = 0.0
        keeping = [t for t in asyncio.all_tasks() if t.get_name() == "linkbus keep orders"]
        for delivery in consumer._subscription._held.values():
            delivery._held_until = anyio.current_time() + 1
        consumer._subscription._keeper.go_on()
        await receiver.until(lambda: receiver.extended)
        keeping[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await anext(consumer)


async def test_what_a_receive_brings_after_the_end_is_released():
    """A transport that is not cancel-safe is left to finish; what it brings goes back."""
    async with scripted() as (bus, transport):
        work = Work()
        async with bus.consumer("orders") as consumer:
            receiver = transport.receiver
            receiver.gate = anyio.Event()
            async with running(consumer.run(work)) as task:
                receiver.give("1", "2")
                await receiver.until(lambda: receiver.is_receiving)
                await asyncio.sleep(0)
                task.cancel()
                await ended(task)
            receiver.gate.set()
            await receiver.until(lambda: len(receiver.settled) == 2)
        assert work.started == []
        assert receiver.outcomes == [("1", "release"), ("2", "release")]


async def test_what_comes_while_closing_is_left_to_the_receiver():
    """Arrivals that come after `aclose` of the receiver are its own to give back."""
    async with scripted() as (bus, transport):
        async with bus.consumer("orders"):
            receiver = transport.receiver
            receiver.gate = anyio.Event()
            receiver.give("1")
            await receiver.until(lambda: receiver.is_receiving)
        assert receiver.settled == []


async def test_closing_releases_in_the_order_of_arrival():
    """What was given and what was not goes back together, in one call, in order."""
    async with consuming() as (_, consumer, receiver):
        receiver.give("1", "2", "3", "4")
        first, second = await given(consumer, 2)
        await first.ack()
        assert second.id == "2"
    assert receiver.outcomes == [("1", "ack"), *[(one, "release") for one in "234"]]
    assert receiver.settle_calls == 2


async def test_a_release_that_fails_while_closing_is_logged(caplog):
    """A broker that is gone is no reason not to close."""
    async with consuming() as (_, consumer, receiver):
        receiver.give("1")
        await given(consumer, 1)
        receiver.settles.append(TransportError("gone"))
    assert "releasing messages of 'orders' failed: gone" in caplog.text


async def test_a_receiver_that_fails_to_close_is_logged(caplog):
    """Its error is logged with its traceback, and the consumer is closed."""
    async with consuming() as (_, _, receiver):
        receiver.closing = ValueError("bug")
    assert "closing the receiver of 'orders' failed" in caplog.text


async def test_settling_after_close_is_a_usage_error():
    """What was not settled was released when the consumer closed."""
    async with consuming() as (_, consumer, receiver):
        receiver.give("1")
        (delivery,) = await given(consumer, 1)
    with pytest.raises(UsageError, match="is closed"):
        await delivery.ack()
    assert receiver.outcomes == [("1", "release")]


async def test_settling_in_vain_at_the_end_of_a_block_is_logged(caplog):
    """STALE and FAILED at the end of a block are logged and raise nothing."""
    async with consuming() as (_, consumer, receiver):
        receiver.give("1", "2")
        for result in (STALE, FAILED):
            receiver.settles.append([result])
            (delivery,) = await given(consumer, 1)
            async with delivery:
                pass
    assert "ack of 1 from 'orders' is stale" in caplog.text
    assert "ack of 2 from 'orders' is failed (refused)" in caplog.text


async def test_losing_one_of_a_batch_settles_the_others(caplog):
    """At the end of the block the lost one is logged, and the rest acknowledged."""
    async with consuming() as (_, consumer, receiver):
        one = arrival("1")
        receiver.give(one, "2")
        batch = await anext(consumer.batches(max_messages=2, max_wait=1))
        async with batch:
            receiver.lost([one], 0.0)
        receiver.give(two := arrival("3"))
        async with await anext(consumer.batches(max_messages=1, max_wait=0)):
            receiver.lost([two], 0.0)
    assert receiver.outcomes == [("2", "ack")]
    assert "ack of 1 from 'orders' is stale" in caplog.text


async def test_rejecting_natively_tells_the_transport():
    """With native dead letters REJECT is settled; one that does not count raises."""
    async with consuming(native_dead_letter=True) as (_, consumer, receiver):
        receiver.give("1", "2")
        first, second = await given(consumer, 2)
        await first.reject("bad")
        receiver.settles.append([FAILED])
        with pytest.raises(SettleError, match="refused"):
            await second.reject()
    assert receiver.settled[0] == ("1", Outcome.REJECT, 0.0)


async def test_rejecting_with_a_dead_letter_sends_a_copy_and_acknowledges():
    """The destination of the consumer comes before the broker's own dead letters."""
    async with consuming(dead_letter="orders.dead", native_dead_letter=True) as (
        bus,
        consumer,
        receiver,
    ):
        receiver.give("1")
        (delivery,) = await given(consumer, 1)
        await delivery.reject()
        assert bus.transport.sent[0][0] == "orders.dead"
    assert receiver.outcomes == [("1", "ack")]


async def test_rejecting_without_a_confirmed_copy_releases():
    """If the copy is not sent the message is released, and DeliveryError says why."""
    async with consuming(dead_letter="orders.dead") as (bus, consumer, receiver):
        receiver.give("1")
        (delivery,) = await given(consumer, 1)
        bus.transport.sends.append(TransportError("full"))
        with pytest.raises(DeliveryError, match="full"):
            await delivery.reject()
    assert receiver.outcomes == [("1", "release")]


async def test_rejecting_that_is_cancelled_releases():
    """A copy that was not confirmed in time leaves the message to whoever is next."""
    async with consuming(dead_letter="orders.dead") as (bus, consumer, receiver):
        receiver.give("1")
        (delivery,) = await given(consumer, 1)
        bus.transport.sends.append(anyio.Event())
        rejecting = asyncio.create_task(delivery.reject())
        await bus.transport.watch.until(lambda: bus.transport.sent)
        rejecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rejecting
        assert receiver.outcomes == [("1", "release")]
        assert delivery._outcome == "release"


async def test_receives_are_traced_only_where_asked(caplog):
    """A subscription that traces receives makes no sound where nobody records."""
    caplog.set_level(logging.DEBUG, "linkbus")
    async with consuming() as (_, consumer, receiver):
        consumer._subscription.traces_receives = True
        receiver.give("1")
        await given(consumer, 1)
    assert "tracing failed" not in caplog.text


async def test_a_failure_is_kept_and_the_first_one_counts():
    """After an error whoever waits gets it, also those who come later."""
    async with consuming() as (_, consumer, receiver):
        waiting = [asyncio.create_task(consumer.receive()) for _ in range(2)]
        await asyncio.sleep(0)
        receiver.give(TransportError("first"))
        for task in waiting:
            with pytest.raises(TransportError, match="first"):
                await task
        consumer._subscription.fail(TransportError("second"))
        with pytest.raises(TransportError, match="first"):
            await anext(consumer)


async def test_releasing_behind_a_key_takes_what_arrives_meanwhile():
    """What comes of a key while its others are released is released after them."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        work.fail("a1", Retry(60.0))  # longer than it is held
        async with running(bus.consumer("orders").run(work)):
            await transport.watch.until(lambda: transport.receivers)
            receiver, gates = transport.receiver, [anyio.Event(), anyio.Event()]
            receiver.give(arrival("a1", lease=30.0), "a2")
            await work.until(lambda: work.running)
            receiver.settles.extend(gates)
            receiver.settles.insert(1, [SettleResult(SettleStatus.OK)])
            work.gates["a1"].set()
            await receiver.until(lambda: receiver.settle_calls == 1)
            gates[0].set()
            await receiver.until(lambda: receiver.settle_calls == 2)
            receiver.give("a3")
            await receiver.until(lambda: not receiver._given and receiver.is_receiving)
            gates[1].set()
            await receiver.until(lambda: len(receiver.outcomes) == 3)
        assert receiver.outcomes == [(one, "release") for one in ("a1", "a2", "a3")]
        assert work.started == ["a1"]


async def test_what_is_being_released_may_be_lost_meanwhile():
    """A lease that ends while its delivery is being released is noted, and no more."""
    async with consuming() as (_, consumer, receiver):
        one, gate = arrival("1", lease=9.0), anyio.Event()
        receiver.give(one, "2")
        await receiver.until(lambda: not receiver._given and receiver.is_receiving)
        receiver.settles.append(gate)
        receiver.lost([one], 5.0)
        await receiver.until(lambda: receiver.settle_calls == 1)
        consumer._subscription._lose(consumer._subscription._held[one])
        gate.set()
        await receiver.until(lambda: receiver.settled)
        assert [d.id for d in await consumer.receive(5, timeout=0)] == ["2"]


async def test_what_is_given_together_makes_no_call_while_enough_is_left():
    """A batch that takes less than half of prefetch asks for nothing."""
    async with consuming(prefetch=10) as (_, consumer, receiver):
        receiver.give(*"1234567890")
        await receiver.until(lambda: not receiver._given)
        await asyncio.sleep(0)
        assert len(await consumer.receive(2)) == 2
        await asyncio.sleep(0)
        assert receiver.asked == [10]


async def test_a_subscription_that_failed_can_be_closed():
    """There is nothing to close, now and later."""
    async with scripted() as (bus, transport):
        transport.subscribes.append(TransportError("no such source"))
        with pytest.raises(TransportError, match="no such source"):
            await bus.consumer("orders").__aenter__()
    assert transport.receivers == []


async def test_a_subscription_closed_while_it_opens_closes_its_receiver():
    """The receiver that comes after the bus was closed is closed at once."""
    async with scripted() as (bus, transport):
        gate = anyio.Event()
        transport.subscribes.append(gate)
        entering = asyncio.create_task(bus.consumer("orders").__aenter__())
        await asyncio.sleep(0)
        await bus.__aexit__(None, None, None)
        gate.set()
        with pytest.raises(UsageError, match="is closed"):
            await entering
        assert transport.receiver.is_closed


async def test_a_second_close_waits_for_the_first():
    """Both return when the receiver has closed."""
    async with consuming() as (bus, consumer, receiver):
        gate = receiver.closing = anyio.Event()
        closing = asyncio.create_task(bus.__aexit__(None, None, None))
        await asyncio.sleep(0)
        assert not closing.done()
        asyncio.get_running_loop().call_soon(gate.set)
        await consumer.__aexit__(None, None, None)
        assert gate.is_set()
        await closing
