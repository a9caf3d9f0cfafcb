"""Groups of the memory transport: who is given what next, and what comes again."""

from collections import Counter

import pytest

from linkbus.abc import Envelope
from linkbus.transports.memory import MemoryBroker
from linkbus.transports.memory._lane import Receipt
from linkbus.transports.memory._member import Member


class Bench:
    """A broker with one topic and one group, and a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.broker = MemoryBroker(lease=10.0, clock=lambda: self.now)
        self.a = self.join()
        self.group = self.a.group

    def join(self) -> Member:
        return self.broker.join("orders", "billing")

    def send(self, *names: str) -> None:
        """Send messages; the letters of a name are its key, "-" is none: "k1", "-2"."""
        batch = [
            Envelope(name, b"", name.rstrip("0123456789").strip("-") or None) for name in names
        ]
        self.broker.append("orders", batch)

    def take(self, member: Member, limit: int = 100) -> list[Receipt]:
        return self.group.take(member, limit)

    def ack(self, *receipts: Receipt) -> None:
        for receipt in receipts:
            self.group.ack(receipt, self.group.catch_up())

    def release(self, *receipts: Receipt, delay: float = 0.0) -> None:
        for receipt in receipts:
            self.group.give_back(receipt, self.group.catch_up(), delay)


@pytest.fixture
def bench():
    return Bench()


def names(receipts: list[Receipt]) -> list[str]:
    return [str(receipt.held.id) for receipt in receipts]


def test_messages_are_given_in_the_order_of_sending(bench):
    """Without anything given back, a group is first in, first out, as far as asked for."""
    bench.send("-1", "k1", "k2", "j1", "-2")
    assert names(bench.take(bench.a, 2)) == ["-1", "k1"]
    assert names(bench.take(bench.a)) == ["k2", "j1", "-2"]
    assert bench.take(bench.a) == []


def test_a_message_is_given_to_one_member_only(bench):
    """Two members share the messages of their group."""
    b = bench.join()
    bench.send("-1", "-2", "-3")
    assert names(bench.take(bench.a, 2)) == ["-1", "-2"]
    assert names(bench.take(b)) == ["-3"]


def test_a_key_in_work_is_given_to_its_owner_only(bench):
    """While a member has unsettled messages of a key, no other is given that key."""
    b = bench.join()
    bench.send("k1", "k2", "k3", "j1")
    first = bench.take(bench.a, 1)
    assert names(bench.take(b)) == ["j1"]
    second = bench.take(bench.a, 1)
    assert names(second) == ["k2"]
    bench.ack(*first)
    assert bench.take(b) == []
    bench.ack(*second)
    assert names(bench.take(b)) == ["k3"]


def test_a_key_whose_messages_are_settled_leaves_nothing_behind(bench):
    """A group keeps no trace of the keys that it has done."""
    bench.send(*[f"key{letter}1" for letter in "abcdef"])
    bench.ack(*bench.take(bench.a))
    assert not bench.group._lanes
    assert bench.group.unsettled == 0


def test_a_released_message_comes_before_the_later_ones_of_its_key(bench):
    """What was given back goes first, and its attempt counts up."""
    bench.send("k1", "k2", "k3")
    first, second = bench.take(bench.a, 2)
    bench.release(second)
    bench.release(first)
    again = bench.take(bench.a)
    assert names(again) == ["k1", "k2", "k3"]
    assert [receipt.attempt for receipt in again] == [2, 2, 1]


def test_a_new_message_stands_behind_a_released_one_of_its_key(bench):
    """A message that is met before the released one of its key is taken waits behind it."""
    bench.send("j1", "k1")
    bench.release(*bench.take(bench.a))
    bench.send("k2")
    assert names(bench.take(bench.a)) == ["j1", "k1", "k2"]


def test_a_released_message_is_its_owners_while_others_of_its_key_are_in_work(bench):
    """Its owner may be given it at once, another member only when the key is free."""
    b = bench.join()
    bench.send("k1", "k2")
    first, second = bench.take(bench.a)
    bench.release(first)
    assert bench.take(b) == []
    assert names(bench.take(bench.a)) == ["k1"]
    bench.release(second)
    assert bench.take(b) == []


def test_a_released_message_may_go_to_another_member(bench):
    """With nothing of its key in work, whoever asks first is given it."""
    b = bench.join()
    bench.send("k1", "-1")
    bench.release(*bench.take(bench.a))
    assert sorted(names(bench.take(b))) == ["-1", "k1"]


def test_a_delay_holds_a_message_and_the_later_ones_of_its_key(bench):
    """Other keys flow meanwhile, and after the delay the order is kept."""
    bench.send("k1", "k2", "j1", "-1")
    bench.release(*bench.take(bench.a, 1), delay=5.0)
    assert names(bench.take(bench.a)) == ["j1", "-1"]
    bench.now += 4.9
    assert bench.take(bench.a) == []
    bench.now += 0.1
    assert names(bench.take(bench.a)) == ["k1", "k2"]


def test_an_earlier_message_of_a_delayed_key_does_not_wait(bench):
    """Only what is behind the delayed message waits for it."""
    bench.send("k1", "k2", "k3")
    first, second = bench.take(bench.a, 2)
    bench.release(second, delay=5.0)
    assert bench.take(bench.a) == []
    bench.release(first)
    assert names(bench.take(bench.a)) == ["k1"]
    bench.now += 5.0
    assert names(bench.take(bench.a)) == ["k2", "k3"]


def test_a_message_without_a_key_is_delayed_alone(bench):
    """Its delay holds back nothing else."""
    bench.send("-1", "-2")
    bench.release(*bench.take(bench.a, 1), delay=5.0)
    assert names(bench.take(bench.a)) == ["-2"]
    bench.now += 5.0
    again = bench.take(bench.a)
    assert names(again) == ["-1"]
    bench.ack(*again)
    bench.now += 60.0
    assert names(bench.take(bench.a)) == ["-2"]


def test_a_message_is_given_again_when_its_lease_is_over(bench):
    """An unsettled message comes again, to any member, and its old receipt is closed."""
    b = bench.join()
    bench.send("k1", "k2")
    first, second = bench.take(bench.a)
    bench.now += 9.9
    assert bench.take(b) == []
    bench.now += 0.1
    again = bench.take(b)
    assert names(again) == ["k1", "k2"]
    assert [receipt.attempt for receipt in again] == [2, 2]
    assert first.due is None
    assert second.due is None


def test_an_extended_lease_ends_later_or_sooner(bench):
    """The lease counts from the call that extended it."""
    bench.send("-1", "-2")
    first, second = bench.take(bench.a)
    bench.group.extend(first, bench.now + 30.0)
    bench.group.extend(second, bench.now + 1.0)
    bench.now += 1.0
    assert names(bench.take(bench.a)) == ["-2"]
    bench.now += 28.9
    assert "-1" not in names(bench.take(bench.a))
    bench.now += 0.1
    assert "-1" in names(bench.take(bench.a))


def test_messages_that_always_come_back_do_not_keep_the_others_waiting(bench):
    """A key in work, a free key and new messages take turns, asked for one by one too."""
    bench.send("k1", "k2", "j1")
    kept, *failing = bench.take(bench.a)
    bench.release(*failing)
    bench.send(*[f"-{number}" for number in range(10)])
    given: Counter[str] = Counter()
    for _ in range(30):
        (receipt,) = bench.take(bench.a, 1)
        given[receipt.held.id] += 1
        if receipt.held.key is None:
            bench.ack(receipt)
        else:
            bench.release(receipt)
    assert kept.due is not None
    assert given == {"k2": 10, "j1": 10, **{f"-{number}": 1 for number in range(10)}}


def test_a_member_that_leaves_gives_back_what_it_holds(bench):
    """The next member is given it in order, as another attempt; the leaver gets no more."""
    b = bench.join()
    bench.send("k1", "k2", "-1", "k3")
    held = bench.take(bench.a, 3)
    bench.group.leave(bench.a)
    again = bench.take(b)
    assert sorted(names(again)) == ["-1", "k1", "k2", "k3"]
    assert [name for name in names(again) if name[0] == "k"] == ["k1", "k2", "k3"]
    assert {receipt.attempt for receipt in again} == {1, 2}
    assert all(receipt.due is None for receipt in held)
    bench.send("-9")
    assert bench.take(bench.a) == []


def test_what_others_hold_stays_when_a_member_leaves(bench):
    """Leaving touches the receipts of the leaver only."""
    b = bench.join()
    bench.send("-1", "-2")
    (mine,), (theirs,) = bench.take(bench.a, 1), bench.take(b, 1)
    bench.group.leave(bench.a)
    assert mine.due is None
    assert theirs.due is not None


def woken(member: Member, group, *, wait: float = 5.0):
    """Let a member wait; return a function that says whether it was woken."""
    awake, _ = group.enlist(member, wait)
    return awake.is_set


def test_sending_wakes_the_member_that_waits_longest(bench):
    """One message wakes one member, the next message the next."""
    b = bench.join()
    a_woken, b_woken = woken(bench.a, bench.group), woken(b, bench.group)
    bench.send("-1")
    assert (a_woken(), b_woken()) == (True, False)
    bench.take(bench.a)
    bench.send("-2")
    assert b_woken()


def test_who_leaves_messages_wakes_the_next(bench):
    """A member that takes less than there is wakes another for the rest."""
    b = bench.join()
    a_woken, b_woken = woken(bench.a, bench.group), woken(b, bench.group)
    bench.send("-1", "-2")
    assert a_woken()
    bench.take(bench.a, 1)
    assert b_woken()


def test_the_owner_of_a_key_is_woken_for_it(bench):
    """A message for another's key that a member meets is passed on to its owner."""
    b = bench.join()
    bench.send("k1")
    bench.take(bench.a)
    b_woken, a_woken = woken(b, bench.group), woken(bench.a, bench.group)
    bench.send("k2")
    assert b_woken()
    assert bench.take(b) == []
    assert a_woken()
    assert names(bench.take(bench.a)) == ["k2"]


