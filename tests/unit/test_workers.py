"""Workers: concurrency, the order of keys, retries, losing deliveries, and draining."""

from __future__ import annotations

import asyncio
import random

import anyio
import pytest

from linkbus import (
    Batch,
    Bus,
    Delivery,
    DeliveryError,
    Retry,
    RetryPolicy,
    TransportError,
    UsageError,
)
from linkbus.transports.memory import MemoryBroker, MemoryTransport
from tests.unit.scripted import STALE, Watch, Work, arrival, ended, running, scripted

AT_ONCE = RetryPolicy(max_attempts=3, initial_delay=0.0, jitter=0.0)
LATER = RetryPolicy(max_attempts=3, initial_delay=60.0, max_delay=60.0, jitter=0.0)
SOON = RetryPolicy(max_attempts=3, initial_delay=0.02, jitter=0.0)


async def test_as_many_handlers_run_at_once_as_concurrency_says():
    """Three of five run at once, and the others follow as these end."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("1", "2", "3", "4", "5")
        consumer = bus.consumer("orders", concurrency=3)
        async with running(consumer.run(work)):
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("1", "2", "3", "4", "5")
            await work.until(lambda: work.running == 3)
            work.gates["2"].set()
            await work.until(lambda: len(work.started) == 4)
            assert work.started == ["1", "2", "3", "4"]
            for gate in work.gates.values():
                gate.set()
            await work.until(lambda: len(work.ended) == 5)
            await transport.receiver.until(lambda: len(transport.receiver.settled) == 5)
        assert work.most == 3
        assert {outcome for _, outcome in transport.receiver.outcomes} == {"ack"}


async def test_deliveries_of_one_key_are_handled_in_order_and_others_beside_them():
    """While the first of a key is worked on, other keys go on, and its next one waits."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        consumer = bus.consumer("orders", concurrency=4)
        async with running(consumer.run(work)):
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1", "a2", "b1", "a3", "b2", "c1")
            await work.until(lambda: len(work.ended) == 3)
            assert work.ended == ["b1", "c1", "b2"]
            work.gates["a1"].set()
            await work.until(lambda: len(work.ended) == 6)
            assert work.ended[3:] == ["a1", "a2", "a3"]


async def test_without_a_key_nothing_waits():
    """Deliveries without a key run together, however long the first one takes."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("1")
        async with running(bus.consumer("orders", concurrency=2).run(work)):
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("1", "2", "3", "4")
            await work.until(lambda: work.ended == ["2", "3", "4"])


async def test_random_durations_never_change_the_order_within_a_key():
    """Twenty keys of ten messages, released in a scrambled order, stay in order each."""
    async with scripted() as (bus, transport):
        work = Work()
        ids = [f"{chr(97 + n % 20)}{n // 20}" for n in range(200)]
        work.gate(*ids)
        scrambled = random.Random(7).sample(ids, len(ids))  # noqa: S311 - the same each time
        async with running(bus.consumer("orders", concurrency=16, prefetch=300).run(work)):
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give(*ids)
            for one in scrambled:
                work.gates[one].set()
                await asyncio.sleep(0)
            await work.until(lambda: len(work.ended) == 200)
        for key in "abcdefghijklmnopqrst":
            of_key = [one for one in work.ended if one is not None and one[0] == key]
            assert of_key == sorted(of_key)
        assert work.most > 1


async def test_the_slot_is_given_up_while_a_retry_waits():
    """With one slot, another key is handled while the first waits for its next attempt."""
    async with scripted() as (bus, transport):
        work = Work()
        work.fail("a1", ValueError("no"))
        async with running(bus.consumer("orders", retry=LATER).run(work)):
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1", "a2", "b1")
            await work.until(lambda: work.ended == ["b1"])
            assert work.started == ["a1", "b1"]
        outcomes = transport.receiver.outcomes
        assert outcomes[0] == ("b1", "ack")
        assert outcomes[1:] == [("a1", "release"), ("a2", "release")]


async def test_order_within_a_key_is_kept_while_retrying():
    """The second of a key is not handled before the first has succeeded."""
    async with scripted() as (bus, transport):
        work = Work()
        work.fail("a1", ValueError("no"), ValueError("no"))
        async with running(bus.consumer("orders", concurrency=3, retry=SOON).run(work)):
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1", "a2", "b1")
            await work.until(lambda: "a2" in work.ended)
        assert [one for one in work.started if one != "b1"] == ["a1", "a1", "a1", "a2"]
        assert work.attempts[0] == 1
        assert 3 in work.attempts


async def test_retries_that_are_due_come_before_new_deliveries():
    """Two that wait for the slot to be free are attempted again before the next new one."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("b1")
        work.fail("a1", ValueError("no"))
        async with running(bus.consumer("orders", retry=AT_ONCE).run(work)):
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1", "b1")
            await work.until(lambda: work.started[:2] == ["a1", "b1"])
            transport.receiver.give("c1")
            await transport.receiver.until(lambda: len(transport.receiver.asked) > 1)
            work.gates["b1"].set()
            await work.until(lambda: "c1" in work.ended)
        assert work.started == ["a1", "b1", "a1", "c1"]


