"""Redriving: dead letters are sent to where they shall be processed, then acknowledged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import anyio

from linkbus._bus import Bus
from linkbus._dead_letter import origin_of
from linkbus._delivery import Delivery
from linkbus._errors import (
    DeliveryError,
    LinkbusError,
    MessageError,
    SettleError,
    TransportError,
    UsageError,
)
from linkbus._own_header import carrying
from linkbus._redrive._backlog import PATIENCE, Backlog
from linkbus._redrive._letter import Letter

logger = logging.getLogger("linkbus")

_AT_ONCE = 100
"""The most messages that are under way."""
MOST_SHOWN = 1000
"""The dead letters that a preview holds, where nobody says how many."""


def _ignore() -> None:
    """Do nothing."""


class Redrive:
    """Sends the dead letters that a source has to a destination; or shows them, once.

    Each is acknowledged when its message was confirmed, so whatever happens in between, it
    is sent again and never lost. A message keeps body, key, headers and its lineage, and
    gets an id and a creation context of its own; messages of one key keep their order. What
    is sent to the source meanwhile, or comes back to it, stays there.

    Args:
        bus: Open.
        source: Where dead letters are received from.
        destination: Where messages are sent to.
        group: None: "linkbus-redrive", or none where there are no groups.
        max_messages: The most to send. None: all.
        patience: Seconds without a dead letter after which there are no more.

    Attributes:
        sent: How many messages were confirmed.
        unsettled: How many of them could not be acknowledged: they are dead letters still.

    Raises:
        CapabilityError: A group was named, and the source has none.
        UsageError: The destination is the source, or a number is out of its range.
    """

    def __init__(
        self,
        bus: Bus,
        source: str,
        destination: str,
        *,
        group: str | None = None,
        max_messages: int | None = None,
        patience: float = PATIENCE,
    ) -> None:
        if source == destination:
            msg = f"dead letters of {source!r} cannot be sent to {destination!r}: they would circle"
            raise UsageError(msg)
        if max_messages is not None and max_messages < 1:
            msg = f"max_messages={max_messages} is not at least 1: leave it out to send all"
            raise UsageError(msg)
        self._producer = bus.producer(destination)
        self._backlog = Backlog(bus, source, group=group, patience=patience)
        self._max_messages = max_messages
        self._on_sent: Callable[[], None] = _ignore
        self._failure: LinkbusError | None = None
        self.sent = 0
        self.unsettled = 0

    @property
    def group(self) -> str | None:
        """The group that takes the dead letters, if there are groups."""
        return self._backlog.group

    @property
    def newer(self) -> int:
        """How many dead letters were left, for they were sent too late, or came back."""
        return self._backlog.newer

    @property
    def is_drained(self) -> bool:
        """Whether no dead letter came for `patience` seconds."""
        return self._backlog.is_drained

    async def run(self, on_sent: Callable[[], None] = _ignore) -> None:
        """Send all that there is.

        `stop` ends it when what is under way is confirmed. If it is cancelled, what was
        under way may have been sent, and stays in the dead letters all the same.

        Args:
            on_sent: Called after each message.

        Raises:
            DeliveryError: A message was not confirmed; it was released.
            TransportError: The transport cannot go on.
        """
        self._on_sent = on_sent
        async with self._backlog as backlog:
            while (most := self._room()) and (letters := await backlog.next(most)):
                await self._send_all(letters)
                if self._failure is not None:
                    raise self._failure

    async def preview(self) -> list[Letter]:
        """Return what would be sent first, up to `max_messages`, else 1,000; send nothing.

        All of it is held until the end, so that nothing is read twice, and then released,
        which counts as a delivery where the broker counts them.

        Raises:
            TransportError: The transport cannot go on.
        """
        most = self._max_messages or MOST_SHOWN
        shown: list[Letter] = []
        async with self._backlog as backlog:
            while (left := min(_AT_ONCE, most - len(shown))) and (
                letters := await backlog.next(left)
            ):
                shown += map(Letter.of, letters)
        return shown

    def stop(self) -> None:
        """Send no more: what is under way is finished, and the rest stays where it is."""
        self._backlog.stop()

    def _room(self) -> int:
        return min(_AT_ONCE, (self._max_messages or self.sent + _AT_ONCE) - self.sent)

    async def _send_all(self, letters: Sequence[Delivery]) -> None:
        """Send messages side by side, those of a key one after the other."""
        lanes: dict[object, list[Delivery]] = {}
        for letter in letters:
            lanes.setdefault(letter if letter.key is None else letter.key, []).append(letter)
        async with anyio.create_task_group() as tasks:
            for lane in lanes.values():
                tasks.start_soon(self._send_lane, lane)

    async def _send_lane(self, lane: Sequence[Delivery]) -> None:
        for letter in lane:
            if self._failure is not None or self._backlog.is_stopped:
                return
            try:
                await self._send(letter)
            except LinkbusError as error:
                self._failure = self._failure or error

    async def _send(self, letter: Delivery) -> None:
        async with letter:
            try:
                message = letter.message
                headers = carrying(message.headers, {"origin": origin_of(letter, None)})
                await self._producer.send_prepared(message, headers)
            except (TransportError, MessageError) as failure:
                msg = (
                    f"{letter} could not be sent to {self._producer.destination!r}: {failure}. "
                    "It is released; mend that, and redrive again"
                )
                raise DeliveryError(msg) from failure
            self.sent += 1
            try:
                await letter.ack()
            except SettleError as error:
                self.unsettled += 1
                logger.warning("%s was sent, and stays in the dead letters: %s", letter, error)
        self._on_sent()
