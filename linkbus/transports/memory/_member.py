"""Member: a receiver as its group sees it."""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING

from linkbus.transports.memory._lane import Home

if TYPE_CHECKING:
    from linkbus.transports.memory._group import Group


class Member:
    """Who competes for the messages of a group.

    Attributes:
        ready: Lanes that it owns and that have a message to give at once.
        until: When its wait ends by itself, on the group's clock.
        is_closed: It left the group.
    """

    __slots__ = ("group", "is_closed", "ready", "until")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.ready: Home = OrderedDict()
        self.until = -inf
        self.is_closed = False
