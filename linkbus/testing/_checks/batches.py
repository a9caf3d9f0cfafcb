"""Batches: every envelope has its own result, at its own place."""

from __future__ import annotations

from linkbus import Message
from linkbus.abc import SendStatus, Transport
from linkbus.testing._check import check
from linkbus.testing._trial import Skipped, Trial


async def batch_of(trial: Trial, count: int) -> None:
    """Fail unless `count` messages, sent in the largest batches allowed, all arrive."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    sent = [trial.envelope(b"%d" % number, headers={"n": number}) for number in range(count)]
    await trial.send(destination, *sent)
    got = {arrival.id: arrival for arrival in await trial.consume(receiver, count)}
    for one in sent:
        arrival = got.get(one.id)
        assert arrival, f"message {one.body!r} did not come; {len(got)} of {count} did"
        same = arrival.body.decode() == arrival.headers["n"] == one.body.decode()
        assert same, f"{arrival.body!r} came with the header of {arrival.headers['n']}"


@check()
async def one(trial: Trial) -> None:
    """A batch of one message arrives."""
    await batch_of(trial, 1)


@check()
async def hundred(trial: Trial) -> None:
    """A hundred messages sent in batches arrive, each with its own headers."""
    await batch_of(trial, 100)


@check()
async def thousand(trial: Trial) -> None:
    """A thousand messages sent in batches arrive, each with its own headers."""
    await batch_of(trial, 1000)


@check()
async def results_in_order(trial: Trial) -> None:
    """The results of a batch name the envelopes at the same places."""
    destination = trial.new_destination()
    await trial.subscribe(destination)
    batch = [trial.envelope(b"%d" % n) for n in range(trial.capabilities.max_batch or 10)]
    results = await trial.transport.send(destination, batch)
    expected = [one.id for one in batch]
    ids = [result.id or one for one, result in zip(expected, results, strict=True)]
    assert ids == expected, "the ids of the results are not in the order of the batch"


@check("max_batch")
async def largest_batch(trial: Trial) -> None:
    """A batch of max_batch messages is taken in one call."""
    count = min(trial.capabilities.max_batch or 0, 1000)
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    results = await trial.try_send(destination, [trial.envelope(b"-") for _ in range(count)])
    statuses = {result.status for result in results}
    assert statuses == {SendStatus.SENT}, f"{count} messages in one batch were {statuses}"
    await trial.consume(receiver, count)


@check()
async def key_and_no_key(trial: Trial) -> None:
    """A batch that mixes keys, empty keys and none arrives with each as it was."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    keys = {b"0": None, b"1": "", b"2": "a", b"3": None, b"4": "b"}
    await trial.send(destination, *[trial.envelope(body, key=key) for body, key in keys.items()])
    got = {arrival.body: arrival.key for arrival in await trial.consume(receiver, 5)}
    assert got == keys, f"sent were {keys}, and {got} arrived"


@check()
async def context_of_each(trial: Trial) -> None:
    """Each message of a batch arrives with its own trace context."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    contexts = {b"%d" % n: f"00-{n + 1:032x}-{n + 1:016x}-01" for n in range(10)}
    await trial.send(
        destination,
        *[trial.envelope(body, context={"traceparent": it}) for body, it in contexts.items()],
    )
    arrivals = await trial.consume(receiver, 10)
    got = {arrival.body: arrival.headers.get("traceparent") for arrival in arrivals}
    assert got == contexts, f"sent were {contexts}, and {got} arrived"


def refused_message(transport: Transport) -> Message:
    """Make a message that the transport's capabilities do not allow."""
    can = transport.capabilities
    if can.max_message_bytes is not None and can.max_message_bytes <= 1 << 26:  # 64 MiB
        return Message(bytes(can.max_message_bytes + 1))
    if not can.repeated_headers:
        return Message(b"", headers=[("x", "1"), ("x", "2")])
    if can.max_headers is not None:
        return Message(b"", headers=[(f"h{n}", "v") for n in range(can.max_headers + 1)])
    msg = "it takes every message: it has no max_message_bytes, no max_headers, repeated_headers"
    raise Skipped(msg)


@check()
async def partial_failure(trial: Trial) -> None:
    """Messages that cannot be sent are FAILED at their places, and the others arrive."""
    bad = refused_message(trial.transport)
    destination = trial.new_destination()
    async with trial.bus() as bus:
        receiver = await trial.subscribe(destination)
        good = [Message(b"%d" % number) for number in range(3)]
        batch = [bad, good[0], bad, good[1], good[2]]
        results = await bus.producer(destination).send_batch(batch)
        failed = [n for n, result in enumerate(results) if result.status is SendStatus.FAILED]
        assert failed == [0, 2], f"numbers 0 and 2 cannot be sent; FAILED are {failed}: {results}"
        got = sorted(arrival.body for arrival in await trial.consume(receiver, 3))
        assert got == [b"0", b"1", b"2"], f"of the others came {got}"
