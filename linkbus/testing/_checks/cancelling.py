"""Cancellation: a call may be cancelled at each of its awaits, and what stays behind is right."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio
from anyio.abc import TaskStatus

from linkbus import Delivery
from linkbus.abc import Arrival, Outcome, Receiver, Settlement, SettleStatus
from linkbus.testing._check import check
from linkbus.testing._stepping import STEPS, cancel_at
from linkbus.testing._trial import Trial, shown

SPREAD = (0, 1, 2, 3, 5, 8, 13, 21)
"""The awaits at which a call is cancelled that takes long to be made again."""


def at_most_once(got: list[Arrival]) -> None:
    """Fail if a body came more than once."""
    bodies = [arrival.body for arrival in got]
    assert len(set(bodies)) == len(bodies), f"sent once each, and these came: {sorted(bodies)}"


@check()
async def cancelled_send(trial: Trial) -> None:
    """After a send that was cancelled at any await, the next one works; nothing is doubled."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    for step in range(STEPS):
        batch = [trial.envelope(b"%d" % step)]
        stepped = await cancel_at(step, partial(trial.transport.send, destination, batch))
        if not stepped.reached:
            break
    await trial.send_bodies(destination, b"last")
    got = await trial.drain(receiver, trial.harness.quiet * 3)
    at_most_once(got)
    assert b"last" in [one.body for one in got], f"the send after them did not arrive: {shown(got)}"


@check()
async def cancelled_batch(trial: Trial) -> None:
    """A batch whose send was cancelled arrives at most once, and the next batch whole."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    size = min(trial.capabilities.max_batch or 10, 10)
    for step in SPREAD:
        batch = [trial.envelope(b"%d/%d" % (step, number)) for number in range(size)]
        if not (await cancel_at(step, partial(trial.transport.send, destination, batch))).reached:
            break
    await trial.send_bodies(destination, *[b"last/%d" % number for number in range(size)])
    got = await trial.drain(receiver, trial.harness.quiet * 3)
    at_most_once(got)
    last = [one.body for one in got if one.body.startswith(b"last")]
    assert len(last) == size, f"of the {size} messages sent after them came {sorted(last)}"


@check("receive_cancel_safe")
async def cancelled_receive(trial: Trial) -> None:
    """A receive that is cancelled at any await loses no message and doubles none."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    got: list[Arrival] = []
    for step in range(STEPS):
        await trial.send_bodies(destination, b"%d" % step)
        stepped = await cancel_at(step, partial(receiver.receive, 1, trial.harness.quiet))
        await trial.ack(receiver, *(stepped.result or ()))
        got += stepped.result or ()
    at_most_once(got)
    got += await trial.consume(receiver, STEPS - len(got))
    at_most_once(got)
    await trial.expect_nothing(receiver, "all were acknowledged")


@check("receive_cancel_safe")
async def receive_cancelled_as_a_message_comes(trial: Trial) -> None:
    """A receive cancelled at the moment when a message comes loses none, fifty times."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    got: list[Arrival] = []
    now: list[Arrival] = []

    async def receive_in(scope: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        with scope:
            now.extend(await receiver.receive(10, 5.0))

    for number in range(50):
        now.clear()
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()
            await tasks.start(receive_in, scope)
            await trial.send_bodies(destination, b"%d" % number)
            scope.cancel()
        await trial.ack(receiver, *now)
        got += now
    at_most_once(got)
    got += await trial.consume(receiver, 50 - len(got))
    at_most_once(got)


@check()
async def cancelled_settle(trial: Trial) -> None:
    """After a settle that was cancelled at any await, settling again ends the message."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    for step in range(STEPS):
        await trial.send_bodies(destination, b"%d" % step)
        settlement = Settlement(await trial.receive_one(receiver), Outcome.ACK)
        if not (await cancel_at(step, partial(receiver.settle, [settlement]))).reached:
            break
        (result,) = await trial.try_settle(receiver, settlement)
        noted = result.status in {SettleStatus.OK, SettleStatus.STALE}
        assert noted, f"settled again after a cancellation at await {step}: {result}"
    await trial.leave(receiver)
    later = await trial.subscribe(destination)
    await trial.expect_nothing(later, "each was acknowledged, after a cancellation")