async def test_a_lost_delivery_that_waits_for_a_slot_is_not_attempted_again():
    """What is lost between two attempts is forgotten, and the next of its key is free."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("b1")
        work.fail("a1", ValueError("no"))
        async with running(bus.consumer("orders", retry=AT_ONCE).run(work)):
            await transport.watch.until(lambda: transport.receivers)
            receiver = transport.receiver
            first = arrival("a1")
            receiver.give(first, "b1", "a2")
            await work.until(lambda: work.started[:2] == ["a1", "b1"])
            for _ in range(10):
                await asyncio.sleep(0)
            receiver.lost([first], 0.0)
            work.gates["b1"].set()
            await work.until(lambda: "a2" in work.ended)
        assert work.started == ["a1", "b1", "a2"]


async def test_a_lost_delivery_that_waits_for_its_time_is_forgotten():
    """Lost during the wait, it is not attempted when its time has come."""
    async with scripted() as (bus, transport):
        work = Work()
        work.fail("a1", ValueError("no"))
        async with running(bus.consumer("orders", retry=SOON).run(work)):
            await transport.watch.until(lambda: transport.receivers)
            first = arrival("a1")
            transport.receiver.give(first, "a2")
            await work.until(lambda: work.started == ["a1"])
            transport.receiver.lost([first], 0.0)
            await work.until(lambda: work.ended == ["a2"])
        assert work.started == ["a1", "a2"]


async def test_losing_a_delivery_cancels_its_handler_and_no_other():
    """Grace 0: the handler is cancelled, nothing is settled for it, the others go on."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1", "b1")
        async with running(bus.consumer("orders", concurrency=2).run(work)):
            await transport.watch.until(lambda: transport.receivers)
            receiver, first = transport.receiver, arrival("a1")
            receiver.give(first, "b1", "c1")
            await work.until(lambda: work.running == 2)
            receiver.lost([first], 0.0)
            await work.until(lambda: "c1" in work.ended)
            work.gates["b1"].set()
            await work.until(lambda: "b1" in work.ended)
            await receiver.until(lambda: len(receiver.settled) == 2)
        assert work.cancelled == ["a1"]
        assert receiver.outcomes == [("c1", "ack"), ("b1", "ack")]


async def test_a_handler_that_outlives_its_cancellation_does_not_pass_it_on():
    """A handler swallows the cancellation of a lost delivery: the next one is not cancelled."""
    async with scripted() as (bus, transport):
        is_started = anyio.Event()
        seen: list[str | None] = []

        async def stubborn(delivery: Delivery) -> None:
            seen.append(delivery.id)
            if delivery.id == "a1":
                is_started.set()
                try:
                    await anyio.sleep_forever()
                except anyio.get_cancelled_exc_class():
                    return
            await asyncio.sleep(0)
            seen.append("done")

        async with running(bus.consumer("orders").run(stubborn)):
            await transport.watch.until(lambda: transport.receivers)
            receiver, first = transport.receiver, arrival("a1")
            receiver.give(first, "b1")
            with anyio.fail_after(2):
                await is_started.wait()
            receiver.lost([first], 0.0)
            await receiver.until(lambda: receiver.settled)
        assert seen == ["a1", "b1", "done"]
        assert receiver.outcomes == [("b1", "ack")]


