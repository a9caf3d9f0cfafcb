"""Groups: each is given every message, and its members share them."""

from __future__ import annotations

import anyio

from linkbus.abc import Arrival, Receiver
from linkbus.testing._check import check
from linkbus.testing._trial import Trial, shown


async def share(trial: Trial, receivers: list[Receiver], count: int) -> list[list[Arrival]]:
    """Let receivers consume side by side until `count` messages came to them together."""
    shares: list[list[Arrival]] = [[] for _ in receivers]
    end = anyio.current_time() + trial.harness.patience

    async def consume(receiver: Receiver, part: list[Arrival]) -> None:
        while sum(map(len, shares)) < count and anyio.current_time() < end:
            got = await trial.poll(receiver, 10, 0.2)
            await trial.ack(receiver, *got)
            part += got

    async with anyio.create_task_group() as tasks:
        for receiver, part in zip(receivers, shares, strict=True):
            tasks.start_soon(consume, receiver, part)
    came = sum(map(len, shares))
    assert came >= count, f"{came} of {count} messages came"
    return shares


@check("groups")
async def each_group_gets_all(trial: Trial) -> None:
    """Two groups are each given every message."""
    destination = trial.new_destination()
    billing = await trial.subscribe(destination, "billing")
    shipping = await trial.subscribe(destination, "shipping")
    bodies = {b"%d" % number for number in range(20)}
    await trial.send_bodies(destination, *sorted(bodies))
    for group, receiver in (("billing", billing), ("shipping", shipping)):
        got = {arrival.body for arrival in await trial.consume(receiver, 20)}
        assert got == bodies, f"{group} missed {sorted(bodies - got)}"
        await trial.expect_nothing(receiver, f"{group} had acknowledged all")


@check("groups")
async def groups_settle_apart(trial: Trial) -> None:
    """A message that one group released is not given again to another that is done."""
    destination = trial.new_destination()
    billing = await trial.subscribe(destination, "billing")
    shipping = await trial.subscribe(destination, "shipping")
    await trial.send_bodies(destination, b"both")
    await trial.consume(shipping, 1)
    await trial.release(billing, await trial.receive_one(billing))
    await trial.expect_nothing(shipping, "only billing released it")
    await trial.consume(billing, 1)


@check("groups")
async def other_groups_name(trial: Trial) -> None:
    """A group of the same name on another source is another group."""
    one, other = trial.new_destination(), trial.new_destination()
    receivers = [await trial.subscribe(name, "billing") for name in (one, other)]
    await trial.send_bodies(one, b"one")
    (arrival,) = await trial.consume(receivers[0], 1)
    assert arrival.body == b"one", f"{arrival.body!r} came"
    await trial.expect_nothing(receivers[1], "nothing was sent to its source")


@check()
async def members_share(trial: Trial) -> None:
    """Two receivers of one group share its messages: each is given to one of them."""
    destination = trial.new_destination()
    receivers = [await trial.subscribe(destination) for _ in range(2)]
    sent = [trial.envelope(b"%d" % number, key=str(number % 7)) for number in range(100)]
    await trial.send(destination, *sent)
    got = [one for part in await share(trial, receivers, 100) for one in part]
    bodies = {arrival.body for arrival in got}
    assert len(bodies) == len(got), f"{len(got) - len(bodies)} messages went to both"
    for receiver in receivers:
        await trial.expect_nothing(receiver, "all hundred were acknowledged")


@check()
async def members_of_two_transports(trial: Trial) -> None:
    """Receivers of two transports share a group, as two processes would."""
    destination = trial.new_destination()
    receivers = [
        await trial.subscribe(destination, transport=transport)
        for transport in (trial.transport, await trial.open_transport())
    ]
    await trial.send_bodies(destination, *[b"%d" % number for number in range(50)])
    got = [one for part in await share(trial, receivers, 50) for one in part]
    assert len({one.body for one in got}) == len(got), "a message went to both"


@check()
async def a_member_leaves(trial: Trial) -> None:
    """When one of two receivers leaves with unsettled messages, the other is given them."""
    destination = trial.new_destination()
    leaving, staying = [await trial.subscribe(destination) for _ in range(2)]
    sent = [trial.envelope(b"%d" % number, key=str(number)) for number in range(20)]
    await trial.send(destination, *sent)
    await trial.poll(leaving, 5, trial.harness.quiet)
    await trial.leave(leaving)
    got = {arrival.body for arrival in await trial.consume(staying, 20)}
    missing = {one.body for one in sent} - got
    assert not missing, f"never given to the one that stayed: {sorted(missing)}"


@check()
async def group_exists_before(trial: Trial) -> None:
    """A group that exists is given what is sent while none of its receivers is open."""
    destination = trial.new_destination()
    await trial.leave(await trial.subscribe(destination))
    await trial.send_bodies(destination, *[b"%d" % number for number in range(5)])
    await trial.consume(await trial.subscribe(destination), 5)


@check()
async def sent_at_once(trial: Trial) -> None:
    """What is sent right after subscribe has returned reaches the group."""
    for number in range(3):
        destination = trial.new_destination()
        receiver = await trial.subscribe(destination)
        await trial.send_bodies(destination, b"%d" % number)
        await trial.consume(receiver, 1)


@check()
async def position_survives(trial: Trial) -> None:
    """A new receiver, of another transport, goes on where the group was."""
    destination = trial.new_destination()
    first = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"1", b"2")
    await trial.consume(first, 2)
    await trial.leave(first)
    later = await trial.subscribe(destination, transport=await trial.open_transport())
    await trial.send_bodies(destination, b"3")
    got = [*await trial.consume(later, 1), *await trial.drain(later)]
    assert [one.body for one in got] == [b"3"], f"1 and 2 were acknowledged; now came {shown(got)}"


@check()
async def many_members(trial: Trial) -> None:
    """Eight receivers of one group come and go without losing a message."""
    destination = trial.new_destination()
    receivers = [await trial.subscribe(destination) for _ in range(8)]
    sent = [trial.envelope(b"%d" % number, key=str(number)) for number in range(40)]
    await trial.send(destination, *sent)
    seen: set[bytes] = set()
    while receivers:
        for receiver in receivers:
            got = await trial.poll(receiver, 2, 0.01)
            await trial.ack(receiver, *got)
            seen |= {arrival.body for arrival in got}
        await trial.leave(receivers.pop())
    rest = await trial.drain(await trial.subscribe(destination), trial.harness.quiet * 3)
    missing = {one.body for one in sent} - seen - {arrival.body for arrival in rest}
    assert not missing, f"lost: {sorted(missing)}"
