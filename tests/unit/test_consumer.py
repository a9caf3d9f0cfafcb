"""Consumer: its pull and push styles, entering and leaving, and cancelling at any moment."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import anyio
import pytest

from linkbus import Batch, Bus, Consumer, Delivery, RetryPolicy, TransportError, UsageError
from linkbus.transports.memory import MemoryBroker, MemoryTransport
from tests.unit.scripted import Watch, Work, ended, running, scripted


async def fill(bus: Bus, count: int, *, keys: int = 0) -> None:
    """Send messages with the ids "0", "1" and so on."""
    producer = bus.producer("orders")
    for number in range(count):
        key = None if not keys else str(number % keys)
        await producer.send(b"x", id=str(number), key=key)


async def take(consumer: Consumer) -> Delivery:
    """Return the next delivery, which is there or comes soon."""
    with anyio.fail_after(2):
        return await anext(aiter(consumer))


async def test_iterating_gives_each_delivery_once():
    """What is sent is given in order, and acknowledged at the end of each block."""
    async with Bus(MemoryTransport()) as bus, bus.consumer("orders") as consumer:
        await fill(bus, 5)
        got: list[str | None] = []
        async for delivery in consumer:
            async with delivery:
                got.append(delivery.id)
            if len(got) == 5:
                break
        assert got == ["0", "1", "2", "3", "4"]


async def test_entering_returns_when_the_group_exists():
    """What is sent after entering arrives, though nothing was received yet."""
    async with Bus(MemoryTransport()) as bus, bus.consumer("orders", group="g") as consumer:
        await fill(bus, 1)
        assert (await take(consumer)).id == "0"
        assert (consumer.source, consumer.group) == ("orders", "g")


async def test_leaving_a_loop_early_gives_back_what_was_not_settled():
    """After `break` the delivery in hand and the prefetched ones come again."""
    async with Bus(MemoryTransport()) as bus:
        await fill(bus, 3)
        async with bus.consumer("orders") as consumer:
            async for delivery in consumer:
                assert delivery.id == "0"
                break
        async with bus.consumer("orders") as consumer:
            again = await consumer.receive(10, timeout=1)
        assert [(one.id, one.attempt) for one in again] == [("0", 2), ("1", 2), ("2", 2)]


async def test_an_exception_in_a_block_releases_and_goes_on():
    """The application owns the error; the message comes again at once."""
    async with Bus(MemoryTransport()) as bus, bus.consumer("orders") as consumer:
        await fill(bus, 1)
        with pytest.raises(ValueError, match="no"):
            async with await take(consumer):
                raise ValueError("no")  # noqa: EM101 - the text is the expectation
        assert (await take(consumer)).attempt == 2


async def test_a_receive_with_a_timeout_returns_empty():
    """Nothing within the timeout is an empty list, also without any time."""
    async with Bus(MemoryTransport()) as bus, bus.consumer("orders") as consumer:
        assert await consumer.receive(5, timeout=0.01) == []
        assert await consumer.receive(5, timeout=0) == []


async def test_a_receive_returns_what_is_there_up_to_its_limit():
    """It waits for the first, not for more, and gives at most what was asked."""
    async with Bus(MemoryTransport()) as bus, bus.consumer("orders") as consumer:
        await fill(bus, 5)
        first = await consumer.receive(2)
        rest = await consumer.receive(10)
        assert [one.id for one in first] == ["0", "1"]
        assert [one.id for one in rest] == ["2", "3", "4"]


async def test_two_tasks_may_iterate_one_consumer():
    """Each delivery is given to one of them, and none is lost."""
    async with Bus(MemoryTransport()) as bus, bus.consumer("orders") as consumer:
        got: list[str | None] = []

        async def work() -> None:
            async for delivery in consumer:
                async with delivery:
                    got.append(delivery.id)
                    changed.changed()
                    await asyncio.sleep(0)

        changed = Watch()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            tasks.start_soon(work)
            for _ in range(10):
                await asyncio.sleep(0)
            await fill(bus, 40)
            await changed.until(lambda: len(got) == 40)
            tasks.cancel_scope.cancel()
        assert sorted(got, key=str) == sorted(map(str, range(40)))


@pytest.mark.parametrize("style", ["iterate", "receive", "batches"])
async def test_cancelling_a_wait_200_times_loses_nothing(style: str):
    """Cancelled after any number of steps, natively and by a scope: all arrives, once."""
    async with Bus(MemoryTransport()) as bus, bus.consumer("orders", prefetch=8) as consumer:
        got: list[str | None] = []
        batches = consumer.batches(max_messages=4, max_wait=0.0)
        styles = {
            "iterate": lambda: anext(aiter(consumer)),
            "receive": lambda: consumer.receive(3),
            "batches": lambda: anext(batches),
        }

        async def once() -> None:
            given = await styles[style]()
            got.extend([given.id] if isinstance(given, Delivery) else [one.id for one in given])

        for number in range(200):
            waiting = asyncio.create_task(once())
            for _ in range(number % 7):
                await asyncio.sleep(0)
            await bus.producer("orders").send(b"x", id=str(number))
            for _ in range(number % 3):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        with anyio.move_on_after(1):
            while len(got) < 200:
                await once()
        assert sorted(got, key=str) == sorted(map(str, range(200)))


async def test_a_consumer_opens_in_an_exit_stack():
    """Bus and consumers on one stack are closed in turn."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus(MemoryTransport()))
        consumers = [
            await stack.enter_async_context(bus.consumer("orders", group=group)) for group in "ab"
        ]
        await fill(bus, 1)
        for consumer in consumers:
            async with await take(consumer) as delivery:
                assert delivery.id == "0"


