"""Consuming: what an application relies on, through linkbus's consumer on this broker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable

import anyio

import linkbus
from linkbus.testing._check import check
from linkbus.testing._trial import Trial

COUNT = 40
KEYS = 5


async def publish(bus: linkbus.Bus, destination: str) -> list[bytes]:
    """Send messages with a few keys, and return their bodies in order."""
    bodies = [b"%02d" % number for number in range(COUNT)]
    messages = [linkbus.Message(body, key=str(n % KEYS)) for n, body in enumerate(bodies)]
    results = await bus.producer(destination).send_batch(messages)
    statuses = {result.status for result in results}
    assert statuses == {linkbus.SendStatus.SENT}, f"the batch was {statuses}"
    return bodies


async def run_until(
    done: anyio.Event,
    consumer: linkbus.Consumer,
    handler: Callable[[linkbus.Delivery], Awaitable[None]],
    limit: float,
) -> None:
    """Run a handler until it is done or the time is over, then cancel, which drains."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.run, handler)
        with anyio.move_on_after(limit):
            await done.wait()
        tasks.cancel_scope.cancel()


@check()
async def handler(trial: Trial) -> None:
    """A handler is given every message once, four at a time."""
    destination = trial.new_destination()
    handled: list[bytes] = []
    done = anyio.Event()

    async def handle(delivery: linkbus.Delivery) -> None:
        await anyio.lowlevel.checkpoint()
        handled.append(delivery.body)
        if len(handled) == COUNT:
            done.set()

    async with trial.bus() as bus:
        await trial.leave(await trial.subscribe(destination))
        bodies = await publish(bus, destination)
        consumer = bus.consumer(destination, concurrency=4)
        await run_until(done, consumer, handle, trial.harness.patience)
    assert sorted(handled) == bodies, f"{COUNT} were sent, and handled were {sorted(handled)}"
    later = await trial.subscribe(destination)
    await trial.expect_nothing(later, "all were handled")


@check("ordering")
async def keys_in_order(trial: Trial) -> None:
    """A handler with a concurrency of eight is given the messages of each key in order."""
    destination = trial.new_destination()
    by_key: defaultdict[str | None, list[bytes]] = defaultdict(list)
    done = anyio.Event()

    async def handle(delivery: linkbus.Delivery) -> None:
        await anyio.sleep(0.001 * (int(delivery.body) % 3))
        by_key[delivery.key].append(delivery.body)
        if sum(map(len, by_key.values())) == COUNT:
            done.set()

    async with trial.bus() as bus:
        await trial.leave(await trial.subscribe(destination))
        bodies = await publish(bus, destination)
        consumer = bus.consumer(destination, concurrency=8)
        await run_until(done, consumer, handle, trial.harness.patience)
    expected = {str(key): bodies[key::KEYS] for key in range(KEYS)}
    assert by_key == expected, f"they were handled as {dict(by_key)}"


@check()
async def cancelled_handler(trial: Trial) -> None:
    """A service that is cancelled at its work loses nothing: the next one goes on."""
    destination = trial.new_destination()
    handled: set[bytes] = set()
    async with trial.bus() as bus:
        await trial.leave(await trial.subscribe(destination))
        bodies = await publish(bus, destination)
        for goal in (5, 15, COUNT):
            enough = anyio.Event()

            async def handle(
                delivery: linkbus.Delivery, goal: int = goal, enough: anyio.Event = enough
            ) -> None:
                await anyio.sleep(0.01)
                handled.add(delivery.body)
                if len(handled) >= goal:
                    enough.set()

            await run_until(enough, bus.consumer(destination), handle, trial.harness.patience)
    missing = set(bodies) - handled
    assert not missing, f"never handled: {sorted(missing)}"


def fail_first(seen: list[tuple[bytes, str]]) -> None:
    """Raise the first time."""
    if len(seen) == 1:
        raise LookupError


@check()
async def raising_block(trial: Trial) -> None:
    """A message whose block raises is released, and comes again."""
    destination = trial.new_destination()
    async with trial.bus() as bus, bus.consumer(destination) as consumer:
        await bus.producer(destination).send(b"again", headers={"tenant": "a"})
        seen = []
        async for delivery in consumer:
            seen.append((delivery.body, delivery.headers["tenant"]))
            try:
                async with delivery:
                    fail_first(seen)
            except LookupError:
                continue
            break
    assert seen == [(b"again", "a")] * 2, f"it came as {seen}"
    await trial.expect_nothing(await trial.subscribe(destination), "its second block ended well")


@check()
async def batch_with_a_release(trial: Trial) -> None:
    """A message that is released from a batch comes again, and the others do not."""
    destination = trial.new_destination()
    async with trial.bus() as bus, bus.consumer(destination) as consumer:
        bodies = await publish(bus, destination)
        taken: list[bytes] = []
        async for batch in consumer.batches(max_messages=COUNT, max_wait=1.0):
            async with batch:
                if not taken:
                    await batch[0].release()
                    released = batch[0].body
                taken += [delivery.body for delivery in batch]
            if len(taken) > COUNT:
                break
    assert sorted(taken) == sorted([*bodies, released]), f"taken were {sorted(taken)}"
