"""Round trip: what is sent arrives, whole and once."""

from __future__ import annotations

import time

import anyio

from linkbus.abc import Arrival, Envelope
from linkbus.testing._check import check
from linkbus.testing._trial import Trial

LARGE = 4 * 1024 * 1024
"""Bytes of body that a check sends at most, whatever the broker takes."""
CLOCKS = 60.0
"""Seconds by which the broker's clock may differ from ours."""


async def there_and_back(trial: Trial, envelope: Envelope) -> Arrival:
    """Send an envelope to a new destination and return it as it arrives."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send(destination, envelope)
    (arrival,) = await trial.consume(receiver, 1)
    return arrival


async def same_body(trial: Trial, body: bytes) -> None:
    """Fail unless a body arrives as it was sent."""
    arrival = await there_and_back(trial, trial.envelope(body))
    assert type(arrival.body) is bytes, f"a body arrived as {type(arrival.body).__name__}"
    same = arrival.body == body
    assert same, f"a body of {len(body)} bytes arrived changed, with {len(arrival.body)} bytes"


@check()
async def one_message(trial: Trial) -> None:
    """A message arrives with its body, key, headers and id."""
    sent = trial.envelope(b"body", key="42", headers={"tenant": "a"})
    arrival = await there_and_back(trial, sent)
    assert arrival.body == b"body", f"the body arrived as {arrival.body!r}"
    assert arrival.key == "42", f"the key arrived as {arrival.key!r}"
    assert arrival.headers.get("tenant") == "a", f"of the headers arrived: {arrival.headers!r}"
    assert arrival.id == sent.id, f"the id {sent.id} arrived as {arrival.id}"


@check()
async def empty_body(trial: Trial) -> None:
    """An empty body arrives empty."""
    await same_body(trial, b"")


@check()
async def one_byte(trial: Trial) -> None:
    """A body of one zero byte arrives."""
    await same_body(trial, b"\0")


@check()
async def every_byte(trial: Trial) -> None:
    """A body of all 256 byte values arrives unchanged."""
    await same_body(trial, bytes(range(256)))


@check()
async def text_like_body(trial: Trial) -> None:
    """A body that is no valid UTF-8, or has a byte order mark, arrives unchanged."""
    await same_body(trial, b"\xef\xbb\xbf\xff\xfe\xc3\x28 \r\n\t")


@check()
async def larger_body(trial: Trial) -> None:
    """A body of 100,000 bytes arrives unchanged."""
    await same_body(trial, bytes(range(250)) * min(400, trial.largest(LARGE) // 250))


@check("max_message_bytes")
async def largest_body(trial: Trial) -> None:
    """A body as large as max_message_bytes, of 4 MiB at most, arrives unchanged."""
    await same_body(trial, b"\xa5" * trial.largest(LARGE))


@check()
async def ids_are_kept(trial: Trial) -> None:
    """Each of many messages arrives with the id that it was sent with."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    sent = [trial.envelope(b"%d" % number) for number in range(20)]
    await trial.send(destination, *sent)
    ids = {arrival.body: arrival.id for arrival in await trial.consume(receiver, 20)}
    wrong = [one.id for one in sent if ids.get(one.body) != one.id]
    assert not wrong, f"{len(wrong)} of 20 messages arrived without their own id"


@check()
async def many_once(trial: Trial) -> None:
    """Five hundred messages arrive, each once."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, *[b"%d" % number for number in range(500)])
    got = [*await trial.consume(receiver, 500), *await trial.drain(receiver)]
    twice = len(got) - len({arrival.body for arrival in got})
    assert not twice, f"{twice} messages came twice though each was acknowledged"


@check()
async def no_cross_talk(trial: Trial) -> None:
    """Two destinations keep their messages apart."""
    names = trial.new_destination(), trial.new_destination()
    assert names[0] != names[1], f"new_destination() returned {names[0]!r} twice"
    receivers = [await trial.subscribe(name) for name in names]
    for name in names:
        await trial.send_bodies(name, name.encode())
    for name, receiver in zip(names, receivers, strict=True):
        got = await trial.consume(receiver, 1)
        got += await trial.drain(receiver)
        bodies = [arrival.body for arrival in got]
        assert bodies == [name.encode()], f"{name!r} brought {bodies}"


@check()
async def sent_at(trial: Trial) -> None:
    """The time of sending, where it is known, is in seconds since the epoch."""
    before = time.time()
    arrival = await there_and_back(trial, trial.envelope(b"when"))
    if arrival.sent_at is not None:
        off = max(before - arrival.sent_at, arrival.sent_at - time.time())
        assert off < CLOCKS, f"sent_at is {arrival.sent_at!r}, and now is {time.time()!r}"


@check()
async def concurrent_sends(trial: Trial) -> None:
    """Twenty concurrent calls of send lose and double nothing."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    async with anyio.create_task_group() as tasks:
        for call in range(20):
            bodies = [b"%d/%d" % (call, number) for number in range(5)]
            tasks.start_soon(trial.send_bodies, destination, *bodies)
    got = [*await trial.consume(receiver, 100), *await trial.drain(receiver)]
    assert len({arrival.body for arrival in got}) == len(got), "a message came twice"


@check()
async def no_more_than_asked(trial: Trial) -> None:
    """A receive never returns more messages than it was asked for."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, *[b"%d" % number for number in range(10)])
    left = 10
    with anyio.move_on_after(trial.harness.patience):
        while left > 0:
            got = await trial.poll(receiver, min(left, 3), 1.0)
            await trial.ack(receiver, *got)
            left -= len(got)
    assert left == 0, f"{left} of ten messages did not come"


@check()
async def receive_returns_early(trial: Trial) -> None:
    """A receive that asks for many returns as soon as there is one message."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"first")
    await trial.consume(receiver, 1)
    await trial.send_bodies(destination, b"second")
    start = anyio.current_time()
    while not (got := await trial.poll(receiver, 100, 5.0)):
        assert anyio.current_time() - start < trial.harness.patience, "the message did not come"
    took = anyio.current_time() - start
    await trial.ack(receiver, *got)
    assert took < 4.0, f"one message was there, and receive waited {took:.1f} seconds for more"  # noqa: PLR2004 - clearly less than 5
