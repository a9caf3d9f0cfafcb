"""Group: who shares the work of a topic, and who is given what next."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from heapq import heappop, heappush
from itertools import cycle
from math import inf

import anyio

from linkbus.transports.memory._held import Held
from linkbus.transports.memory._lane import Home, Lane, Receipt
from linkbus.transports.memory._member import Member
from linkbus.transports.memory._timers import Timers


class Group:
    """The messages that one group has not settled, and the members that compete for them.

    A message is in one of four places: `fresh`, not looked at since it was sent; waiting
    in the lane of its key; given, with a receipt; or settled, and gone. Nothing here
    waits: leases and delays that are over are found by the next call of a member.

    Args:
        name: The group's name.
        lease: Seconds for which a message is its member's.
        clock: Returns seconds.
        done: Called with each message that this group has settled.
    """

    def __init__(
        self, name: str, *, lease: float, clock: Callable[[], float], done: Callable[[Held], None]
    ) -> None:
        self.name = name
        self.lease = lease
        self.clock = clock
        self.unsettled = 0
        self._done = done
        self._fresh: deque[Held] = deque()
        self._lanes: dict[str, Lane] = {}
        self._ready: Home = OrderedDict()
        self._leases: Timers[Receipt] = Timers()
        self._delays: Timers[Lane] = Timers()
        self._alarm = inf
        self._waiting: OrderedDict[Member, anyio.Event] = OrderedDict()
        self._turns = cycle((self._from_own_lane, self._from_free_lane, self._from_fresh))

    def add(self, messages: Collection[Held]) -> None:
        """Take messages that were sent, in order."""
        self._fresh.extend(messages)
        self.unsettled += len(messages)
        if self._waiting:
            self.wake_one()

    def take(self, member: Member, limit: int) -> list[Receipt]:
        """Give a member what is there for it now, at most `limit` messages.

        Its own keys, keys that are nobody's and new messages take turns, so that a
        message that comes back again and again does not keep the others waiting.
        """
        taken: list[Receipt] = []
        if member.is_closed:
            return taken
        now = self.catch_up()
        fresh, due = self._fresh, now + self.lease
        while len(taken) < limit:
            if not (member.ready or self._ready):
                if not fresh:
                    break
                receipt = self._from_fresh(member, now)
            else:
                receipt = next(self._turns)(member, now)
            if receipt is not None:
                self._leases.set(receipt, due)
                taken.append(receipt)
        if taken and due < self._alarm:
            self._will_fall_due(due)
        if self._waiting:
            self.wake_one()
        return taken

    def _from_fresh(self, member: Member, now: float) -> Receipt | None:
        """Give the next new message, or put it behind the others of its key."""
        if not self._fresh:
            return None
        held = self._fresh.popleft()
        if held.key is None:
            return _given(held, 1, None, member)
        lane = self._lanes.get(held.key)
        if lane is None:
            lane = self._lanes[held.key] = Lane(held.key)
        elif lane.waiting or lane.owner is not member:
            heappush(lane.waiting, (held.number, now, 0, held))
            self._place(lane, now)
            return None
        return _given(held, 1, lane, member)

    def _from_own_lane(self, member: Member, now: float) -> Receipt | None:
        return self._from_lane(member.ready, member, now)

    def _from_free_lane(self, member: Member, now: float) -> Receipt | None:
        return self._from_lane(self._ready, member, now)

    def _from_lane(self, line: Home, member: Member, now: float) -> Receipt | None:
        if not line:
            return None
        lane = next(iter(line))
        lane.move(None)
        _, _, attempts, held = heappop(lane.waiting)
        receipt = _given(held, attempts + 1, lane, member)
        self._place(lane, now)
        return receipt

    def ack(self, receipt: Receipt, now: float) -> None:
        """Note that a message is done."""
        self._close(receipt)
        lane = receipt.lane
        if lane is not None and not lane.unsettled:
            self._place(lane, now)
        self.unsettled -= 1
        self._done(receipt.held)

    def give_back(self, receipt: Receipt, now: float, delay: float = 0.0) -> None:
        """Let a message be given again, before the later ones of its key."""
        self._close(receipt)
        held, lane = receipt.held, receipt.lane or Lane(None)
        heappush(lane.waiting, (held.number, now + delay, receipt.attempt, held))
        self._place(lane, now)

    def extend(self, receipt: Receipt, due: float) -> None:
        """Let a lease end then."""
        self._leases.set(receipt, due)
        self._will_fall_due(due)

    def catch_up(self) -> float:
        """Give back what has an ended lease, let go what was delayed; return the time."""
        now = self.clock()
        if now >= self._alarm:
            for receipt in self._leases.pop_due(now):
                self.give_back(receipt, now)
            for lane in self._delays.pop_due(now):
                self._place(lane, now)
            self._alarm = min(self._leases.earliest(), self._delays.earliest())
        return now

    def _close(self, receipt: Receipt) -> None:
        self._leases.cancel(receipt)
        lane = receipt.lane
        if lane is not None:
            lane.unsettled -= 1
            if not lane.unsettled:
                lane.owner = None

    def _place(self, lane: Lane, now: float) -> None:
        """Put a lane where those look for it that may take from it."""
        if not lane.waiting:
            if lane.key is not None and not lane.unsettled:
                del self._lanes[lane.key]
            return
        due = lane.waiting[0][1]
        if due > now:
            lane.move(None)
            self._delays.set(lane, due)
            self._will_fall_due(due)
            return
        self._delays.cancel(lane)
        if lane.owner is None:
            if lane.move(self._ready):
                self.wake_one()
        elif lane.move(lane.owner.ready):
            self._wake(lane.owner)

    def enlist(self, member: Member, wait: float) -> tuple[anyio.Event, float]:
        """Let a member wait: return what wakes it, and how many seconds it may wait."""
        now = self.clock()
        self._alarm = min(self._leases.earliest(), self._delays.earliest())
        pause = min(wait, self._alarm - now)
        member.until = now + pause
        awake = self._waiting[member] = anyio.Event()
        return awake, pause

    def dismiss(self, member: Member) -> None:
        """Let a member wait no more."""
        self._waiting.pop(member, None)

    def leave(self, member: Member) -> None:
        """Take a member out: what it was given and has not settled is given back."""
        member.is_closed = True
        now = self.clock()
        for receipt in [receipt for receipt in self._leases if receipt.member is member]:
            self.give_back(receipt, now)
        self._wake(member)
        self.wake_one()

    def _wake(self, member: Member) -> None:
        awake = self._waiting.pop(member, None)
        if awake is not None:
            awake.set()

    def wake_one(self) -> None:
        """Wake the member that waits longest, if there is something for anybody.

        Who was woken and leaves something wakes the next, so none sleeps beside a
        message, and few are woken in vain.
        """
        if self._waiting and (self._fresh or self._ready):
            _, awake = self._waiting.popitem(last=False)
            awake.set()

    def _will_fall_due(self, due: float) -> None:
        """Note that something does, and wake the members that would sleep beyond it."""
        if due < self._alarm:
            self._alarm = due
            for member in [member for member in self._waiting if member.until > due]:
                self._wake(member)


def _given(held: Held, attempt: int, lane: Lane | None, member: Member) -> Receipt:
    receipt = Receipt(held, attempt, lane, member)
    if lane is not None:
        lane.owner = member
        lane.unsettled += 1
    return receipt
