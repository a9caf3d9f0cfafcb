"""The time that messages take, in slices: of the whole round, and of parts of it."""

from __future__ import annotations

from time import perf_counter, process_time

SLICES = 50
"""Parts of a round, each of which is a sample for the 99th percentile."""


class Laps:
    """Counts messages and stops the time now and then.

    Args:
        messages: How many there will be.
        warm_up: The clock starts at the first `pass_` with at least so many behind it.
    """

    __slots__ = ("_cpu", "_next", "_step", "_times", "_warm_up", "count", "cpu_seconds")

    def __init__(self, messages: int, warm_up: int = 0) -> None:
        self._step = max(1, (messages - warm_up) // SLICES)
        self._warm_up = warm_up
        self._next = warm_up
        self._times: list[tuple[int, float]] = []
        self._cpu = 0.0
        self.count = 0
        self.cpu_seconds = 0.0

    def start(self) -> None:
        """Start the clock now."""
        self._cpu = process_time()
        self._times = [(self.count, perf_counter())]
        self._next = self.count + self._step

    def reach(self, count: int) -> None:
        """Note that so many messages are done."""
        self.count = count
        if count >= self._next:
            self._note(count)

    def stop(self) -> None:
        """Stop the clock now, if it did not stop at the last message itself."""
        self.cpu_seconds = process_time() - self._cpu
        if self._times and self._times[-1][0] != self.count:
            self._times.append((self.count, perf_counter()))

    def _note(self, count: int) -> None:
        if not self._times:
            self.start()
            return
        self._times.append((count, perf_counter()))
        self._next = count + self._step

    @property
    def messages(self) -> int:
        """How many were measured."""
        return self._times[-1][0] - self._times[0][0] if self._times else 0

    @property
    def seconds(self) -> float:
        """How long those took."""
        return self._times[-1][1] - self._times[0][1] if self._times else 0.0

    def slices(self) -> list[float]:
        """Return the microseconds a message of each slice."""
        pairs = zip(self._times, self._times[1:], strict=False)
        return [
            (end - begin) / (after - before) * 1e6
            for (before, begin), (after, end) in pairs
            if after > before
        ]
