"""Buffer: what waits to be given, in order, also within a key."""

from __future__ import annotations

import random

from linkbus import Delivery
from linkbus._buffer import Buffer
from tests.unit.scripted import arrival, scripted


async def deliveries(*ids: str, size: int | None = None) -> list[Delivery]:
    """Return deliveries; an id like `a1` has the key `a`."""
    async with scripted() as (bus, _):
        holder = bus.consumer("orders")._subscribe(1)
        body = None if size is None else b"x" * size
        return [Delivery(arrival(one, body=body), holder) for one in ids]


def taken(buffer: Buffer, count: int) -> list[str | None]:
    return [buffer.take().id for _ in range(count)]


async def test_without_keys_it_is_a_queue():
    """First in, first out, whatever the keys are."""
    buffer = Buffer()
    buffer.push(await deliveries("a1", "a2", "b1"))
    assert (len(buffer), buffer.available, buffer.bytes) == (3, 3, 6)
    assert buffer.first().id == "a1"
    assert taken(buffer, 3) == ["a1", "a2", "b1"]
    assert (len(buffer), buffer.available, buffer.bytes, buffer.first()) == (0, 0, 0, None)


async def test_with_keys_one_waits_behind_the_one_that_was_taken():
    """Others go on; a key goes on when it is done."""
    buffer = Buffer()
    buffer.order_keys()
    buffer.push(await deliveries("a1", "a2", "b1", "1", "2"))
    assert buffer.available == 5
    assert taken(buffer, 4) == ["a1", "b1", "1", "2"]
    assert (len(buffer), buffer.available) == (1, 0)
    buffer.push(await deliveries("a3", "b2"))
    assert (len(buffer), buffer.available) == (3, 0)
    buffer.done(["a", "z"])
    assert buffer.available == 2
    assert taken(buffer, 1) == ["a2"]
    assert buffer.available == 0
    buffer.done(["a"])
    buffer.done(["b"])
    assert taken(buffer, 2) == ["a3", "b2"]
    buffer.done(["a", "b"])
    assert buffer._behind == {}


async def test_what_waits_already_is_put_in_order():
    """Keys can be ordered after the first deliveries came."""
    buffer = Buffer()
    buffer.push(await deliveries("a1", "a2", "b1"))
    buffer.order_keys()
    assert taken(buffer, 2) == ["a1", "b1"]
    assert (len(buffer), buffer.available, buffer.bytes) == (1, 0, 2)


async def test_many_are_taken_with_those_of_a_key_together():
    """Up to the count, the ones behind a key included, in order."""
    buffer = Buffer()
    buffer.order_keys()
    buffer.push(await deliveries("a1", "b1", "a2", "a3", "1"))
    assert [d.id for d in buffer.take_many(3)] == ["a1", "a2", "a3"]
    buffer.push(await deliveries("a4"))
    assert [d.id for d in buffer.take_many(9)] == ["b1", "1"]
    assert (len(buffer), buffer.available) == (1, 0)
    buffer.done(["a", "b"])
    assert [d.id for d in buffer.take_many(9)] == ["a4"]


async def test_many_are_taken_up_to_a_size():
    """The first whatever its size is; a key's next one stays if it does not fit."""
    buffer = Buffer()
    buffer.order_keys()
    buffer.push(await deliveries("a1", "a2", "a3", "b1", size=40))
    assert [d.id for d in buffer.take_many(9, 100)] == ["a1", "a2"]
    assert (buffer.bytes, buffer.available) == (80, 1)
    buffer.done(["a"])
    assert [d.id for d in buffer.take_many(9, 10)] == ["b1"]
    assert [d.id for d in buffer.take_many(9, 10)] == ["a3"]
    assert buffer.bytes == 0


async def test_what_waits_behind_a_key_is_withdrawn_in_order():
    """All of it, and nothing else."""
    buffer = Buffer()
    buffer.order_keys()
    buffer.push(await deliveries("a1", "a2", "a3", "b1"))
    assert taken(buffer, 1) == ["a1"]
    assert [d.id for d in buffer.withdraw_behind("a")] == ["a2", "a3"]
    assert (len(buffer), buffer.available, buffer.bytes) == (1, 1, 2)
    assert buffer.withdraw_behind("a") == []


async def test_one_is_withdrawn_from_anywhere():
    """Ready or behind, with a key that is taken or not, or without one."""
    buffer = Buffer()
    buffer.order_keys()
    given = await deliveries("a1", "a2", "a3", "b1", "b2", "1")
    buffer.push(given)
    buffer.withdraw(given[0])
    assert taken(buffer, 1) == ["b1"]
    buffer.withdraw(given[4])
    buffer.withdraw(given[5])
    buffer.withdraw(given[2])
    assert (len(buffer), buffer.available, buffer.bytes) == (1, 1, 2)
    assert taken(buffer, 1) == ["a2"]
    plain = Buffer()
    plain.push(given)
    plain.withdraw(given[1])
    assert taken(plain, 5) == ["a1", "a3", "b1", "b2", "1"]


async def test_the_last_of_a_key_leaves_nothing_behind():
    """Withdrawn, it frees the memory of its key."""
    buffer = Buffer()
    buffer.order_keys()
    given = await deliveries("a1")
    buffer.push(given)
    buffer.withdraw(given[0])
    assert buffer._behind == {}


async def test_everything_is_withdrawn_with_keys_in_order():
    """What is ready, and what waits behind what was taken."""
    buffer = Buffer()
    buffer.order_keys()
    buffer.push(await deliveries("a1", "a2", "b1", "b2", "1"))
    assert taken(buffer, 1) == ["a1"]
    assert [d.id for d in buffer.withdraw_all()] == ["b1", "b2", "1", "a2"]
    assert (len(buffer), buffer.available, buffer.bytes) == (0, 0, 0)
    buffer.done(["a"])
    buffer.push(await deliveries("a3"))
    assert taken(buffer, 1) == ["a3"]
    plain = Buffer()
    plain.push(await deliveries("1", "2"))
    assert [d.id for d in plain.withdraw_all()] == ["1", "2"]


async def test_its_counts_are_right_whatever_happens():
    """After thousands of random steps it holds what a plain model says."""
    chance = random.Random(7)  # noqa: S311 - the same steps each time
    buffer, waiting, busy = Buffer(), [], set()
    buffer.order_keys()
    fresh = iter(await deliveries(*[f"{chance.choice('abc12')}{n}" for n in range(1500)]))
    for _ in range(4000):
        step = chance.random()
        if step < 0.35:
            one = next(fresh, None)
            if one is not None:
                buffer.push([one])
                waiting.append(one)
        elif step < 0.6 and buffer.first() is not None:
            one = buffer.take()
            assert one.key not in busy
            assert one.key is None or next(d for d in waiting if d.key == one.key) is one
            waiting.remove(one)
            busy |= {one.key} - {None}
        elif step < 0.85 and busy:
            key = chance.choice(sorted(busy))
            busy.discard(key)
            buffer.done([key])
        elif waiting:
            one = chance.choice(waiting)
            waiting.remove(one)
            buffer.withdraw(one)
        assert len(buffer) == len(waiting)
        assert buffer.available == len([d for d in waiting if d.key not in busy])
        assert buffer.bytes == sum(len(d.body) for d in waiting)
