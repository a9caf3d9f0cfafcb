"""Who sent what and who handled it: a round whose ledger does not agree counts for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from opentelemetry import trace

from benchmarks.contender import Inbox, Joins
from benchmarks.laps import Laps
from benchmarks.telemetry import OUTSIDE, Seen

_NUMBER = 8
"""Digits at the beginning of each body."""
_WARM_UP = 0.1
"""The part of the messages that is received before the clock starts."""


class Wrong(Exception):  # noqa: N818 - it is what the round was
    """What was found is not what was sent."""


class Ledger(Inbox):
    """The messages of one round: numbered, sent in this order, each handled once at least.

    Args:
        messages: How many.
        size: Bytes of a body.
        joins: How the handling is joined to the sending.
    """

    def __init__(self, messages: int, size: int, joins: Joins) -> None:
        self.messages = messages
        self.is_full = False
        self.filled = asyncio.Event()
        self.laps = Laps(messages, int(messages * _WARM_UP))
        self.after_each: Callable[[], None] | None = None
        self._joins = joins
        self._filler = b"x" * (size - _NUMBER)
        self._handled: dict[bytes, int] = {}
        self.taken = 0

    def bodies(self) -> Iterator[bytes]:
        """Give the bodies, in the order of their numbers."""
        return (b"%08d" % number + self._filler for number in range(self.messages))

    def take(self, body: bytes) -> None:
        """Note one message, and the span that handles it."""
        self.laps.reach(len(self._handled))
        self.taken += 1
        span_id = 0
        if self._joins is not Joins.NOTHING:
            span_id = trace.get_current_span().get_span_context().span_id
        self._handled[body[:_NUMBER]] = span_id
        if len(self._handled) == self.messages:
            self._fill()
        if self.after_each is not None:
            self.after_each()

    def take_batch(self, bodies: Sequence[bytes]) -> None:
        """Note a batch, and the span that handles it."""
        self.laps.reach(len(self._handled))
        self.taken += len(bodies)
        span_id = 0
        if self._joins is not Joins.NOTHING:
            span_id = trace.get_current_span().get_span_context().span_id
        handled = self._handled
        for body in bodies:
            handled[body[:_NUMBER]] = span_id
        if len(handled) == self.messages:
            self._fill()
        if self.after_each is not None:
            self.after_each()

    def check(self, sent: Seen, received: Seen, *, in_batches: bool) -> None:
        """Look whether the round was right.

        Raises:
            Wrong: A message was not handled, or is joined to another sending than its own.
        """
        expected = {b"%08d" % number for number in range(self.messages)}
        if self._handled.keys() != expected:
            missing = len(expected - self._handled.keys())
            msg = f"{missing} of {self.messages} messages were not handled"
            raise Wrong(msg)
        if self._joins is Joins.LINK:
            self._check_links(sent, received)
        elif self._joins is Joins.SHARED:
            self._check_shared_links(sent, received)
        elif self._joins is Joins.PARENT:
            self._check_parents(sent, received)
        elif self._joins is Joins.CONTEXT and not in_batches:
            strangers = sum(span_id != OUTSIDE.span_id for span_id in self._handled.values())
            _refuse(strangers, "were handled without the context that was passed")

    def _fill(self) -> None:
        self.laps.stop()
        self.is_full = True
        self.filled.set()

    def _check_links(self, sent: Seen, received: Seen) -> None:
        if len(sent.made) != self.messages:
            msg = f"{len(sent.made)} producer spans made {self.messages} messages"
            raise Wrong(msg)
        linked = _with_children(received)
        wrong = sum(
            sent.made[int(number)] not in linked.get(span_id, ())
            for number, span_id in self._handled.items()
        )
        _refuse(wrong, "are not linked to the span that made them")
        targets = sum(map(len, linked.values()))
        if targets != self.taken:
            msg = f"{targets} links stand for {self.taken} handled messages"
            raise Wrong(msg)

    def _check_shared_links(self, sent: Seen, received: Seen) -> None:
        linked, makers = _with_children(received), set(sent.made)
        wrong = sum(
            not linked.get(span_id, set()) or not linked[span_id] <= makers
            for span_id in self._handled.values()
        )
        _refuse(wrong, "are not linked to a span that made messages")

    def _check_parents(self, sent: Seen, received: Seen) -> None:
        ours = sent.ended.keys()
        wrong = 0
        for span_id in self._handled.values():
            above = span_id
            while above in received.ended and above not in ours:
                above = received.ended[above][0]
            wrong += above not in ours
        _refuse(wrong, "are not below a span that was started while sending")


def _with_children(seen: Seen) -> dict[int, set[int]]:
    """Return what each span links to, by itself or by a child that has the rest of its links."""
    linked: dict[int, set[int]] = {}
    for span_id, (parent, links, _) in seen.ended.items():
        if links:
            linked.setdefault(parent or span_id, set()).update(links)
    return linked


def _refuse(wrong: int, how: str) -> None:
    if wrong:
        msg = f"{wrong} messages {how}"
        raise Wrong(msg)
