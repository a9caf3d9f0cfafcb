"""Leases: extended in time, tried again, and lost when they run out."""

from __future__ import annotations

import asyncio
from time import monotonic

import anyio
import pytest

from linkbus import Delivery, TransportError
from linkbus._leases import RENEW_AT, Leases
from linkbus.abc import Arrival, SettleResult, SettleStatus
from tests.unit.scripted import OK, STALE, ScriptedReceiver, arrival, scripted

FAILED = SettleResult(SettleStatus.FAILED, ValueError("no"))


class Case:
    """Leases of deliveries, and what became of them."""

    def __init__(self, receiver: ScriptedReceiver, deliveries, *, extendable: bool) -> None:
        self.receiver = receiver
        self.deliveries: list[Delivery] = deliveries
        self.held: dict[Arrival, Delivery] = {d._arrival: d for d in deliveries}
        self.lost: list[str | None] = []
        self.leases = Leases(receiver, self.held, self.lose, extendable=extendable)

    def lose(self, delivery: Delivery) -> None:
        self.lost.append(delivery.id)
        self.held.pop(delivery._arrival)

    def age(self, seconds: float) -> None:
        """Let the leases be older than they are."""
        for delivery in self.deliveries:
            if delivery._held_until is not None:
                delivery._held_until -= seconds

    @property
    def due_in(self) -> float | None:
        return None if self.leases.next_at is None else self.leases.next_at - monotonic()


@pytest.fixture
async def case():
    """Return what makes a case of arrivals; their consumer does not look after them."""
    async with scripted() as (bus, transport):
        holder = bus.consumer("orders")._subscribe(10)

        def make(*arrivals: Arrival, extendable: bool = True) -> Case:
            deliveries = [Delivery(one, holder) for one in arrivals]
            receiver = ScriptedReceiver(transport, 10, lambda *_: None)
            return Case(receiver, deliveries, extendable=extendable)

        yield make


async def test_a_review_is_planned_for_the_middle_of_a_lease(case):
    """With extendable leases at half of it, without at its end, and none where there is none."""
    for extendable, due in ((True, 10 * RENEW_AT), (False, 10.0)):
        it = case(arrival("1", lease=10.0), arrival("2"), extendable=extendable)
        assert it.leases.note(it.deliveries, monotonic())
        assert it.due_in == pytest.approx(due, abs=0.5)
        assert not it.leases.note(it.deliveries[1:], monotonic())


async def test_what_is_due_is_extended(case):
    """One call for all deliveries with the same lease, for the whole of it."""
    it = case(arrival("1", lease=10.0), arrival("2", lease=10.0), arrival("3", lease=40.0))
    it.leases.note(it.deliveries, monotonic())
    it.age(6)
    await it.leases.review()
    assert it.receiver.extended == [["1", "2"]]
    assert it.deliveries[0]._held_until == pytest.approx(monotonic() + 10, abs=0.5)
    assert it.due_in == pytest.approx(5, abs=0.5)
    assert it.lost == []


async def test_what_ran_out_is_lost(case):
    """A lease that is over is not extended."""
    it = case(arrival("1", lease=10.0), arrival("2"))
    it.leases.note(it.deliveries, monotonic())
    it.age(10)
    await it.leases.review()
    assert it.lost == ["1"]
    assert it.receiver.extended == []
    assert it.due_in is None


async def test_what_is_settled_is_left_alone(case):
    """A settlement under way needs no lease."""
    it = case(arrival("1", lease=10.0))
    it.leases.note(it.deliveries, monotonic())
    it.age(11)
    it.deliveries[0]._settled = True
    await it.leases.review()
    assert (it.lost, it.receiver.extended, it.due_in) == ([], [], None)


async def test_without_extension_the_end_is_waited_for(case):
    """Nothing is called before the lease is over."""
    it = case(arrival("1", lease=10.0), extendable=False)
    it.leases.note(it.deliveries, monotonic())
    it.age(8)
    await it.leases.review()
    assert it.receiver.extended == []
    assert it.due_in == pytest.approx(2, abs=0.5)