def test_a_key_that_becomes_free_wakes_a_member(bench):
    """When its owner has settled it all, another is woken for what waits."""
    b = bench.join()
    bench.send("k1", "k2")
    (first,) = bench.take(bench.a, 1)
    assert bench.take(b) == []
    b_woken = woken(b, bench.group)
    bench.ack(first)
    assert b_woken()
    assert names(bench.take(b)) == ["k2"]


def test_a_wait_ends_with_the_next_lease_or_delay(bench):
    """A member sleeps no longer than until something may come again."""
    bench.send("-1", "-2")
    first, second = bench.take(bench.a)
    assert bench.group.enlist(bench.a, 60.0)[1] == 10.0
    bench.release(first, delay=3.0)
    assert bench.group.enlist(bench.a, 60.0)[1] == 3.0
    assert bench.group.enlist(bench.a, 1.0)[1] == 1.0
    bench.ack(second)
    bench.now += 3.0
    bench.ack(*bench.take(bench.a))
    assert bench.group.enlist(bench.a, 60.0)[1] == 60.0


def test_who_would_sleep_too_long_is_woken_to_look_at_the_clock(bench):
    """A delay that ends before a wait does wakes that member; a later one does not."""
    b = bench.join()
    bench.send("-1", "-2")
    first, second = bench.take(bench.a)
    b_woken = woken(b, bench.group, wait=5.0)
    bench.release(first, delay=6.0)
    assert not b_woken()
    bench.release(second, delay=2.0)
    assert b_woken()


def test_a_settled_lease_does_not_hide_a_later_one_from_who_waits(bench):
    """The end of a lease that no longer matters does not stand for the next one."""
    b = bench.join()
    bench.send("-1", "-2")
    (first,) = bench.take(bench.a, 1)
    bench.ack(first)
    bench.now += 1.0
    b_woken = woken(b, bench.group, wait=60.0)
    (second,) = bench.take(bench.a, 1)
    assert second.due == bench.now + 10.0
    assert b_woken()


def test_a_member_that_stops_waiting_is_not_woken(bench):
    """A dismissed member is passed over."""
    b = bench.join()
    a_woken, b_woken = woken(bench.a, bench.group), woken(b, bench.group)
    bench.group.dismiss(bench.a)
    bench.group.dismiss(bench.a)
    bench.send("-1")
    assert (a_woken(), b_woken()) == (False, True)


def test_a_member_that_leaves_is_woken_and_passes_on(bench):
    """Its own wait ends, and what it gives back wakes another."""
    b = bench.join()
    bench.send("k1")
    bench.take(bench.a)
    a_woken, b_woken = woken(bench.a, bench.group), woken(b, bench.group)
    bench.group.leave(bench.a)
    assert a_woken()
    assert b_woken()