async def test_a_consumer_is_entered_once():
    """Entering again, while open and after, is a UsageError that says so."""
    async with Bus(MemoryTransport()) as bus:
        consumer = bus.consumer("orders")
        async with consumer:
            with pytest.raises(UsageError, match="entered before"):
                await consumer.__aenter__()
        with pytest.raises(UsageError, match="entered before"):
            await consumer.__aenter__()


async def test_a_consumer_that_is_not_open_gives_nothing():
    """Before entering and after leaving every style is a UsageError."""
    async with Bus(MemoryTransport()) as bus:
        consumer = bus.consumer("orders")
        for match in ("not open", "closed"):
            with pytest.raises(UsageError, match=match):
                aiter(consumer)
            with pytest.raises(UsageError, match=match):
                await consumer.receive()
            with pytest.raises(UsageError, match=match):
                consumer.batches(max_messages=1, max_wait=0)
            with pytest.raises(UsageError, match=match):
                await anext(consumer)
            if match == "not open":
                async with consumer:
                    pass
        with pytest.raises(UsageError, match="closed"):
            await consumer.run(Work())


async def test_leaving_a_consumer_that_was_not_entered_does_nothing():
    """An exit without an entry is harmless."""
    async with Bus(MemoryTransport()) as bus:
        await bus.consumer("orders").__aexit__(None, None, None)


async def test_a_closed_bus_gives_no_consumer():
    """Entering needs an open bus."""
    bus = Bus(MemoryTransport())
    with pytest.raises(UsageError, match="not open yet"):
        await bus.consumer("orders").__aenter__()


async def test_a_consumer_that_is_being_opened_gives_nothing():
    """Another task that uses it before entering has returned gets a UsageError."""
    async with scripted() as (bus, transport):
        gate, consumer = anyio.Event(), bus.consumer("orders")
        transport.subscribes.append(gate)

        async def open_it() -> None:
            async with consumer:
                pass

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(open_it())
            await asyncio.sleep(0)
            with pytest.raises(UsageError, match="not open"):
                await consumer.receive()
            gate.set()


