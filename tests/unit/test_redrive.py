"""Redrive: dead letters are confirmed first and acknowledged then, as they were."""

from __future__ import annotations

import anyio
import pytest

import linkbus
from linkbus import DeliveryError, Headers, SendResult, SendStatus, TransportError
from linkbus._redrive import Redrive
from linkbus.abc import Arrival, carried
from linkbus.transports.memory import MemoryTransport
from tests.unit.redrives import CONTEXT, PATIENCE, dead, give, redriving
from tests.unit.scripted import STALE, ended, running, scripted

FAILED = [SendResult(SendStatus.FAILED, error=TransportError("full"))]


async def taken(bus: linkbus.Bus, name: str, count: int) -> list[linkbus.Delivery]:
    """Take so many, acknowledge them, and see that there is no other."""
    found: list[linkbus.Delivery] = []
    async with bus.consumer(name, group="linkbus-redrive", prefetch=1000) as consumer:
        while len(found) < count:
            found += await consumer.receive(count - len(found))
        for delivery in found:
            await delivery.ack()
        assert await consumer.receive(timeout=0.01) == []
    return found


# What is sent


async def test_a_message_is_sent_as_it_was():
    """Body, key, headers and lineage are kept, whatever the destination; the id is new."""
    async with linkbus.Bus(MemoryTransport()) as bus:
        await bus.producer("orders").send(b"\xff", key="k", headers={"a": "1"}, id="7")
        async with bus.consumer("orders", dead_letter="orders.dead") as consumer:
            await (await anext(consumer)).reject()
        async with bus.consumer("orders.dead", group="other") as consumer:
            letter = await anext(consumer)
        redrive = Redrive(bus, "orders.dead", "elsewhere", max_messages=1)
        await redrive.run()
        (message,) = await taken(bus, "elsewhere", 1)
        assert (redrive.sent, redrive.unsettled, redrive.newer) == (1, 0, 0)
        assert (message.body, message.key, message.headers["a"]) == (b"\xff", "k", "1")
        assert message.id not in {"7", letter.id}
        assert carried(message.headers)["origin"] == carried(letter.headers)["origin"]
        assert carried(message.headers)["origin"]["id"] == "7"
        assert await taken(bus, "orders.dead", 0) == []


async def test_a_dead_letter_of_the_broker_gets_a_lineage():
    """Where none is, its own creation context is the origin."""
    headers = Headers({"traceparent": CONTEXT, "a": "1"})
    async with redriving(Arrival(id="7", body=b"x", headers=headers), max_messages=1) as (
        _,
        transport,
        task,
    ):
        assert await ended(task) is None
    (envelope,) = transport.envelopes
    assert carried(envelope.headers)["origin"] == {
        "traceparent": CONTEXT,
        "source": "orders.dead",
        "attempts": 1,
        "id": "7",
    }
    assert envelope.headers["a"] == "1"


async def test_the_context_passes_where_nothing_is_traced():
    """Without an SDK whoever processes the message is linked to the dead letter's sender."""
    letter = Arrival(id="7", body=b"x", headers=Headers({"traceparent": CONTEXT}))
    async with redriving(letter, max_messages=1) as (_, transport, task):
        assert await ended(task) is None
    assert transport.envelopes[0].context["traceparent"] == CONTEXT


async def test_messages_of_a_key_keep_their_order():
    """Also where there are more than are sent at once."""
    async with linkbus.Bus(MemoryTransport()) as bus:
        messages = [linkbus.Message(b"%d" % n, key=f"{n % 7}") for n in range(350)]
        await bus.producer("orders.dead").send_batch(messages)
        redrive = Redrive(bus, "orders.dead", "orders", max_messages=350)
        await redrive.run()
        assert redrive.sent == 350
        numbers: dict[str | None, list[int]] = {}
        for delivery in await taken(bus, "orders", 350):
            numbers.setdefault(delivery.key, []).append(int(delivery.body))
    assert numbers == {f"{key}": list(range(key, 350, 7)) for key in range(7)}


async def test_different_keys_are_sent_side_by_side():
    """A message waits for those of its own key only; without a key for none."""
    async with redriving("a1", "a2", "b1", dead("1"), dead("2"), max_messages=5) as (
        _,
        transport,
        task,
    ):
        gate = anyio.Event()
        transport.sends.extend([gate] * 4)
        await transport.watch.until(lambda: len(transport.sent) == 4)
        assert [one.body for one in transport.envelopes] == [b"a1", b"b1", b"1", b"2"]
        gate.set()
        assert await ended(task) is None


async def test_each_message_is_told_of():
    """The callback comes after the acknowledgement."""
    told: list[int] = []
    async with scripted() as (bus, transport):
        redrive = Redrive(bus, "orders.dead", "orders", max_messages=2)
        running_ = redrive.run(lambda: told.append(len(transport.receiver.settled)))
        async with running(running_) as task:
            await give(transport, "a1", "a2")
            assert await ended(task) is None
    assert told == [1, 2]


# Nothing is lost


async def test_nothing_is_acknowledged_before_it_is_confirmed():
    """While the broker has not answered, the dead letter is held."""
    async with redriving("a1", max_messages=1) as (redrive, transport, task):
        transport.sends.append(gate := anyio.Event())
        await transport.watch.until(lambda: transport.sent)
        assert (transport.receiver.settled, redrive.sent) == ([], 0)
        gate.set()
        assert await ended(task) is None
        assert transport.receiver.outcomes == [("a1", "ack")]
        assert redrive.sent == 1


