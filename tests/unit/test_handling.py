"""Handling: one attempt at a unit of work, and what the policy makes of its failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider

from linkbus import (
    Batch,
    Bus,
    Delivery,
    DeliveryError,
    Reject,
    Retry,
    RetryPolicy,
    SendResult,
    SendStatus,
    Tracing,
    TransportError,
)
from linkbus._handling import Handling, Unit
from linkbus.abc import SettleResult, SettleStatus
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryTransport
from tests.unit.scripted import (
    UNTRACED,
    ScriptedReceiver,
    ScriptedTransport,
    arrival,
    ended,
    running,
    scripted,
)

TWICE = RetryPolicy(max_attempts=2, initial_delay=0.5, jitter=0.0, retry_on=(ValueError,))
NO = ValueError("no")


class Case:
    """Attempts at what a consumer was given."""

    def __init__(self, transport: ScriptedTransport, consumer) -> None:
        self.transport = transport
        self.receiver: ScriptedReceiver = transport.receiver
        self.consumer = consumer
        self.subscription = consumer._subscription
        self.subscription.buffer.order_keys()

    async def unit(self, *what) -> Unit:
        """Return a unit of what arrives."""
        self.receiver.give(*what)
        await self.receiver.until(lambda: not self.receiver._given)
        await asyncio.sleep(0)
        return Unit(self.subscription.give_many(len(what)))

    def handling(self, *errors: BaseException | None, retry=None, batches=False) -> Handling:
        """Return what calls a handler that raises these errors in turn."""
        left = list(errors)
        self.calls: list[Delivery | Batch] = []

        async def handle(what: Delivery | Batch) -> None:
            self.calls.append(what)
            error = left.pop(0) if left else None
            if error is not None:
                raise error

        if batches:
            return Handling(self.subscription, batch_handler=handle, retry=retry)
        return Handling(self.subscription, handler=handle, retry=retry)

    @property
    def outcomes(self) -> list[tuple[str | None, str]]:
        return self.receiver.outcomes


@asynccontextmanager
async def handled(
    *, dead_letter: str | None = None, tracing: Tracing = UNTRACED, **capabilities: object
) -> AsyncIterator[Case]:
    """Open a consumer to handle deliveries of."""
    async with (
        scripted(tracing=tracing, **capabilities) as (bus, transport),
        bus.consumer("orders", dead_letter=dead_letter) as consumer,
    ):
        yield Case(transport, consumer)


async def test_success_acknowledges():
    """A handler that returns has done the work."""
    async with handled() as it:
        assert await it.handling().attempt(await it.unit("a1")) is None
        assert it.outcomes == [("a1", "ack")]


async def test_success_leaves_what_was_settled_by_hand():
    """A delivery that the handler settled is not settled again."""
    async with handled() as it:

        async def handle(delivery: Delivery) -> None:
            await delivery.release()

        handling = Handling(it.subscription, handler=handle, retry=None)
        assert await handling.attempt(await it.unit("a1")) is None
        assert it.outcomes == [("a1", "release")]


async def test_a_failure_is_tried_again_as_often_as_the_policy_says():
    """It asks for the wait, counts the attempt, and gives up after the last."""
    async with handled() as it:
        unit, handling = await it.unit("a1"), it.handling(NO, NO, retry=TWICE)
        assert await handling.attempt(unit) == 0.5
        assert unit.deliveries[0].attempt == 2
        assert unit.runs == 1
        with pytest.raises(DeliveryError, match="dead_letter destination") as raised:
            await handling.attempt(unit)
        assert raised.value.__cause__ is NO
        assert it.outcomes == [("a1", "release")]


async def test_other_failures_are_not_tried_again():
    """What `retry_on` does not name ends the delivery at once; so does everything without."""
    async with handled() as it:
        with pytest.raises(DeliveryError):
            await it.handling(KeyError("x"), retry=TWICE).attempt(await it.unit("a1"))
    async with handled() as it:
        with pytest.raises(DeliveryError):
            await it.handling(NO).attempt(await it.unit("b1"))


async def test_a_handler_may_ask_to_be_called_again():
    """`Retry` overrides `retry_on` and the delay; `max_attempts` still holds."""
    async with handled() as it:
        unit, handling = await it.unit("a1"), it.handling(Retry(3.0), Retry(), retry=TWICE)
        assert await handling.attempt(unit) == 3.0
        other = await it.unit("b1")
        assert await it.handling(Retry(), retry=TWICE).attempt(other) == 0.5
        with pytest.raises(DeliveryError):
            await handling.attempt(unit)


async def test_a_handler_may_ask_for_it_without_a_policy():
    """Then the attempts and delays of a plain `RetryPolicy()` hold."""
    async with handled() as it:
        unit, handling = await it.unit("a1"), it.handling(*[Retry()] * 5)
        delays = [await handling.attempt(unit) for _ in range(4)]
        for delay, expected in zip(delays, (0.2, 0.4, 0.8, 1.6), strict=True):
            assert delay == pytest.approx(expected, rel=0.25)
        with pytest.raises(DeliveryError):
            await handling.attempt(unit)


async def test_rejecting_gives_up_at_once():
    """`Reject` goes to the dead letters without a further attempt."""
    async with handled(native_dead_letter=True) as it:
        unit = await it.unit("a1")
        assert await it.handling(Reject("bad"), retry=TWICE).attempt(unit) is None
        assert it.outcomes == [("a1", "reject")]


async def test_giving_up_sends_a_dead_letter_and_acknowledges():
    """The copy comes first; the destination wins over the broker's own dead letters."""
    async with handled(dead_letter="orders.dead", native_dead_letter=True) as it:
        assert await it.handling(NO).attempt(await it.unit("a1")) is None
        assert [destination for destination, _ in it.transport.sent] == ["orders.dead"]
        assert it.outcomes == [("a1", "ack")]


