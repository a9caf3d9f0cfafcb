"""Waking whoever waits for something to change."""

from __future__ import annotations

import anyio


class Bell:
    """Rung by one side when something changed, waited for by the other.

    A ring that nobody waits for costs nothing and is not remembered: look first, then
    wait, with no await between.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def ring(self) -> None:
        """Wake all that wait."""
        event, self._event = self._event, None
        if event is not None:
            event.set()

    async def wait(self) -> None:
        """Wait for the next ring."""
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()
