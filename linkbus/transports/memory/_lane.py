"""Lanes and receipts: the order of one key in one group, and what was given from it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from linkbus.transports.memory._held import Held
from linkbus.transports.memory._timers import Timed

if TYPE_CHECKING:
    from linkbus.transports.memory._member import Member

Waiting = tuple[int, float, int, Held]
"""The message's number, when it may be given, how often it was given, the message."""

Home = OrderedDict["Lane", None]
"""Lanes that have a message to give at once, the longest-waiting first."""


class Lane(Timed):
    """The messages of one key that a group has in work or waiting behind those.

    It exists only while there are such; a key that flows freely costs nothing. A message
    without a key that was given back has a lane of its own. As a `Timed` it falls due
    when the delay of its first message is over.

    Attributes:
        key: The key, or None.
        owner: The only member that may be given the next one, while `unsettled` > 0.
        unsettled: How many of its messages are given and not settled.
        waiting: A heap, the message with the lowest number first.
        home: Where it stands in line; None while it has nothing to give at once.
    """

    __slots__ = ("home", "key", "owner", "unsettled", "waiting")

    def __init__(self, key: str | None) -> None:
        self.due = None
        self.key = key
        self.owner: Member | None = None
        self.unsettled = 0
        self.waiting: list[Waiting] = []
        self.home: Home | None = None

    def move(self, home: Home | None) -> bool:
        """Stand in that line and no other; say whether that is a new one to stand in."""
        if home is self.home:
            return False
        if self.home is not None:
            del self.home[self]
        self.home = home
        if home is None:
            return False
        home[self] = None
        return True


class Receipt(Timed):
    """One giving of a message to a member; falls due when its lease is over.

    Without a timer it is closed: settled, or given back because the lease or the
    member ended.
    """

    __slots__ = ("attempt", "held", "lane", "member")

    def __init__(self, held: Held, attempt: int, lane: Lane | None, member: Member) -> None:
        self.due = None
        self.held = held
        self.attempt = attempt
        self.lane = lane
        self.member = member
