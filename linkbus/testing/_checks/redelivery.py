"""Redelivery: what was not settled comes again, and a lease says when."""

from __future__ import annotations

import anyio

from linkbus.abc import Arrival, Outcome, Receiver, Settlement, SettleStatus
from linkbus.testing._check import check
from linkbus.testing._trial import Skipped, Trial

LONGEST_LEASE = 5.0
"""Seconds of a lease that a check waits for the end of."""


def short_lease(arrival: Arrival) -> float:
    """Return the lease of an arrival, if it is short enough to be tested."""
    if arrival.lease is None:
        msg = "its arrivals have no lease"
        raise Skipped(msg)
    if arrival.lease > LONGEST_LEASE:
        msg = f"its lease of {arrival.lease:g} seconds is longer than {LONGEST_LEASE:g}"
        raise Skipped(msg)
    return arrival.lease


async def held_with_lease(trial: Trial) -> tuple[Receiver, Arrival, float]:
    """Return a receiver, a message that it holds, and how long it is ours."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"leased")
    arrival = await trial.receive_one(receiver)
    return receiver, arrival, short_lease(arrival)


@check()
async def unsettled_comes_again(trial: Trial) -> None:
    """What a closed receiver had not settled is given to the next one."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, *[b"%d" % number for number in range(10)])
    held = await trial.receive(receiver, 10)
    assert len({arrival.body for arrival in held}) == len(held), "a message was given twice"
    await trial.leave(receiver)
    again = await trial.consume(await trial.subscribe(destination), 10)
    missing = {arrival.body for arrival in held} - {arrival.body for arrival in again}
    assert not missing, f"never given again: {sorted(missing)}"


@check()
async def unreceived_stays(trial: Trial) -> None:
    """What was sent and not yet received is there for the next receiver, prefetched or not."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, *[b"%d" % number for number in range(20)])
    await trial.consume(receiver, 1)
    await trial.leave(receiver)
    await trial.consume(await trial.subscribe(destination), 19)


@check()
async def gaps_are_not_lost(trial: Trial) -> None:
    """Acknowledging later messages and closing loses none of the earlier ones."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, *[b"%d" % number for number in range(10)])
    got = await trial.receive(receiver, 10)
    await trial.ack(receiver, *got[5:], got[1])
    kept = {arrival.body for arrival in (got[0], *got[2:5])}
    await trial.leave(receiver)
    again = await trial.drain(await trial.subscribe(destination), trial.harness.quiet * 3)
    missing = kept - {arrival.body for arrival in again}
    assert not missing, f"not acknowledged, and yet never given again: {sorted(missing)}"


@check()
async def not_given_twice(trial: Trial) -> None:
    """A message that is held is given to nobody else in the group meanwhile."""
    destination = trial.new_destination()
    receivers = [await trial.subscribe(destination) for _ in range(2)]
    await trial.send_bodies(destination, b"held")
    arrivals: list[tuple[Receiver, Arrival]] = []
    with anyio.move_on_after(trial.harness.patience):
        while not arrivals:
            for receiver in receivers:
                arrivals += [(receiver, one) for one in await trial.poll(receiver, 10, 0.1)]
    assert len(arrivals) == 1, f"one message was sent, and {len(arrivals)} came"
    for receiver in receivers:
        await trial.expect_nothing(receiver, "the only message is held by a receiver")
    await trial.ack(*arrivals[0])


@check()
async def nothing_is_lost(trial: Trial) -> None:
    """A receiver that is alone and in time is told of no loss, not when it closes either."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"1", b"2")
    first, second = await trial.receive(receiver, 2)
    await trial.ack(receiver, first)
    await trial.release(receiver, second)
    await trial.receive_one(receiver)
    await trial.leave(receiver)
    assert not trial.lost, f"nobody took anything away, and lost was called with {trial.lost}"


@check()
async def another_joins(trial: Trial) -> None:
    """When another receiver joins, what is held is settled in time or comes again."""
    destination = trial.new_destination()
    receivers = [await trial.subscribe(destination)]
    sent = [trial.envelope(b"%d" % number, key=str(number)) for number in range(5)]
    await trial.send(destination, *sent)
    held = await trial.receive(receivers[0], 5)

    async def join() -> None:
        receivers.append(await trial.subscribe(destination))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(join)
        await anyio.sleep(trial.harness.quiet)
        results = await trial.try_settle(
            receivers[0], *[Settlement(one, Outcome.ACK) for one in held]
        )
    late = {a.body for a, it in zip(held, results, strict=True) if it.status is not SettleStatus.OK}
    again = {one.body for receiver in receivers for one in await trial.drain(receiver)}
    assert late <= again, f"settled too late, and never given again: {sorted(late - again)}"
    strange = [one for named, _ in trial.lost for one in named if one not in held]
    assert not strange, f"lost was called with what was not held: {strange}"


@check()
async def lost_lease(trial: Trial) -> None:
    """When its lease ends, a message is given again, and the late settlement is STALE."""
    receiver, arrival, lease = await held_with_lease(trial)
    again = await trial.receive_one(receiver, within=lease + trial.harness.patience)
    if trial.capabilities.counts_deliveries:
        assert again.attempt == arrival.attempt + 1, f"it came again as attempt {again.attempt}"
    (result,) = await trial.try_settle(receiver, Settlement(arrival, Outcome.ACK))
    assert result.status is SettleStatus.STALE, f"the late settlement was {result.status}"
    await trial.ack(receiver, again)


@check()
async def lease_is_kept(trial: Trial) -> None:
    """While its lease lasts, a message is not given again, and can be settled."""
    receiver, arrival, lease = await held_with_lease(trial)
    await trial.expect_nothing(receiver, "its lease has not ended", quiet=lease * 0.6)
    await trial.ack(receiver, arrival)
    await trial.expect_nothing(receiver, "it was acknowledged in time", quiet=lease)


@check("extendable_lease")
async def extended_lease(trial: Trial) -> None:
    """An extended lease keeps a message past the end of the first one."""
    receiver, arrival, lease = await held_with_lease(trial)
    (result,) = await receiver.extend([arrival], lease * 3)
    assert result.status is SettleStatus.OK, f"extend was {result}"
    await trial.expect_nothing(receiver, "its lease was extended", quiet=lease * 1.5)
    await trial.ack(receiver, arrival)


@check("extendable_lease")
async def settled_lease(trial: Trial) -> None:
    """Extending what was settled is STALE, and its result stands at its place."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"done", b"held")
    done, held = await trial.receive(receiver, 2)
    await trial.ack(receiver, done)
    statuses = [one.status for one in await receiver.extend([held, done], held.lease or 30.0)]
    assert statuses == [SettleStatus.OK, SettleStatus.STALE], f"extend returned {statuses}"
    await trial.ack(receiver, held)