async def test_with_grace_those_in_work_settle_in_time():
    """Grace > 0: what has not started is released, what has settles within the grace."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        async with running(bus.consumer("orders").run(work)):
            await transport.watch.until(lambda: transport.receivers)
            receiver = transport.receiver
            first, second, third = arrival("a1"), arrival("a2"), arrival("b1")
            receiver.give(first, second, third)
            await work.until(lambda: work.running == 1)
            receiver.lost([first, second, third], 10.0)
            await receiver.until(lambda: len(receiver.settled) == 2)
            assert sorted(receiver.outcomes) == [("a2", "release"), ("b1", "release")]
            work.gates["a1"].set()
            await receiver.until(lambda: len(receiver.settled) == 3)
        assert receiver.outcomes[2] == ("a1", "ack")
        assert work.started == ["a1"]


async def test_with_grace_those_in_work_are_cancelled_after_it():
    """A handler that needs longer than the grace is cancelled, and not settled."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        async with running(bus.consumer("orders").run(work)):
            await transport.watch.until(lambda: transport.receivers)
            receiver, first = transport.receiver, arrival("a1")
            receiver.give(first)
            await work.until(lambda: work.running == 1)
            receiver.lost([first], 0.02)
            await work.until(lambda: work.cancelled == ["a1"])
        assert receiver.settled == []


async def test_a_retry_that_the_grace_cannot_cover_is_a_release():
    """A revoked delivery is not held for an attempt that would come after the grace."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        work.fail("a1", ValueError("no"))
        async with running(bus.consumer("orders", retry=LATER).run(work)):
            await transport.watch.until(lambda: transport.receivers)
            receiver, first = transport.receiver, arrival("a1")
            receiver.give(first)
            await work.until(lambda: work.running == 1)
            receiver.lost([first], 5.0)
            work.gates["a1"].set()
            await receiver.until(lambda: receiver.settled)
        assert receiver.outcomes == [("a1", "release")]


async def test_a_lease_is_extended_while_its_handler_runs():
    """A handler that takes several leases keeps its delivery, and acknowledges it."""
    async with scripted(extendable_lease=True) as (bus, transport):
        work = Work()
        work.gate("a1")
        async with running(bus.consumer("orders").run(work)):
            await transport.watch.until(lambda: transport.receivers)
            receiver = transport.receiver
            receiver.give(arrival("a1", lease=0.04))
            await receiver.until(lambda: len(receiver.extended) >= 4)
            work.gates["a1"].set()
            await receiver.until(lambda: receiver.settled)
        assert receiver.outcomes == [("a1", "ack")]


async def test_a_lease_that_cannot_be_extended_ends_its_handler():
    """Without extendable leases a handler is cancelled when its lease is over."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        async with running(bus.consumer("orders").run(work)):
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give(arrival("a1", lease=0.02))
            await work.until(lambda: work.cancelled == ["a1"])
        assert transport.receiver.settled == []


async def test_stale_from_extend_cancels_the_handler():
    """STALE means that somebody else has it: its handler is cancelled at once."""
    async with scripted(extendable_lease=True) as (bus, transport):
        work = Work()
        work.gate("a1")
        async with running(bus.consumer("orders").run(work)):
            await transport.watch.until(lambda: transport.receivers)
            receiver = transport.receiver
            receiver.extends.append([STALE])
            receiver.give(arrival("a1", lease=0.04))
            await work.until(lambda: work.cancelled == ["a1"])
        assert receiver.settled == []