async def test_a_consumer_that_could_not_subscribe_may_be_entered_again():
    """The transport's error is raised and leaves nothing open; a later attempt may succeed."""
    async with scripted() as (bus, transport):
        transport.subscribes.append(TransportError("no such group"))
        consumer = bus.consumer("orders")
        with pytest.raises(TransportError, match="no such group"):
            await consumer.__aenter__()
        with pytest.raises(UsageError, match="not open"):
            await consumer.receive()
        async with consumer:
            transport.receiver.give("1")
            assert (await take(consumer)).id == "1"


async def test_two_tasks_cannot_run_one_consumer():
    """The second of two that start at once gets a UsageError, the first goes on."""
    async with scripted() as (bus, transport):
        work, consumer = Work(), bus.consumer("orders")
        gate = anyio.Event()
        transport.subscribes.append(gate)
        async with running(consumer.run(work)):
            await asyncio.sleep(0)
            with pytest.raises(UsageError):
                await consumer.run(work)
            gate.set()
            await transport.watch.until(lambda: transport.receivers)
            transport.receiver.give("1")
            await work.until(lambda: work.ended)


async def test_closing_the_bus_first_ends_whoever_waits():
    """A task that waits for a message gets a UsageError when the bus is closed."""
    async with Bus(MemoryTransport()) as bus:
        consumer = bus.consumer("orders")
        async with consumer:
            waiting = asyncio.create_task(take(consumer))
            await asyncio.sleep(0)
            await bus.__aexit__(None, None, None)
            with pytest.raises(UsageError, match="closed"):
                await waiting


async def test_closing_the_bus_while_a_consumer_opens_closes_it():
    """The receiver that comes too late is closed, and entering is a UsageError."""
    async with scripted() as (bus, transport):
        gate = anyio.Event()
        transport.subscribes.append(gate)
        entering = asyncio.create_task(bus.consumer("orders").__aenter__())
        await asyncio.sleep(0)
        await bus.__aexit__(None, None, None)
        gate.set()
        with pytest.raises(UsageError, match="closed"):
            await entering


async def test_leaving_while_the_bus_closes_waits_for_it():
    """A consumer and its bus that close at once close the receiver once, and first."""
    async with scripted() as (bus, transport):
        consumer = await bus.consumer("orders").__aenter__()
        gate = transport.receiver.closing = anyio.Event()
        closing = asyncio.create_task(bus.__aexit__(None, None, None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert transport.closes == 0
        asyncio.get_running_loop().call_soon(gate.set)
        await consumer.__aexit__(None, None, None)
        await closing
        assert transport.closes == 1


@pytest.mark.parametrize("steps", range(8))
async def test_cancelled_while_leaving_it_still_leaves(steps: int):
    """However often the task is cancelled in `aclose`, no task and no receiver stays."""
    async with scripted() as (bus, transport):

        async def use() -> None:
            async with bus.consumer("orders"):
                await anyio.sleep_forever()

        task = asyncio.create_task(use())
        await transport.watch.until(lambda: transport.receivers)
        transport.receiver.give("1")
        transport.receiver.closing = anyio.Event()
        await asyncio.sleep(0)
        for _ in range(steps):
            task.cancel()
            await asyncio.sleep(0)
        transport.receiver.closing.set()
        task.cancel()
        await ended(task)
        assert task.cancelled()


async def test_more_than_prefetch_is_a_usage_error():
    """`receive` and `batches` say that prefetch is too small."""
    async with (
        Bus(MemoryTransport()) as bus,
        bus.consumer("orders", prefetch=10) as consumer,
    ):
        with pytest.raises(UsageError, match="prefetch=10"):
            await consumer.receive(11)
        with pytest.raises(UsageError, match="prefetch=10"):
            consumer.batches(max_messages=11, max_wait=1)
        with pytest.raises(UsageError, match="prefetch=10"):
            await consumer.run_batches(_ignore, max_messages=11, max_wait=1)
        with pytest.raises(UsageError, match="max_messages=0"):
            await consumer.receive(0)


async def _ignore(batch: Batch) -> None:
    """Do nothing."""


async def test_run_batches_raises_prefetch_to_the_size_of_a_batch():
    """By itself, it asks for as many as a batch may have."""
    async with scripted() as (bus, transport):
        consumer = bus.consumer("orders", prefetch=10)
        async with running(consumer.run_batches(_ignore, max_messages=500, max_wait=1)):
            await transport.watch.until(lambda: transport.receivers)
            await transport.receiver.until(lambda: transport.receiver.asked)
        assert transport.receiver.prefetch == 500
        assert transport.receiver.asked[0] == 500


@pytest.mark.parametrize(
    ("options", "prefetch"), [({}, 100), ({"concurrency": 80}, 160), ({"prefetch": 3}, 3)]
)
async def test_prefetch_is_what_was_said_or_follows_concurrency(options, prefetch):
    """None is 100, or twice the concurrency."""
    async with scripted() as (bus, transport), bus.consumer("orders", **options):
        assert transport.receiver.prefetch == prefetch


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"prefetch": 0}, {"prefetch": -1}, {"drain_timeout": -1.0}]
)
def test_numbers_out_of_range_are_refused(options):
    """A concurrency, prefetch or drain_timeout that means nothing is a UsageError."""
    with pytest.raises(UsageError, match=next(iter(options))):
        Bus(MemoryTransport()).consumer("orders", **options)