@check()
async def cancelled_release(trial: Trial) -> None:
    """A message whose release was cancelled is not lost."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    for step in range(STEPS):
        await trial.send_bodies(destination, b"%d" % step)
        settlement = Settlement(await trial.receive_one(receiver), Outcome.RELEASE)
        stepped = await cancel_at(step, partial(receiver.settle, [settlement]))
        await trial.try_settle(receiver, settlement)
        (again,) = await trial.consume(receiver, 1)
        assert again.body == b"%d" % step, f"{again.body!r} came again, not {step}"
        if not stepped.reached:
            break
    await trial.expect_nothing(receiver, "each was acknowledged when it came again")


@check()
async def cancelled_subscribe(trial: Trial) -> None:
    """A subscribe that was cancelled at any await leaves no member that takes messages."""
    destination = trial.new_destination()
    for step in SPREAD:
        stepped = await cancel_at(step, partial(trial.subscribe, destination))
        if stepped.result is not None:
            await trial.leave(stepped.result)
        if not stepped.reached:
            break
    receiver = await trial.subscribe(destination)
    sent = [trial.envelope(b"%d" % number, key=str(number)) for number in range(30)]
    await trial.send(destination, *sent)
    at_most_once(await trial.consume(receiver, 30))


@check()
async def cancelled_leave(trial: Trial) -> None:
    """A receiver whose aclose was cancelled at any await has left: another is given its own."""
    destination = trial.new_destination()
    for step in SPREAD:
        receiver = await trial.subscribe(destination)
        await trial.send_bodies(destination, b"%d" % step)
        await trial.receive_one(receiver)
        stepped = await cancel_at(step, receiver.aclose)
        following = await trial.subscribe(destination)
        await trial.consume(following, 1)
        await trial.leave(following)
        if not stepped.reached:
            break


@check()
async def cancelled_open(trial: Trial) -> None:
    """A transport whose open was cancelled at any await leaves nothing open."""
    for step in SPREAD:
        transport = trial.harness.transport()
        stepped = await cancel_at(step, transport.open)
        if not stepped.reached:
            await transport.aclose()
            break
    receiver = await trial.subscribe(destination := trial.new_destination())
    await trial.send_bodies(destination, b"-")
    await trial.consume(receiver, 1)


@check()
async def cancelled_close(trial: Trial) -> None:
    """A transport whose aclose was cancelled at any await has dropped its connections."""
    for step in SPREAD:
        transport = trial.harness.transport()
        await transport.open()
        if not (await cancel_at(step, transport.aclose)).reached:
            break


@check()
async def cancelled_consumer(trial: Trial) -> None:
    """An application that cancels its receive again and again is given every message."""
    destination = trial.new_destination()
    async with trial.bus() as bus, bus.consumer(destination) as consumer:
        producer = bus.producer(destination)
        seen: set[bytes] = set()
        for number in range(30):
            await producer.send(b"%d" % number)
            given: Sequence[Delivery] = ()
            with anyio.move_on_after(0.002 * (number % 5)):
                given = await consumer.receive(5, timeout=1.0)
            for delivery in given:  # outside: what an application drops stays held by it
                async with delivery:
                    seen.add(delivery.body)
        with anyio.move_on_after(trial.harness.patience):
            while len(seen) < 30:  # noqa: PLR2004 - as many as were sent
                for delivery in await consumer.receive(5, timeout=1.0):
                    async with delivery:
                        seen.add(delivery.body)
    assert len(seen) == 30, f"30 messages were sent; {len(seen)} different ones came"  # noqa: PLR2004


@check("receive_cancel_safe")
async def cancelled_beside_settle(trial: Trial) -> None:
    """Cancelling a receive does not disturb a settle that runs beside it."""
    destination = trial.new_destination()
    receiver: Receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"held")
    arrival = await trial.receive_one(receiver)
    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()

        async def receive() -> None:
            with scope:
                await receiver.receive(1, 5.0)

        tasks.start_soon(receive)
        tasks.start_soon(trial.ack, receiver, arrival)
        await anyio.lowlevel.checkpoint()
        scope.cancel()
    await trial.expect_nothing(receiver, "it was acknowledged")