async def test_a_dead_letter_that_is_not_sent_ends_run():
    """Without a confirmed copy the message is released, and DeliveryError raised."""
    async with handled(dead_letter="orders.dead") as it:
        it.transport.sends.append(TransportError("full"))
        with pytest.raises(DeliveryError, match="full"):
            await it.handling(NO).attempt(await it.unit("a1"))
        assert it.outcomes == [("a1", "release")]


async def test_cancelled_while_it_sends_a_dead_letter_it_releases():
    """Whether the copy arrived is not known: the message is given back."""
    async with handled(dead_letter="orders.dead") as it:
        it.transport.sends.append(anyio.Event())
        unit = await it.unit("a1")
        task = asyncio.create_task(it.handling(NO).attempt(unit))
        await it.transport.watch.until(lambda: it.transport.sent)
        task.cancel()
        await ended(task)
        assert task.cancelled()
        assert it.outcomes == [("a1", "release")]


async def test_a_cancelled_handler_releases_and_does_not_reject():
    """Cancellation is release, whatever the policy says; those behind go back too."""
    async with handled(native_dead_letter=True) as it:

        async def handle(delivery: Delivery) -> None:
            await anyio.sleep_forever()

        handling = Handling(it.subscription, handler=handle, retry=TWICE)
        unit = await it.unit("a1")
        it.receiver.give("a2", "b1")
        await it.receiver.until(lambda: not it.receiver._given)
        with anyio.move_on_after(0.01) as scope:
            await handling.attempt(unit)
        assert scope.cancelled_caught
        assert it.outcomes == [("a1", "release"), ("a2", "release")]


async def test_an_interrupted_handler_releases():
    """What is no Exception passes through, after the release."""
    async with handled() as it:
        with pytest.raises(KeyboardInterrupt):
            await it.handling(KeyboardInterrupt()).attempt(await it.unit("a1"))
        assert it.outcomes == [("a1", "release")]


async def test_a_cancellation_that_nobody_asked_for_is_a_failure():
    """A handler that awaits something cancelled failed, and may be called again."""
    async with handled() as it:
        unit = await it.unit("a1")
        handling = it.handling(asyncio.CancelledError(), retry=RetryPolicy(jitter=0.0))
        assert await handling.attempt(unit) == 0.2


async def test_a_failure_after_settling_by_hand_is_logged(caplog):
    """There is nothing left to try again."""
    async with handled() as it:

        async def handle(delivery: Delivery) -> None:
            await delivery.ack()
            raise NO

        handling = Handling(it.subscription, handler=handle, retry=TWICE)
        assert await handling.attempt(await it.unit("a1")) is None
        assert it.outcomes == [("a1", "ack")]
    assert "handling [<Delivery a1 from 'orders', attempt 1>] failed" in caplog.text


async def test_a_failure_with_a_lost_delivery_is_not_tried_again(caplog):
    """It is somebody else's now."""
    async with handled() as it:
        one = arrival("a1")
        unit = await it.unit(one)
        it.receiver.lost([one], 0.0)
        assert await it.handling(NO, retry=TWICE).attempt(unit) is None
        assert it.outcomes == []


