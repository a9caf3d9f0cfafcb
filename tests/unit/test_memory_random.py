"""Groups of the memory transport under random use: nothing lost, doubled or out of order."""

from random import Random

import pytest

from linkbus.abc import Envelope
from linkbus.transports.memory import MemoryBroker
from linkbus.transports.memory._lane import Receipt
from linkbus.transports.memory._member import Member

STEPS = 300
LEASE = 10.0


class Walk:
    """Three members of a group that do one thing after the other, as a seed tells them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - it chooses steps, not secrets
        self.now = 0.0
        self.broker = MemoryBroker(lease=LEASE, clock=lambda: self.now)
        self.members = [self.join() for _ in range(3)]
        self.group = self.members[0].group
        self.sent: list[str] = []
        self.acked: list[str] = []
        self.given: list[Receipt] = []

    def join(self) -> Member:
        return self.broker.join("orders", "billing")

    def step(self) -> None:
        steps = (self.send, self.take, self.take, self.ack, self.ack, self.release, self.extend)
        self.random.choice((*steps, self.pass_time, self.replace))()
        self.check_owners()

    def send(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            name, key = str(len(self.sent)), self.random.choice([None, "a", "b", "c"])
            self.sent.append(name)
            self.broker.append("orders", [Envelope(name, b"", key)])

    def take(self) -> None:
        for receipt in self.group.take(self.random.choice(self.members), self.random.randint(1, 5)):
            self.given.append(receipt)
            if receipt.lane is not None:
                waiting = [number for number, *_ in receipt.lane.waiting]
                assert receipt.held.number < min([*waiting, receipt.held.number + 1])

    def open_receipt(self) -> Receipt | None:
        self.group.catch_up()
        self.given = [receipt for receipt in self.given if receipt.due is not None]
        return self.random.choice(self.given) if self.given else None

    def ack(self) -> None:
        if receipt := self.open_receipt():
            self.group.ack(receipt, self.now)
            self.acked.append(str(receipt.held.id))

    def release(self) -> None:
        if receipt := self.open_receipt():
            self.group.give_back(receipt, self.now, self.random.choice([0.0, 0.0, 3.0]))

    def extend(self) -> None:
        if receipt := self.open_receipt():
            self.group.extend(receipt, self.now + self.random.choice([1.0, LEASE, 20.0]))

    def pass_time(self) -> None:
        self.now += self.random.uniform(0, LEASE / 2)

    def replace(self) -> None:
        at = self.random.randrange(len(self.members))
        self.group.leave(self.members[at])
        self.members[at] = self.join()

    def check_owners(self) -> None:
        """No two members hold messages of one key."""
        owners: dict[str, Member] = {}
        for receipt in self.given:
            if receipt.due is not None and receipt.held.key is not None:
                assert owners.setdefault(receipt.held.key, receipt.member) is receipt.member

    def finish(self) -> None:
        """Give all to a last member, which acknowledges it."""
        for member in self.members:
            self.group.leave(member)
        last = self.join()
        for _ in range(2):
            self.now += 2 * LEASE
            for receipt in self.group.take(last, 10_000):
                self.group.ack(receipt, self.now)
                self.acked.append(str(receipt.held.id))


@pytest.mark.parametrize("seed", range(60))
def test_whatever_members_do_each_message_is_settled_once(seed):
    """Members take, settle, extend, are late and leave, and every message is done once."""
    walk = Walk(seed)
    for _ in range(STEPS):
        walk.step()
    walk.finish()
    assert sorted(walk.acked, key=int) == walk.sent
    assert walk.group.unsettled == 0
    assert not walk.group._lanes