async def test_draining_lets_handlers_end_and_releases_the_rest():
    """Cancelled once, run waits for its handlers; what has not started is given back."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1", "b1")
        async with running(bus.consumer("orders", concurrency=2).run(work)) as task:
            await transport.watch.until(lambda: transport.receivers)
            receiver = transport.receiver
            receiver.give("a1", "b1", "a2", "c1")
            await work.until(lambda: work.running == 2)
            task.cancel()
            await asyncio.sleep(0)
            work.gates["a1"].set()
            work.gates["b1"].set()
            assert await ended(task) is None
            assert task.cancelled()
        assert sorted(work.ended, key=str) == ["a1", "b1"]
        assert receiver.outcomes[:2] == [("a1", "ack"), ("b1", "ack")]
        assert sorted(receiver.outcomes[2:]) == [("a2", "release"), ("c1", "release")]


async def test_a_handler_that_fails_while_draining_is_not_retried():
    """There is no time for another attempt: the delivery is released."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        work.fail("a1", ValueError("no"))
        async with running(bus.consumer("orders", retry=AT_ONCE).run(work)) as task:
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1")
            await work.until(lambda: work.running == 1)
            task.cancel()
            await asyncio.sleep(0)
            work.gates["a1"].set()
            await ended(task)
        assert work.started == ["a1"]
        assert transport.receiver.outcomes == [("a1", "release")]


async def test_handlers_are_cancelled_when_the_time_to_drain_is_over():
    """What still runs after drain_timeout is cancelled and released, in order."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        async with running(bus.consumer("orders", drain_timeout=0.02).run(work)) as task:
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1", "a2")
            await work.until(lambda: work.running == 1)
            task.cancel()
            await ended(task)
        assert work.cancelled == ["a1"]
        assert transport.receiver.outcomes == [("a1", "release"), ("a2", "release")]


async def test_a_second_cancellation_cancels_the_handlers():
    """A task cancelled twice does not wait for drain_timeout."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        async with running(bus.consumer("orders", drain_timeout=60).run(work)) as task:
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1", "a2")
            await work.until(lambda: work.running == 1)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            await ended(task)
            assert task.cancelled()
        assert work.cancelled == ["a1"]
        assert transport.receiver.outcomes == [("a1", "release"), ("a2", "release")]


@pytest.mark.parametrize("steps", range(12))
async def test_any_number_of_cancellations_leaves_nothing_behind(steps: int):
    """Cancelled again at each step of draining and closing, run leaves no task and closes."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        async with running(bus.consumer("orders", drain_timeout=60).run(work)) as task:
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.closing = anyio.Event()
            transport.receiver.give("a1", "a2")
            await work.until(lambda: work.running == 1)
            for _ in range(steps):
                task.cancel()
                await asyncio.sleep(0)
            transport.receiver.closing.set()
            work.gates["a1"].set()
            task.cancel()
            await ended(task)
            assert task.cancelled()
        assert transport.receiver.is_closed


async def test_cancellations_while_a_slow_handler_is_cancelled_are_kept():
    """A third cancellation finds the handler still cleaning up, and waits for it all the same."""
    async with scripted() as (bus, transport):
        is_started, may_end = anyio.Event(), anyio.Event()
        is_over: list[str] = []

        async def slow(delivery: Delivery) -> None:
            is_started.set()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await may_end.wait()
                is_over.append("cleaned up")

        async with running(bus.consumer("orders", drain_timeout=60).run(slow)) as task:
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1")
            with anyio.fail_after(2):
                await is_started.wait()
            for _ in range(3):
                task.cancel()
                for _ in range(3):
                    await asyncio.sleep(0)
            assert not task.done()
            may_end.set()
            await ended(task)
        assert is_over == ["cleaned up"]


@pytest.mark.parametrize("inside", [False, True], ids=["by itself", "inside async with"])
async def test_run_ends_with_a_scope_around_it(inside: bool):
    """`anyio.move_on_after` ends it: handlers are awaited, and nothing is raised."""
    broker = MemoryBroker()
    async with Bus(MemoryTransport(broker)) as bus:
        await bus.producer("orders").send(b"1", id="1")
        consumer, work = bus.consumer("orders"), Work()
        with anyio.move_on_after(0.05) as scope:
            if inside:
                async with consumer:
                    await consumer.run(work)
            else:
                await consumer.run(work)
        assert scope.cancelled_caught
        assert work.ended == ["1"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_run_drains_on_every_event_loop(backend: str):
    """On asyncio and on trio: handled, drained, and what was not done comes again."""
    anyio.run(_drains, backend=backend)


async def _drains() -> None:
    async with Bus(MemoryTransport()) as bus:
        for mid in ("a1", "b1", "a2"):
            await bus.producer("orders").send(b"x", id=mid, key=mid[0])
        work = Work()
        work.gate("b1")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.consumer("orders", drain_timeout=0.02).run, work)
            await work.until(lambda: "b1" in work.started)
            tasks.cancel_scope.cancel()
        assert work.cancelled == ["b1"]
        async with bus.consumer("orders") as consumer:
            left = await consumer.receive(10, timeout=1)
        assert "b1" in {delivery.id for delivery in left}
        assert {delivery.id for delivery in left} | set(work.ended) == {"a1", "b1", "a2"}


async def test_an_error_of_the_transport_ends_run_after_draining():
    """A receive that cannot go on ends run with its error, when the handlers have ended."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        async with running(bus.consumer("orders").run(work)) as task:
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1")
            await work.until(lambda: work.running == 1)
            transport.receiver.give(TransportError("gone"))
            await transport.receiver.until(lambda: not transport.receiver._given)
            await asyncio.sleep(0)
            assert not task.done()
            work.gates["a1"].set()
            assert str(await ended(task)) == "gone"
        assert transport.receiver.outcomes == [("a1", "ack")]