async def test_a_consumer_that_runs_gives_nothing_else():
    """While a handler runs, another style, and a second run, are UsageErrors."""
    async with Bus(MemoryTransport()) as bus, bus.consumer("orders") as consumer:
        async with running(consumer.run(Work())):
            await asyncio.sleep(0)
            with pytest.raises(UsageError, match="runs a handler"):
                await consumer.receive()
            with pytest.raises(UsageError, match="runs a handler"):
                await consumer.run(Work())
        with pytest.raises(UsageError, match="runs a handler"):
            await anext(consumer)


async def test_a_handler_gets_every_message():
    """`run` enters and leaves by itself, and acknowledges what was handled."""
    async with Bus(MemoryTransport()) as bus:
        await fill(bus, 3)
        work = Work()
        async with running(bus.consumer("orders").run(work)):
            await work.until(lambda: len(work.ended) == 3)
        async with bus.consumer("orders") as consumer:
            assert await consumer.receive(timeout=0.01) == []


async def test_a_batch_handler_gets_every_message():
    """`run_batches` gives batches up to its limit, acknowledged when it returns."""
    async with Bus(MemoryTransport()) as bus:
        await fill(bus, 5)
        sizes: list[int] = []
        seen = Work()

        async def handle(batch: Batch) -> None:
            sizes.append(len(batch))
            for delivery in batch:
                await seen(delivery)

        async with running(
            bus.consumer("orders").run_batches(handle, max_messages=2, max_wait=0.01)
        ):
            await seen.until(lambda: len(seen.ended) == 5)
        assert max(sizes) == 2
        async with bus.consumer("orders") as consumer:
            assert await consumer.receive(timeout=0.01) == []


async def test_batches_come_from_what_is_there():
    """An iterator over batches gives full ones, and the rest after max_wait."""
    async with Bus(MemoryTransport()) as bus, bus.consumer("orders") as consumer:
        await fill(bus, 5)
        got: list[int] = []
        async for batch in consumer.batches(max_messages=2, max_wait=0.01):
            async with batch:
                got.append(len(batch))
            if sum(got) == 5:
                break
        assert got == [2, 2, 1]


