"""What the broker waits for on one channel: deliveries of which it was not told the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from linkbus.abc import Arrival, Outcome


class Told(NamedTuple):
    """One frame that settles deliveries.

    Attributes:
        outcome: Of each.
        tag: The delivery tag in the frame.
        is_multiple: Whether all that is unsettled up to that tag is meant.
    """

    outcome: Outcome
    tag: int
    is_multiple: bool


class Unsettled:
    """Arrivals by their delivery tags, in the order in which the broker gave them.

    A tag is known from when its message came: as None until the message is given to the
    core. Outcomes are noted, and the broker is told of many in one frame: of those that are
    first in order. An acknowledgement behind a gap may wait until the gap is closed.
    """

    def __init__(self) -> None:
        self._arrivals: dict[int, Arrival | None] = {}
        self._noted: dict[int, Outcome] = {}
        self._urgent = 0

    def __len__(self) -> int:
        return len(self._arrivals)

    @property
    def noted(self) -> int:
        """How many outcomes the broker was not told of yet."""
        return len(self._noted)

    def hold(self, tag: int) -> None:
        """Take in a message that came."""
        self._arrivals[tag] = None

    def give(self, tag: int, arrival: Arrival) -> None:
        """Remember what a message is to the core."""
        self._arrivals[tag] = arrival

    def given(self) -> list[Arrival]:
        """Return what was given to the core, and has no outcome."""
        noted = self._noted
        return [it for tag, it in self._arrivals.items() if it is not None and tag not in noted]

    def note(self, arrival: Arrival, outcome: Outcome) -> bool:
        """Note an outcome; False: the arrival has one, or came on another channel."""
        tag = arrival.receipt
        if not isinstance(tag, int) or self._arrivals.get(tag) is not arrival:
            return False
        if tag in self._noted:
            return False
        self._noted[tag] = outcome
        self._urgent += outcome is not Outcome.ACK
        return True

    def tell(self, *, everything: bool) -> list[Told]:
        """Return the frames for what was noted, and forget it.

        Args:
            everything: Also acknowledgements behind a gap, each in a frame of its own.
        """
        first = list(self._first())
        frames = list(_runs(first))
        for tag, _ in first:
            self._forget(tag)
        if not everything and not self._urgent:
            return frames
        behind = [
            Told(outcome, tag, is_multiple=False)
            for tag, outcome in self._noted.items()
            if everything or outcome is not Outcome.ACK
        ]
        for one in behind:
            self._forget(one.tag)
        return frames + behind

    def tell_the_end(self) -> list[Told]:
        """Return the frames for all that is known, and forget it; without an outcome: RELEASE."""
        noted = self._noted
        frames = list(_runs([(tag, noted.get(tag, Outcome.RELEASE)) for tag in self._arrivals]))
        self.clear()
        return frames

    def clear(self) -> None:
        """Forget everything: the channel is gone, and the broker gives it again."""
        self._arrivals.clear()
        self._noted.clear()
        self._urgent = 0

    def _first(self) -> Iterator[tuple[int, Outcome]]:
        for tag in self._arrivals:
            if (outcome := self._noted.get(tag)) is None:
                return
            yield tag, outcome

    def _forget(self, tag: int) -> None:
        del self._arrivals[tag]
        self._urgent -= self._noted.pop(tag) is not Outcome.ACK


def _runs(outcomes: Iterable[tuple[int, Outcome]]) -> Iterator[Told]:
    """Give a frame for each run of one outcome; nothing unsettled is before the first tag."""
    run: list[tuple[int, Outcome]] = []
    for tag, outcome in outcomes:
        if run and run[-1][1] is not outcome:
            yield Told(run[-1][1], run[-1][0], len(run) > 1)
            run = []
        run.append((tag, outcome))
    if run:
        yield Told(run[-1][1], run[-1][0], len(run) > 1)
