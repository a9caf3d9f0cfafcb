"""Faults: the broker is restarted as by a crash; nothing confirmed is lost."""

from __future__ import annotations

import anyio

from linkbus import ConnectError, TransportError
from linkbus.abc import Arrival, Outcome, Receiver, SendStatus, Settlement
from linkbus.testing._check import RESTART, check
from linkbus.testing._trial import RETRY_INTERVAL, Trial

RECOVERY = 30.0
"""Seconds within which a transport works again after its broker does."""


async def deliver(trial: Trial, destination: str, *bodies: bytes) -> None:
    """Send each body until it is confirmed, as the core and its user would."""
    with anyio.fail_after(RECOVERY):
        for body in bodies:
            while True:
                (result,) = await trial.try_send(destination, [trial.envelope(body)])
                if result.status is SendStatus.SENT:
                    break
                await anyio.sleep(RETRY_INTERVAL)


async def collect(trial: Trial, receiver: Receiver, bodies: set[bytes]) -> list[Arrival]:
    """Consume until every body has come; some may come twice."""
    got: list[Arrival] = []
    with anyio.move_on_after(RECOVERY):
        while bodies - {arrival.body for arrival in got}:
            more = await trial.poll(receiver, 10, 1.0)
            if more:
                await trial.try_settle(receiver, *[Settlement(one, Outcome.ACK) for one in more])
            got += more
    missing = bodies - {arrival.body for arrival in got}
    assert not missing, f"not given within {RECOVERY:g} seconds of the restart: {sorted(missing)}"
    return got


@check(RESTART, "durable")
async def confirmed_survives(trial: Trial) -> None:
    """Confirmed messages survive a restart of the broker."""
    destination = trial.new_destination()
    await trial.leave(await trial.subscribe(destination))
    bodies = {b"%d" % number for number in range(20)}
    await trial.send_bodies(destination, *sorted(bodies))
    await trial.harness.restart_broker()
    fresh = await trial.open_transport()
    await collect(trial, await trial.subscribe(destination, transport=fresh), bodies)


@check(RESTART, "durable")
async def receiver_goes_on(trial: Trial) -> None:
    """A receiver that was open goes on after a restart of the broker, without a new subscribe."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"before")
    await trial.consume(receiver, 1)
    await trial.harness.restart_broker()
    fresh = await trial.open_transport()
    with anyio.fail_after(RECOVERY):
        await trial.send(destination, trial.envelope(b"after"), transport=fresh)
    await collect(trial, receiver, {b"after"})


@check(RESTART, "durable")
async def sender_goes_on(trial: Trial) -> None:
    """A transport that was open sends again after a restart of the broker."""
    destination = trial.new_destination()
    await trial.leave(await trial.subscribe(destination))
    await trial.send_bodies(destination, b"before")
    await trial.harness.restart_broker()
    await deliver(trial, destination, b"after")
    fresh = await trial.open_transport()
    receiver = await trial.subscribe(destination, transport=fresh)
    await collect(trial, receiver, {b"before", b"after"})


@check(RESTART, "durable")
async def unsettled_survives(trial: Trial) -> None:
    """What was held, and not settled, when the broker was restarted comes again."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    bodies = {b"%d" % number for number in range(5)}
    await trial.send_bodies(destination, *sorted(bodies))
    await trial.receive(receiver, 5)
    await trial.harness.restart_broker()
    await trial.leave(receiver)
    fresh = await trial.open_transport()
    await collect(trial, await trial.subscribe(destination, transport=fresh), bodies)


@check(RESTART, "durable")
async def sends_during_restart(trial: Trial) -> None:
    """What is confirmed while the broker restarts is not lost, and failures are classified."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    confirmed: set[bytes] = set()

    async def send(restarting: anyio.CancelScope) -> None:
        with restarting:
            for number in range(10_000):
                body = b"%d" % number
                (result,) = await trial.try_send(destination, [trial.envelope(body)])
                if result.status is SendStatus.SENT:
                    confirmed.add(body)
                else:
                    assert isinstance(result.error, TransportError), f"{result}"
                await anyio.sleep(RETRY_INTERVAL)

    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()
        tasks.start_soon(send, scope)
        await trial.harness.restart_broker()
        scope.cancel()
    await deliver(trial, destination, b"last")
    await collect(trial, receiver, confirmed | {b"last"})


@check(RESTART)
async def opens_during_restart(trial: Trial) -> None:
    """Opening while the broker restarts works, or raises ConnectError with its cause."""
    causes: list[BaseException | None] = []

    async def reopen(restarting: anyio.CancelScope) -> None:
        with restarting:
            for _ in range(1000):
                transport = trial.harness.transport()
                try:
                    await transport.open()
                except ConnectError as error:
                    causes.append(error.__cause__)
                else:
                    await transport.aclose()
                await anyio.sleep(RETRY_INTERVAL)

    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()
        tasks.start_soon(reopen, scope)
        await trial.harness.restart_broker()
        scope.cancel()
    assert all(causes), f"of {len(causes)} errors, {causes.count(None)} have no cause"


@check(RESTART)
async def closes_without_broker(trial: Trial) -> None:
    """Closing right after the broker was restarted raises nothing and is quick."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"held")
    await trial.receive_one(receiver)
    await trial.harness.restart_broker()
    await trial.leave(receiver)