async def test_a_service_outlives_any_restarts():
    """Started and cancelled at any moment: nothing is lost, and keys keep their order."""
    broker = MemoryBroker()
    async with Bus(MemoryTransport(broker)) as bus:
        await fill(bus, 100, keys=5)
        done: list[int] = []
        changed = Watch()
        seen: dict[str, list[int]] = {}

        async def handle(delivery: Delivery) -> None:
            await asyncio.sleep(0)
            seen.setdefault(str(delivery.key), []).append(int(delivery.id or 0))
            await delivery.ack()
            done.append(int(delivery.id or 0))
            changed.changed()

        for round_ in range(77):
            consumer = bus.consumer(
                "orders", concurrency=3, prefetch=4, drain_timeout=0, retry=RetryPolicy()
            )
            task = asyncio.create_task(consumer.run(handle))
            for _ in range(round_ % 11):
                await asyncio.sleep(0)
            task.cancel()
            await ended(task)
        async with running(bus.consumer("orders").run(handle)):
            await changed.until(lambda: len(set(done)) == 100)
        assert sorted(set(done)) == list(range(100))
        for numbers in seen.values():
            firsts = list(dict.fromkeys(numbers))
            assert firsts == sorted(firsts)


async def test_interrupting_a_block_releases_and_raises():
    """KeyboardInterrupt in a block, as an exception of this task, releases and goes on."""
    async with Bus(MemoryTransport()) as bus, bus.consumer("orders") as consumer:
        await fill(bus, 1)
        with pytest.raises(KeyboardInterrupt):
            async with await take(consumer):
                raise KeyboardInterrupt
        assert (await take(consumer)).attempt == 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_pulling_works_on_every_event_loop(backend: str):
    """Iterating, receiving, batches and errors, on asyncio and on trio."""
    anyio.run(_pulls, backend=backend)


async def _pulls() -> None:
    async with Bus(MemoryTransport()) as bus:
        await fill(bus, 6)
        with anyio.fail_after(5), pytest.raises(ValueError, match="no"):  # noqa: PT012 - what leaves it is the test
            async with bus.consumer("orders") as consumer:
                async with await anext(aiter(consumer)) as delivery:
                    assert delivery.id == "0"
                for one in await consumer.receive(2):
                    await one.ack()
                async with await anext(consumer.batches(max_messages=2, max_wait=1)) as batch:
                    assert [one.id for one in batch] == ["3", "4"]
                with anyio.move_on_after(0.01) as scope:
                    async with await anext(aiter(consumer)):
                        await anyio.sleep_forever()
                assert scope.cancelled_caught
                raise ValueError("no")  # noqa: EM101 - the text is the expectation
        async with bus.consumer("orders") as consumer:
            assert [(one.id, one.attempt) for one in await consumer.receive(9)] == [("5", 2)]


async def test_an_error_leaves_the_block_as_it_is():
    """Not in a group of exceptions, though the consumer has tasks of its own."""
    async with Bus(MemoryTransport()) as bus:
        with pytest.raises(ValueError, match="no"):
            async with bus.consumer("orders"):
                raise ValueError("no")  # noqa: EM101 - the text is the expectation


async def test_asyncio_s_own_timeouts_work_around_everything():
    """`asyncio.timeout` and `wait_for` end run and receive, with their own TimeoutError."""
    async with Bus(MemoryTransport()) as bus:
        await fill(bus, 1)
        work = Work()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.03):
                await bus.consumer("orders").run(work)
        assert work.ended == ["0"]
        async with bus.consumer("orders") as consumer:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(consumer.receive(), 0.01)
            await fill(bus, 1)
            assert len(await consumer.receive(timeout=1)) == 1
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0


async def test_a_sibling_s_failure_in_a_task_group_drains():
    """A service in an `asyncio.TaskGroup` drains when another task of it fails."""
    async with scripted() as (bus, transport):
        work = Work()
        work.gate("1")

        async def fail() -> None:
            await work.until(lambda: work.running)
            asyncio.get_running_loop().call_later(0.01, work.gates["1"].set)
            raise ValueError("no")  # noqa: EM101 - the text is the expectation

        with pytest.raises(ExceptionGroup):  # noqa: PT012 - as it is written
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(bus.consumer("orders").run(work))
                tasks.create_task(fail())
                await transport.watch.until(lambda: transport.receivers)
                transport.receiver.give("1", "2")
        assert work.ended == ["1"]
        assert transport.receiver.outcomes == [("1", "ack"), ("2", "release")]