async def test_a_delivery_that_nobody_takes_ends_run():
    """DeliveryError ends run: its delivery and the next of its key are released."""
    async with scripted() as (bus, transport):
        work = Work()
        work.fail("a1", ValueError("no"))
        async with running(bus.consumer("orders").run(work)) as task:
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1", "a2")
            error = await ended(task)
        assert isinstance(error, DeliveryError)
        assert isinstance(error.__cause__, ValueError)
        assert transport.receiver.outcomes == [("a1", "release"), ("a2", "release")]


async def test_a_handler_that_raises_a_cancellation_by_itself_does_not_end_run():
    """A cancellation that nobody asked for is a failure like others: the policy decides."""
    async with scripted() as (bus, transport):
        work = Work()
        work.fail("a1", asyncio.CancelledError())
        async with running(bus.consumer("orders", retry=AT_ONCE).run(work)) as task:
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1", "b1")
            await work.until(lambda: len(work.ended) == 2)
            await transport.receiver.until(lambda: len(transport.receiver.settled) == 2)
            assert not task.done()
        assert sorted(transport.receiver.outcomes) == [("a1", "ack"), ("b1", "ack")]


async def test_closing_the_bus_ends_run():
    """A bus that is closed under a running consumer ends it with an error, and releases."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("a1")
        async with running(bus.consumer("orders").run(work)) as task:
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1")
            await work.until(lambda: work.running == 1)
            await bus.__aexit__(None, None, None)
            work.gates["a1"].set()
            assert isinstance(await ended(task), UsageError)
        assert transport.receiver.outcomes == [("a1", "release")]


async def test_releasing_in_a_handler_releases_what_waits_behind_it():
    """A handler's release gives back the held ones of its key too, so that order is kept."""
    counting = scripted(redelivers=True, ordering="key", counts_deliveries=True)
    async with counting as (bus, transport):
        seen: list[tuple[str | None, int]] = []

        async def handle(delivery: Delivery) -> None:
            seen.append((delivery.id, delivery.attempt))
            if delivery.id == "a1" and delivery.attempt == 1:
                await delivery.release()

        async with running(bus.consumer("orders").run(handle)):
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("a1", "a2", "a3")
            await transport.receiver.until(lambda: ("a3", "ack") in transport.receiver.outcomes)
        assert [mid for mid, _ in seen] == ["a1", "a1", "a2", "a3"]


async def test_a_worker_that_is_free_takes_what_another_batch_had_kept_back():
    """The end of a batch frees many keys at once: as many workers go on as there are batches."""
    async with scripted() as (bus, transport):
        is_started, may_go_on = anyio.Event(), anyio.Event()
        batches: list[list[str | None]] = []
        together = anyio.Event()
        running_now = 0

        async def handle(batch: Batch) -> None:
            nonlocal running_now
            batches.append([delivery.id for delivery in batch])
            if len(batches) == 1:
                is_started.set()
                await may_go_on.wait()
                return
            running_now += 1
            if running_now == 2:
                together.set()
            await together.wait()

        consumer = bus.consumer("orders", concurrency=2, prefetch=8)
        async with running(consumer.run_batches(handle, max_messages=2, max_wait=0.0)):
            await transport.watch.until(lambda: transport.receivers)
            receiver = transport.receiver
            receiver.give("a1", "b1")
            with anyio.fail_after(2):
                await is_started.wait()
            receiver.give("a2", "b2", "a3", "b3")
            await receiver.until(lambda: not receiver._given and receiver.is_receiving)
            may_go_on.set()
            with anyio.fail_after(2):
                await together.wait()