async def test_a_revoked_delivery_is_held_for_the_grace_and_no_longer(case):
    """It is not extended, and a lease that ends sooner still ends."""
    it = case(arrival("1", lease=10.0), arrival("2"))
    now = monotonic()
    it.leases.note(it.deliveries, now)
    it.leases.revoke(it.deliveries[0], now + 20)
    it.leases.revoke(it.deliveries[1], now + 3)
    assert it.deliveries[0]._held_until == pytest.approx(now + 10, abs=0.1)
    it.age(2.9)
    it.deliveries[0]._held_until = now + 1
    await it.leases.review()
    assert it.receiver.extended == []
    assert it.due_in == pytest.approx(0.1, abs=0.2)


async def test_stale_is_lost_and_ok_is_kept(case):
    """Each answer counts for its own delivery; FAILED is asked again soon."""
    it = case(*[arrival(str(n), lease=10.0) for n in range(3)])
    it.leases.note(it.deliveries, monotonic())
    it.age(6)
    it.receiver.extends.append([STALE, OK, FAILED])
    await it.leases.review()
    assert it.lost == ["0"]
    assert it.due_in == pytest.approx(1, abs=0.3)


async def test_what_changes_during_a_call_is_respected(case):
    """Settled meanwhile, STALE loses nothing; revoked meanwhile, OK does not prolong."""
    it = case(arrival("1", lease=10.0), arrival("2", lease=10.0))
    it.leases.note(it.deliveries, monotonic())
    it.age(6)
    gate = anyio.Event()
    it.receiver.extends.extend([gate, [STALE, OK]])
    review = asyncio.create_task(it.leases.review())
    await it.receiver.until(lambda: it.receiver.extended)
    it.deliveries[0]._settled = True
    it.leases.revoke(it.deliveries[1], monotonic() + 1)
    gate.set()
    await review
    assert it.lost == []
    assert it.deliveries[1]._held_until < monotonic() + 2


async def test_a_failure_that_may_pass_is_tried_again_soon(case, caplog):
    """It is logged; the next attempt comes before the lease is over."""
    it = case(arrival("1", lease=10.0))
    it.leases.note(it.deliveries, monotonic())
    it.age(6)
    it.receiver.extends.append(TransportError("busy", retryable=True))
    await it.leases.review()
    assert it.due_in == pytest.approx(1, abs=0.3)
    assert "extending leases failed, trying again: busy" in caplog.text
    await it.leases.review()
    assert len(it.receiver.extended) == 2


async def test_another_failure_is_raised(case):
    """It ends the consumer."""
    it = case(arrival("1", lease=10.0))
    it.leases.note(it.deliveries, monotonic())
    it.age(6)
    it.receiver.extends.append(TransportError("gone"))
    with pytest.raises(TransportError, match="gone"):
        await it.leases.review()


async def test_a_wrong_number_of_answers_is_raised(case):
    """A transport that answers for more or fewer is defective."""
    it = case(arrival("1", lease=10.0))
    it.leases.note(it.deliveries, monotonic())
    it.age(6)
    it.receiver.extends.append([OK, OK])
    with pytest.raises(TransportError, match="2 results for 1 extensions"):
        await it.leases.review()


async def test_a_call_that_hangs_is_given_up(case):
    """No answer within a share of the lease is asked for again, while there is time."""
    it = case(arrival("1", lease=0.04), arrival("2"))
    it.leases.note(it.deliveries, monotonic())
    it.age(0.02)
    it.receiver.extends.append(anyio.Event())
    with anyio.fail_after(2):
        await it.leases.review()
    assert it.due_in is not None
    assert it.due_in < 0.02


async def test_what_lost_its_end_meanwhile_is_not_planned(case):
    """A delivery whose lease is no longer known needs no further attempt."""
    it = case(arrival("1", lease=10.0))
    it.leases.note(it.deliveries, monotonic())
    it.age(6)
    gate = anyio.Event()
    it.receiver.extends.extend([gate, [FAILED]])
    review = asyncio.create_task(it.leases.review())
    await it.receiver.until(lambda: it.receiver.extended)
    it.deliveries[0]._held_until = None
    gate.set()
    await review
    assert it.due_in is None
