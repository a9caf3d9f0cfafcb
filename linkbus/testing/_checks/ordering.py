"""Order: messages of one key come in the order in which they were sent."""

from __future__ import annotations

from collections.abc import Sequence

from linkbus.abc import Arrival, Envelope
from linkbus.testing._check import check
from linkbus.testing._checks.groups import share
from linkbus.testing._trial import Trial

KEYS = ("a", "b", "c", "d", "e")


def in_order(sent: Sequence[Envelope], got: Sequence[Arrival]) -> None:
    """Fail unless the messages of each key came in the order of sending."""
    for key in {one.key for one in sent}:
        expected = [one.body for one in sent if one.key == key]
        came = [one.body for one in got if one.key == key]
        assert came == expected, f"of the key {key!r} were sent {expected}, and came {came}"


@check("ordering")
async def one_key(trial: Trial) -> None:
    """Messages of one key, sent one by one, come in order."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    sent = [trial.envelope(b"%d" % number, key="a") for number in range(20)]
    for envelope in sent:
        await trial.send(destination, envelope)
    in_order(sent, await trial.consume(receiver, 20))


@check("ordering")
async def many_keys_in_batches(trial: Trial) -> None:
    """Messages of several keys, mixed in batches, come in order within each key."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    sent = [trial.envelope(b"%d" % n, key=KEYS[n % len(KEYS)]) for n in range(100)]
    for start in range(0, 100, 7):
        await trial.send(destination, *sent[start : start + 7])
    in_order(sent, await trial.consume(receiver, 100))


@check("ordering")
async def two_senders(trial: Trial) -> None:
    """Calls of send that follow each other keep the order of a key over two transports."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    transports = [trial.transport, await trial.open_transport()]
    sent = [trial.envelope(b"%d" % number, key="a") for number in range(10)]
    for number, envelope in enumerate(sent):
        await trial.send(destination, envelope, transport=transports[number % 2])
    in_order(sent, await trial.consume(receiver, 10))


@check("ordering")
async def two_receivers(trial: Trial) -> None:
    """Over two receivers of a group, the messages of each key come in order."""
    destination = trial.new_destination()
    receivers = [await trial.subscribe(destination) for _ in range(2)]
    sent = [trial.envelope(b"%d" % n, key=KEYS[n % len(KEYS)]) for n in range(50)]
    await trial.send(destination, *sent)
    for part in await share(trial, receivers, 50):
        mine = {arrival.body for arrival in part}
        in_order([one for one in sent if one.body in mine], part)


@check("ordering")
async def released_comes_first(trial: Trial) -> None:
    """A released message is given again before the later ones of its key."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"1", b"2", b"3", key="a")
    first = await trial.receive_one(receiver)
    assert first.body == b"1", f"{first.body!r} came first"
    await trial.release(receiver, first)
    bodies = [one.body for _ in range(3) for one in await trial.consume(receiver, 1)]
    assert bodies == [b"1", b"2", b"3"], f"1 was released; then came {bodies}"


@check("ordering")
async def all_released_in_order(trial: Trial) -> None:
    """Several messages of a key that are released together come again in order."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    sent = [trial.envelope(b"%d" % number, key="a") for number in range(6)]
    await trial.send(destination, *sent)
    held = [await trial.receive_one(receiver)]
    held += await trial.poll(receiver, 5, trial.harness.quiet)
    await trial.release(receiver, *held)
    in_order(sent, await trial.consume(receiver, 6))


@check("ordering")
async def order_survives_closing(trial: Trial) -> None:
    """What a closed receiver held comes to the next one in the order of its key."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    sent = [trial.envelope(b"%d" % number, key="a") for number in range(6)]
    await trial.send(destination, *sent)
    await trial.poll(receiver, 3, trial.harness.patience)
    await trial.leave(receiver)
    in_order(sent, await trial.consume(await trial.subscribe(destination), 6))


@check("ordering", "delayed_release")
async def delay_keeps_order(trial: Trial) -> None:
    """A message released with a delay holds back the later ones of its key."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"a1", b"a2", key="a")
    first = await trial.receive_one(receiver)
    await trial.release(receiver, first, delay=1.0)
    bodies = [one.body for _ in range(2) for one in await trial.consume(receiver, 1)]
    assert bodies == [b"a1", b"a2"], f"a1 was released with a delay; then came {bodies}"