async def test_while_draining_a_failure_is_a_release():
    """There is no time for another attempt, nor a reason to give up."""
    async with handled(delayed_release=True) as it:
        handling = it.handling(NO, retry=TWICE)
        handling.is_draining = True
        assert await handling.attempt(await it.unit("a1")) is None
        assert [(mid, delay) for mid, _, delay in it.receiver.settled] == [("a1", 0.5)]


@pytest.mark.parametrize(
    ("extendable", "lease", "revoked", "expected"),
    [
        (False, None, None, 0.5),
        (False, 9.0, None, 0.5),
        (False, 0.3, None, None),
        (True, 0.3, None, 0.5),
        (True, 9.0, 0.3, None),
        (True, 9.0, 9.0, 0.5),
    ],
)
async def test_a_wait_that_the_lease_cannot_cover_is_a_release(
    extendable, lease, revoked, expected
):
    """It is held where the lease is long enough or can be extended, and not revoked before."""
    async with handled(extendable_lease=extendable) as it:
        one = arrival("a1", lease=lease)
        unit = await it.unit(one)
        if revoked is not None:
            it.receiver.lost([one], revoked)
        assert await it.handling(NO, retry=TWICE).attempt(unit) == expected
        assert it.outcomes == ([("a1", "release")] if expected is None else [])


async def test_a_failed_settlement_that_ends_the_transport_is_raised():
    """An error of settle that does not pass comes out of the attempt."""
    async with handled() as it:
        it.receiver.settles.append(TransportError("gone"))
        with pytest.raises(TransportError, match="gone"):
            await it.handling().attempt(await it.unit("a1"))


async def test_a_settlement_in_vain_is_no_failure():
    """STALE is logged: the message comes again, and run goes on."""
    async with handled() as it:
        it.receiver.settles.append([SettleResult(SettleStatus.STALE)])
        assert await it.handling().attempt(await it.unit("a1")) is None


async def test_a_batch_is_handled_as_one():
    """Acknowledged together, retried together, given up together."""
    async with handled(native_dead_letter=True) as it:
        handling = it.handling(None, NO, NO, retry=TWICE, batches=True)
        assert await handling.attempt(await it.unit("a1", "b1")) is None
        unit = await it.unit("c1", "d1")
        assert await handling.attempt(unit) == 0.5
        assert await handling.attempt(unit) is None
        assert [len(batch) for batch in it.calls] == [2, 2, 2]
        assert it.outcomes == [
            ("a1", "ack"),
            ("b1", "ack"),
            ("c1", "reject"),
            ("d1", "reject"),
        ]


async def test_what_a_batch_handler_settled_is_not_tried_again():
    """Only the rest comes again; what waits behind a released one goes back."""
    async with handled() as it:
        sizes: list[int] = []

        async def handle(batch: Batch) -> None:
            sizes.append(len(batch))
            if len(batch) == 3:
                await batch[0].release()
                await batch[1].ack()
                raise NO

        handling = Handling(it.subscription, batch_handler=handle, retry=TWICE)
        unit = await it.unit("a1", "b1", "c1")
        it.receiver.give("a2", "b2", "c2")
        await it.receiver.until(lambda: not it.receiver._given)
        await asyncio.sleep(0)
        assert await handling.attempt(unit) == 0.5
        assert unit.keys() == {"c"}
        assert await handling.attempt(unit) is None
        assert sizes == [3, 1]
        assert it.outcomes == [("a1", "release"), ("b1", "ack"), ("a2", "release"), ("c1", "ack")]


async def test_every_attempt_says_how_it_ended():
    """The spans show retry, dead_letter, reject, release, and what failed."""
    with SpanRecorder(TracerProvider()) as spans:
        tracing = Tracing(tracer_provider=spans.tracer_provider)
        async with handled(tracing=tracing, dead_letter="orders.dead") as it:
            unit, handling = await it.unit("a1"), it.handling(NO, NO, Retry(0.0), retry=TWICE)
            await handling.attempt(unit)
            await handling.attempt(unit)
            await handling.attempt(await it.unit("b1"))
            await it.handling(Reject("bad")).attempt(await it.unit("c1"))
            it.transport.sends.append(TransportError("full"))
            with pytest.raises(DeliveryError):
                await it.handling(NO).attempt(await it.unit("d1"))
    facts = [span.attributes or {} for span in spans.named("process orders")]
    assert [(one["linkbus.outcome"], one.get("error.type")) for one in facts] == [
        ("retry", "ValueError"),
        ("dead_letter", "ValueError"),
        ("retry", None),
        ("dead_letter", "linkbus.Reject"),
        ("release", "ValueError"),
    ]
    events = [len(span.events) for span in spans.named("process orders")]
    assert events == [1, 1, 0, 0, 1]


