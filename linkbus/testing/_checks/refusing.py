"""Refusing: what cannot be is said, with an error of the right class, and nothing is lost."""

from __future__ import annotations

import linkbus
from linkbus import CapabilityError, DestinationNotFound, TransportError
from linkbus.abc import Receiver, SendStatus, Transport
from linkbus.testing._check import check
from linkbus.testing._trial import Skipped, Trial


@check()
async def before_a_subscription(trial: Trial) -> None:
    """A message sent before the first subscription is kept or FAILED, never lost."""
    destination = trial.new_destination()
    sent = [trial.envelope(b"early")]
    (result,) = await trial.try_send(destination, sent)
    assert result.status is not SendStatus.UNKNOWN, f"it was {result}"
    receiver = await trial.subscribe(destination)
    if result.status is SendStatus.SENT:
        await trial.consume(receiver, 1)
    else:
        assert isinstance(result.error, TransportError), f"it FAILED with {result.error!r}"
    await trial.send_bodies(destination, b"later")
    await trial.consume(receiver, 1)


@check()
async def missing_destination(trial: Trial) -> None:
    """A destination that does not exist is refused with DestinationNotFound, or made."""
    destination = trial.new_destination() + "-missing"
    sent = [trial.envelope(b"nowhere")]
    (result,) = await trial.try_send(destination, sent)
    if result.status is not SendStatus.SENT:
        known = isinstance(result.error, DestinationNotFound)
        assert known, f"it was refused with {result.error!r}, not with DestinationNotFound"
        return
    receiver = await trial.subscribe(destination)
    (arrival,) = await trial.consume(receiver, 1)
    assert arrival.body == b"nowhere", f"{arrival.body!r} came"


@check()
async def missing_source(trial: Trial) -> None:
    """A source that does not exist is refused with DestinationNotFound, or made."""
    source = trial.new_destination() + "-missing"
    try:
        receiver: Receiver = await trial.subscribe(source)
    except DestinationNotFound:
        return
    await trial.send_bodies(source, b"made")
    await trial.consume(receiver, 1)


@check()
async def one_missing_of_two(trial: Trial) -> None:
    """A destination that does not exist disturbs no other."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.try_send(destination + "-missing", [trial.envelope(b"nowhere")])
    await trial.send_bodies(destination, b"here")
    got = [*await trial.consume(receiver, 1), *await trial.drain(receiver)]
    assert [one.body for one in got] == [b"here"], f"came {[one.body for one in got]}"


@check()
async def groups_refused(trial: Trial) -> None:
    """Where groups are missing, a consumer with another one than the default is refused."""
    if trial.capabilities.groups:
        msg = "it has the capability groups"
        raise Skipped(msg)
    bus = linkbus.Bus(trial.harness.transport())
    try:
        bus.consumer(trial.new_destination(), group="billing")
    except CapabilityError:
        return
    msg = "a consumer with a group of its own was made"
    raise AssertionError(msg)


@check()
async def capabilities_agree(trial: Trial) -> None:
    """Every transport has a system and the same capabilities, before and after open."""
    fresh: Transport = trial.harness.transport()
    assert fresh is not trial.transport, "the harness returned the same transport twice"
    same = fresh.capabilities == trial.capabilities and fresh.system == trial.transport.system
    assert same, f"not open, they are {fresh.capabilities}; open, {trial.capabilities}"
    system = trial.transport.system
    assert system == system.lower().strip(), f"the system {system!r} is not in lower case"


@check("extendable_lease")
async def leases_are_told(trial: Trial) -> None:
    """Where leases can be extended, every arrival says how long its own is."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"leased")
    (arrival,) = await trial.consume(receiver, 1)
    known = arrival.lease is not None and arrival.lease > 0
    assert known, f"extend works, and the lease is {arrival.lease!r}"


@check()
async def extend_refused(trial: Trial) -> None:
    """Where leases cannot be extended, extend raises CapabilityError."""
    if trial.capabilities.extendable_lease:
        msg = "it has the capability extendable_lease"
        raise Skipped(msg)
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"held")
    (arrival,) = await trial.consume(receiver, 1)
    try:
        await receiver.extend([arrival], 1.0)
    except CapabilityError:
        return
    msg = "extend did not raise"
    raise AssertionError(msg)
