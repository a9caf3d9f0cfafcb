"""Closing: it ends what waits, may be repeated, and gives back what was not settled."""

from __future__ import annotations

import anyio
from anyio.abc import TaskStatus

from linkbus.abc import Outcome, Receiver
from linkbus.testing._check import check
from linkbus.testing._trial import Trial

CLOSE_TIME = 5.0
"""Seconds that closing may take: "a few"."""


@check()
async def close_ends_receive(trial: Trial) -> None:
    """Closing a receiver makes its waiting receive return, empty."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    got: list[object] = []

    async def wait(*, task_status: TaskStatus[None]) -> None:
        task_status.started()
        got.extend(await receiver.receive(10, 5.0))

    async with anyio.create_task_group() as tasks:
        await tasks.start(wait)
        await anyio.sleep(trial.harness.quiet)
        start = anyio.current_time()
        await receiver.aclose()
    took = anyio.current_time() - start
    assert not got, f"it returned {got}"
    assert took < CLOSE_TIME - 1, f"closing and the receive took {took:.1f} seconds to end"


@check()
async def close_while_messages_come(trial: Trial) -> None:
    """Closing a receiver while it receives loses no message."""
    destination = trial.new_destination()

    async def wait(receiver: Receiver, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await trial.poll(receiver, 10, 1.0)

    for round_ in range(3):
        receiver = await trial.subscribe(destination)
        async with anyio.create_task_group() as tasks:
            await tasks.start(wait, receiver)
            await trial.send_bodies(destination, *[b"%d/%d" % (round_, n) for n in range(5)])
            await trial.leave(receiver)
    last = await trial.subscribe(destination)
    seen = {arrival.body for arrival in await trial.consume(last, 15)}
    assert len(seen) == 15, f"fifteen were sent, none acknowledged; came {sorted(seen)}"  # noqa: PLR2004


@check()
async def receiver_closed_twice(trial: Trial) -> None:
    """Closing a receiver twice, and at once, is closing it."""
    receiver = await trial.subscribe(trial.new_destination())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiver.aclose)
        tasks.start_soon(receiver.aclose)
    await receiver.aclose()


@check()
async def transport_closed_twice(trial: Trial) -> None:
    """Closing a transport twice is closing it."""
    transport = await trial.open_transport()
    await trial.try_send(trial.new_destination(), [trial.envelope()], transport=transport)
    await transport.aclose()
    await transport.aclose()


@check()
async def close_is_quick(trial: Trial) -> None:
    """A receiver that holds messages, and its transport, close within a few seconds."""
    destination = trial.new_destination()
    transport = await trial.open_transport()
    receiver = await trial.subscribe(destination, transport=transport)
    await trial.send_bodies(destination, *[b"%d" % number for number in range(20)])
    await trial.receive(receiver, 10)
    start = anyio.current_time()
    await trial.leave(receiver)
    await trial.leave(transport)
    took = anyio.current_time() - start
    assert took < CLOSE_TIME, f"it took {took:.1f} seconds"


@check()
async def acks_before_closing_count(trial: Trial) -> None:
    """What was acknowledged just before closing is not given again."""
    destination = trial.new_destination()
    transport = await trial.open_transport()
    receiver = await trial.subscribe(destination, transport=transport)
    await trial.send_bodies(destination, *[b"%d" % number for number in range(20)])
    await trial.ack(receiver, *await trial.receive(receiver, 20))
    await trial.leave(receiver)
    await trial.leave(transport)
    later = await trial.subscribe(destination)
    await trial.expect_nothing(later, "all were acknowledged before the transport was closed")


@check()
async def others_go_on(trial: Trial) -> None:
    """Closing one transport disturbs no other, and closing one receiver no other."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    closing = await trial.open_transport()
    neighbour = await trial.subscribe(trial.new_destination())
    await trial.send_bodies(destination, b"1")
    await trial.leave(neighbour)
    await trial.leave(closing)
    await trial.send_bodies(destination, b"2")
    await trial.consume(receiver, 2)


@check()
async def unused(trial: Trial) -> None:
    """A transport that was opened and used for nothing closes."""
    for _ in range(3):
        await trial.leave(await trial.open_transport())


@check()
async def many_times(trial: Trial) -> None:
    """Subscribing and closing ten times in a row loses no message."""
    destination = trial.new_destination()
    for number in range(10):
        receiver = await trial.subscribe(destination)
        await trial.send_bodies(destination, b"%d" % number)
        await trial.receive(receiver, 1, settle=Outcome.ACK if number % 2 else Outcome.RELEASE)
        await trial.leave(receiver)
    rest = await trial.drain(await trial.subscribe(destination), trial.harness.quiet * 3)
    assert len(rest) >= 1, "messages were released, and none came again"


@check()
async def waits_no_longer(trial: Trial) -> None:
    """A receive without messages returns, empty, when its wait is over."""
    receiver = await trial.subscribe(trial.new_destination())
    for wait in (0, 0.1, 0.5):
        start = anyio.current_time()
        got = await trial.poll(receiver, 10, wait)
        took = anyio.current_time() - start
        assert not got, f"nothing was sent, and {got} came"
        assert took < wait + 1.0, f"a wait of {wait:g} seconds took {took:.1f}"