async def test_a_dead_letter_producer_that_fails_otherwise_ends_run():
    """An error that is none of a transport is raised as it is, after the release."""
    async with scripted() as (bus, transport):
        consumer = bus.consumer("orders", dead_letter="orders.dead")

        async def handle(delivery: Delivery) -> None:
            raise NO

        async with running(consumer.run(handle)) as task:
            await transport.watch.until(lambda: transport.receivers)
            transport.sends.append(RuntimeError("bug"))
            transport.receiver.give("a1")
            assert str(await ended(task)) == "bug"
        assert transport.receiver.outcomes == [("a1", "release")]


async def test_without_a_handler_there_is_nothing_to_do():
    """A unit that nobody wants to handle is acknowledged."""
    async with handled() as it:
        assert await Handling(it.subscription, retry=None).attempt(await it.unit("a1")) is None
        assert it.outcomes == [("a1", "ack")]


async def test_a_rejection_by_hand_that_nobody_takes_ends_run():
    """The copy is not sent: the message is released, and run does not go on as if it were."""
    async with handled(dead_letter="orders.dead") as it:

        async def handle(delivery: Delivery) -> None:
            await delivery.reject("bad")

        it.transport.sends.append(TransportError("full"))
        handling = Handling(it.subscription, handler=handle, retry=TWICE)
        with pytest.raises(DeliveryError, match="full"):
            await handling.attempt(await it.unit("a1"))
        assert it.outcomes == [("a1", "release")]


async def test_what_waits_behind_a_lost_delivery_is_released():
    """The lost one comes again: the later ones of its key must not overtake it."""
    async with handled() as it:
        one = arrival("a1")
        unit = await it.unit(one)
        it.receiver.give("a2", "b1")
        await it.receiver.until(lambda: not it.receiver._given)
        await asyncio.sleep(0)
        it.receiver.lost([one], 0.0)
        assert await it.handling().attempt(unit) is None
        assert it.outcomes == [("a2", "release")]


@pytest.mark.parametrize("stop", ["failure", "cancellation"])
async def test_what_has_its_copy_is_acknowledged_though_the_next_has_none(stop: str):
    """Of a batch that is dead-lettered, only what has no copy comes again."""
    async with handled(dead_letter="orders.dead") as it:
        unit = await it.unit("a1", "b1", "c1")
        sent = SendResult(SendStatus.SENT)
        blocked = anyio.Event()
        it.transport.sends.extend(
            [[sent], TransportError("full") if stop == "failure" else blocked]
        )
        handling = asyncio.create_task(it.handling(NO, batches=True).attempt(unit))
        await it.transport.watch.until(lambda: len(it.transport.sent) == 2)
        if stop == "cancellation":
            handling.cancel()
        with pytest.raises(DeliveryError if stop == "failure" else asyncio.CancelledError):
            await handling
        assert sorted(it.outcomes) == [("a1", "ack"), ("b1", "release"), ("c1", "release")]


async def test_a_message_that_nobody_takes_is_not_received_once_more():
    """It would come again while the others end, and count as a delivery that nobody saw."""
    released = anyio.Event()

    async def handle(delivery: Delivery) -> None:
        if delivery.key == "bad":
            raise NO
        await released.wait()

    class Told(MemoryTransport):
        async def subscribe(self, source, group, *, prefetch, lost):
            receiver = await super().subscribe(source, group, prefetch=prefetch, lost=lost)
            settle = receiver.settle

            async def settled(settlements):
                results = await settle(settlements)
                asyncio.get_running_loop().call_later(0.05, released.set)
                return results

            receiver.settle = settled
            return receiver

    async with Bus(Told(), tracing=UNTRACED) as bus:
        for key in ("good", "bad"):
            await bus.producer("orders").send(b"-", key=key)
        with pytest.raises(DeliveryError):
            await bus.consumer("orders", concurrency=2).run(handle)
        async with bus.consumer("orders") as consumer:
            (again,) = await consumer.receive(1, timeout=5.0)
            assert (again.key, again.attempt) == ("bad", 2)
            await again.ack()