async def test_a_batch_waits_for_more_until_its_time_is_over():
    """A batch that is not full is handled max_wait after its first message."""
    async with scripted() as (bus, transport):
        got: list[list[str | None]] = []
        changed = anyio.Event()

        async def handle(batch: Batch) -> None:
            got.append([delivery.id for delivery in batch])
            changed.set()

        consumer = bus.consumer("orders", concurrency=2)
        async with running(consumer.run_batches(handle, max_messages=3, max_wait=0.03)):
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("1")
            with anyio.fail_after(2):
                await changed.wait()
            transport.receiver.give("2")
            await transport.receiver.until(lambda: not transport.receiver._given)
            transport.receiver.give("3", "4")
            await transport.receiver.until(lambda: len(transport.receiver.settled) == 4)
        assert got == [["1"], ["2", "3", "4"]]


async def test_a_batch_keeps_a_key_to_itself():
    """While a batch is worked on, no other one has a message of its keys."""
    async with scripted() as (bus, transport):
        work, batches = Work(), []
        work.gate("a1")

        async def handle(batch: Batch) -> None:
            batches.append([delivery.id for delivery in batch])
            await work(batch[0])

        consumer = bus.consumer("orders", concurrency=3, prefetch=10)
        async with running(consumer.run_batches(handle, max_messages=2, max_wait=0.0)):
            await transport.watch.until(lambda: transport.receivers)
            receiver = transport.receiver
            receiver.give("a1")
            await work.until(lambda: work.running == 1)
            receiver.give("a2", "b1")
            await work.until(lambda: work.ended == ["b1"])
            work.gates["a1"].set()
            await work.until(lambda: work.ended == ["b1", "a1", "a2"])
        assert batches == [["a1"], ["b1"], ["a2"]]


class Whims:
    """A handler that fails, retries, releases and dawdles by chance, and notes successes."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - the same whims each time
        self.done: list[str | None] = []
        self.watch = Watch()

    async def __call__(self, delivery: Delivery) -> None:
        whim = self.chance.random()
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        if whim < 0.15:
            raise ValueError
        if whim < 0.25:
            raise Retry(self.chance.choice([0.0, 0.001]))
        if whim < 0.3:
            raise asyncio.CancelledError
        if whim < 0.45:
            await delivery.release(self.chance.choice([0.0, 0.002]))
            return
        await delivery.ack()
        self.done.append(delivery.id)
        self.watch.changed()


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_handlers_do_every_message_is_done_once_and_in_order(seed: int):
    """Two members, small buffers, random outcomes and restarts: no stall, no loss, no disorder."""
    handle, chance = Whims(seed), random.Random(seed)  # noqa: S311 - the same each time
    policy = RetryPolicy(max_attempts=10**6, initial_delay=0.001, max_delay=0.002)
    async with Bus(MemoryTransport()) as bus:

        def member() -> asyncio.Task[None]:
            consumer = bus.consumer(
                "orders",
                concurrency=chance.randint(1, 4),
                prefetch=chance.randint(1, 6),
                retry=policy,
                drain_timeout=0.01,
            )
            return asyncio.create_task(consumer.run(handle))

        members = [member(), member()]
        for number in range(60):
            key = chance.choice([None, "a", "b", "c"])
            await bus.producer("orders").send(b"x", id=f"{key} {number:02}", key=key)
            if chance.random() < 0.05:
                members[0].cancel()
                await ended(members.pop(0))
                members.append(member())
        await handle.watch.until(lambda: len(handle.done) >= 60)
        for task in members:
            task.cancel()
            await ended(task)
    assert len(set(handle.done)) == len(handle.done) == 60
    for key in "abc":
        of_key = [one for one in handle.done if one is not None and one[0] == key]
        assert of_key == sorted(of_key)