@pytest.mark.parametrize(
    "answer", [TransportError("full"), FAILED, [SendResult(SendStatus.UNKNOWN)]]
)
async def test_a_message_that_is_not_confirmed_ends_it(answer):
    """It is released, what is under way is finished, and no other is begun."""
    async with redriving("a1", "a2", "b1") as (redrive, transport, task):
        gate = anyio.Event()
        transport.sends.extend([gate, answer])  # the first waits while the second fails
        await transport.watch.until(lambda: ("b1", "release") in transport.receiver.outcomes)
        gate.set()
        error = await ended(task)
        assert isinstance(error, DeliveryError)
        assert str(error).startswith("<Delivery b1 from 'orders.dead'")
        assert "could not be sent to 'orders'" in str(error)
        assert [one.body for one in transport.envelopes] == [b"a1", b"b1"]
        outcomes = [("b1", "release"), ("a1", "ack"), ("a2", "release")]
        assert transport.receiver.outcomes == outcomes
        assert redrive.sent == 1


async def test_a_message_that_the_transport_cannot_take_ends_it():
    """It is too large for this destination, and stays."""
    async with scripted(max_message_bytes=1) as (bus, transport):
        redrive = Redrive(bus, "orders.dead", "orders", patience=PATIENCE)
        async with running(redrive.run()) as task:
            await give(transport, "a1")
            error = await ended(task)
        assert isinstance(error, DeliveryError)
        assert "of at most 1" in str(error)
        assert transport.receiver.outcomes == [("a1", "release")]


async def test_a_message_that_cannot_be_acknowledged_is_counted():
    """It was sent, and is a dead letter still: the others go on."""
    async with redriving("a1", "b1", max_messages=2) as (redrive, transport, task):
        transport.receiver.settles.append([STALE])
        assert await ended(task) is None
        assert (redrive.sent, redrive.unsettled) == (2, 1)


async def test_a_transport_that_cannot_go_on_ends_it():
    """Its error is raised."""
    async with redriving(TransportError("gone")) as (_, _transport, task):
        assert str(await ended(task)) == "gone"


async def test_stopped_it_finishes_what_is_under_way():
    """No other message of the key is sent, and all that is left is released."""
    async with redriving("a1", "a2", "b1", patience=60.0, max_messages=2) as (
        redrive,
        transport,
        task,
    ):
        transport.sends.append(gate := anyio.Event())
        await transport.watch.until(lambda: transport.sent)
        redrive.stop()
        gate.set()
        assert await ended(task) is None
        assert (redrive.sent, redrive.is_drained) == (1, False)
        assert sorted(transport.receiver.outcomes) == [
            ("a1", "ack"),
            ("a2", "release"),
            ("b1", "release"),
        ]


async def test_stopped_while_it_waits_it_ends_at_once():
    """Patience is for dead letters, not for whoever wants it to end."""
    async with redriving("a1", patience=60.0) as (redrive, transport, task):
        await transport.watch.until(lambda: transport.receiver.settled)
        await anyio.wait_all_tasks_blocked()
        redrive.stop()
        assert await ended(task) is None
        assert redrive.sent == 1
        assert not redrive.is_drained


async def test_stopped_before_it_runs_it_sends_nothing():
    """The flag is looked at before the first dead letter is taken."""
    async with scripted() as (bus, transport):
        redrive = Redrive(bus, "orders.dead", "orders", patience=60.0)
        redrive.stop()
        with anyio.fail_after(5):
            await redrive.run()
        assert transport.sent == []


async def test_cancelled_it_releases_what_is_under_way():
    """What was cut off may have been sent, so it stays a dead letter."""
    async with redriving("a1", "b1", patience=60.0) as (redrive, transport, task):
        transport.sends.append(anyio.Event())
        transport.sends.append(anyio.Event())
        await transport.watch.until(lambda: len(transport.sent) == 2)
        task.cancel()
        await ended(task)
        assert task.cancelled()
        assert sorted(transport.receiver.outcomes) == [("a1", "release"), ("b1", "release")]
        assert redrive.sent == 0


async def test_messages_that_fail_again_do_not_circle():
    """With a service that fails at all of them, each is sent once."""
    async with linkbus.Bus(MemoryTransport()) as bus:
        for n in range(5):
            await bus.producer("orders").send(b"%d" % n, key=f"{n}")
        await failing(bus, 5)
        redrive = Redrive(bus, "orders.dead", "orders", patience=PATIENCE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(failing, bus, 5)
            await redrive.run()
        assert redrive.sent == 5
        assert len(await taken(bus, "orders.dead", 5)) == 5


async def failing(bus: linkbus.Bus, count: int) -> None:
    """Fail at so many messages, all of which have become dead letters in the end."""
    bodies: list[bytes] = []
    has_failed = anyio.Event()

    async def fail(delivery: linkbus.Delivery) -> None:
        bodies.append(delivery.body)
        if len(bodies) == count:
            has_failed.set()
        raise ValueError

    async with running(bus.consumer("orders", dead_letter="orders.dead").run(fail)):
        await has_failed.wait()
