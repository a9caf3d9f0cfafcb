"""Settling: what ack, release and reject do, once and again."""

from __future__ import annotations

import anyio

from linkbus.abc import Outcome, Settlement, SettleStatus
from linkbus.testing._check import check
from linkbus.testing._trial import Trial

DELAY = 1.0
"""Seconds of a delayed release."""


@check()
async def ack_is_final(trial: Trial) -> None:
    """An acknowledged message is not given again, to a later receiver either."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"done")
    await trial.consume(receiver, 1)
    await trial.expect_nothing(receiver, "the message was acknowledged")
    await trial.leave(receiver)
    later = await trial.subscribe(destination)
    await trial.expect_nothing(later, "the message was acknowledged before this receiver came")


@check()
async def release_comes_again(trial: Trial) -> None:
    """A released message is given again."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    sent = trial.envelope(b"again", key="42", headers={"tenant": "a"})
    await trial.send(destination, sent)
    await trial.release(receiver, await trial.receive_one(receiver))
    arrival = await trial.receive_one(receiver)
    got = arrival.body, arrival.key, arrival.headers.get("tenant"), arrival.id
    assert got == (b"again", "42", "a", sent.id), f"it came again changed: {got}"
    await trial.ack(receiver, arrival)
    await trial.expect_nothing(receiver, "it was acknowledged the second time")


@check()
async def release_to_another(trial: Trial) -> None:
    """A message released before its receiver closes is given to the next one."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"again")
    await trial.release(receiver, await trial.receive_one(receiver))
    await trial.leave(receiver)
    got = await trial.consume(await trial.subscribe(destination), 1)
    assert got[0].body == b"again", f"{got[0].body!r} came instead"


@check()
async def release_many_times(trial: Trial) -> None:
    """A message released five times still comes, and one acknowledgement ends it."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"again")
    await trial.receive(receiver, 5, settle=Outcome.RELEASE)
    await trial.consume(receiver, 1)
    await trial.expect_nothing(receiver, "it was acknowledged the sixth time")


@check("counts_deliveries")
async def attempts_are_counted(trial: Trial) -> None:
    """Each time that a message is given again, its attempt goes up by one from 1."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"again")
    arrivals = await trial.receive(receiver, 3, settle=Outcome.RELEASE)
    attempts = [arrival.attempt for arrival in arrivals]
    assert attempts == [1, 2, 3], f"three deliveries had the attempts {attempts}"
    await trial.consume(receiver, 1)


@check()
async def first_attempt(trial: Trial) -> None:
    """A message that is given for the first time has attempt 1."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"first")
    (arrival,) = await trial.consume(receiver, 1)
    assert arrival.attempt == 1, f"its attempt is {arrival.attempt}"


@check("delayed_release")
async def delayed_release(trial: Trial) -> None:
    """A message released with a delay comes again after it, and not before."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"later")
    released = anyio.current_time()
    await trial.release(receiver, await trial.receive_one(receiver), delay=DELAY)
    await trial.consume(receiver, 1)
    waited = anyio.current_time() - released
    assert waited > DELAY * 0.8, f"a delay of {DELAY:g} seconds took {waited:.2f}"


@check("delayed_release")
async def delay_holds_up_no_other(trial: Trial) -> None:
    """While a message waits for its delay, another one without a key is given."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"later")
    await trial.release(receiver, await trial.receive_one(receiver), delay=DELAY * 2)
    await trial.send_bodies(destination, b"now")
    first, second = await trial.consume(receiver, 2)
    assert (first.body, second.body) == (b"now", b"later"), f"first came {first.body!r}"


@check()
async def settled_twice(trial: Trial) -> None:
    """Settling a message a second time is STALE and changes nothing."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"done")
    (arrival,) = await trial.consume(receiver, 1)
    for outcome in (Outcome.ACK, Outcome.RELEASE):
        (result,) = await trial.try_settle(receiver, Settlement(arrival, outcome))
        stale = result.status is SettleStatus.STALE
        assert stale, f"{outcome} after an acknowledgement was {result.status}, not stale"
    await trial.expect_nothing(receiver, "it was acknowledged first")


@check()
async def stale_after_release(trial: Trial) -> None:
    """Acknowledging an arrival that was released is STALE: the message comes again."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"again")
    arrival = await trial.receive_one(receiver)
    await trial.release(receiver, arrival)
    (result,) = await trial.try_settle(receiver, Settlement(arrival, Outcome.ACK))
    assert result.status is SettleStatus.STALE, f"it was {result.status}, not stale"
    await trial.consume(receiver, 1)


@check()
async def mixed_outcomes(trial: Trial) -> None:
    """One settle call takes different outcomes, and its results are in order."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, *[b"%d" % number for number in range(6)])
    got = sorted(await trial.receive(receiver, 6), key=lambda arrival: arrival.body)
    await trial.ack(receiver, got[2])
    outcomes = [Outcome.RELEASE if number % 2 else Outcome.ACK for number in range(6)]
    settlements = [Settlement(*pair) for pair in zip(got, outcomes, strict=True)]
    results = await trial.try_settle(receiver, *settlements)
    stale = [number for number, one in enumerate(results) if one.status is SettleStatus.STALE]
    assert stale == [2], f"number 2 was settled before; STALE are {stale}: {results}"
    again = sorted(arrival.body for arrival in await trial.consume(receiver, 3))
    assert again == [b"1", b"3", b"5"], f"1, 3 and 5 were released; {again} came again"
    await trial.expect_nothing(receiver, "the others were acknowledged")


@check()
async def settled_in_any_order(trial: Trial) -> None:
    """Messages may be acknowledged in any order, and none of them comes again."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, *[b"%d" % number for number in range(10)])
    got = await trial.receive(receiver, 10)
    for arrival in reversed(got):
        await trial.ack(receiver, arrival)
    await trial.leave(receiver)
    later = await trial.subscribe(destination)
    await trial.expect_nothing(later, "all ten were acknowledged, the last one first")


@check()
async def settled_beside_receive(trial: Trial) -> None:
    """Settling works while a receive waits."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"held")
    arrival = await trial.receive_one(receiver)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trial.poll, receiver, 10, trial.harness.quiet * 2)
        await anyio.lowlevel.checkpoint()
        with anyio.fail_after(trial.harness.patience):
            await trial.ack(receiver, arrival)
    await trial.expect_nothing(receiver, "it was acknowledged")


@check("native_dead_letter")
async def reject_is_final(trial: Trial) -> None:
    """A rejected message is not given again, to a later receiver either."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"bad")
    await trial.receive(receiver, 1, settle=Outcome.REJECT)
    await trial.expect_nothing(receiver, "the message was rejected")
    await trial.leave(receiver)
    later = await trial.subscribe(destination)
    await trial.expect_nothing(later, "the message was rejected before this receiver came")
