"""Topic: the messages that are held for its groups, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linkbus._errors import TransportError
from linkbus.abc import Envelope, SendResult, SendStatus
from linkbus.transports.memory._group import Group
from linkbus.transports.memory._held import Held, size_of

_SENT = SendResult(SendStatus.SENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a broker was told; see `MemoryBroker`."""

    max_messages: int
    max_bytes: int
    lease: float
    clock: Callable[[], float]


class Topic:
    """The messages of one name, and the groups that each get all of them."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self._limits = limits
        self._held: dict[int, Held] = {}
        self._bytes = 0
        self._last = 0
        self._groups: dict[str, Group] = {}

    def append(self, batch: Sequence[Envelope], sent_at: float) -> list[SendResult]:
        """Hold the envelopes that fit, and let every group have them."""
        results: list[SendResult] = []
        fresh: list[Held] = []
        failed_keys: set[str] = set()
        for envelope in batch:
            size = size_of(envelope)
            if (failed_keys and envelope.key in failed_keys) or not self._fits(size):
                if envelope.key is not None:
                    failed_keys.add(envelope.key)
                results.append(self._full(envelope, size))
            else:
                fresh.append(self._hold(envelope, size, sent_at))
                results.append(_SENT)
        if fresh:
            for group in self._groups.values():
                group.add(fresh)
        return results

    def group(self, name: str) -> Group:
        """Return a group, made on first use with every message that is still held."""
        group = self._groups.get(name)
        if group is None:
            limits = self._limits
            group = Group(name, lease=limits.lease, clock=limits.clock, done=self._done)
            self._groups[name] = group
            for held in self._held.values():
                held.owing += 1
            group.add(self._held.values())
        return group

    def _fits(self, size: int) -> bool:
        """Say whether there is room; an empty topic has room for any one message."""
        if not self._held:
            return True
        limits = self._limits
        return len(self._held) < limits.max_messages and self._bytes + size <= limits.max_bytes

    def _hold(self, envelope: Envelope, size: int, sent_at: float) -> Held:
        self._last = number = self._last + 1
        held = Held(envelope, number, sent_at, size)
        held.owing = len(self._groups)
        self._held[number] = held
        self._bytes += size
        return held

    def _done(self, held: Held) -> None:
        held.owing -= 1
        if not held.owing:
            del self._held[held.number]
            self._bytes -= held.size

    def _full(self, envelope: Envelope, size: int) -> SendResult:
        limits = self._limits
        if len(self._held) >= limits.max_messages:
            bound = f"it holds max_messages={limits.max_messages}"
        elif self._bytes + size > limits.max_bytes:
            bound = f"{size} bytes more than its {self._bytes} exceed max_bytes={limits.max_bytes}"
        else:
            bound = "it had no room for an earlier message of this key"
        msg = (
            f"topic {self.name!r} is full: {bound}; {self._behind()}. "
            f"Consume faster, or give MemoryBroker a higher bound"
        )
        error = TransportError(msg, retryable=True)
        return SendResult(SendStatus.FAILED, envelope.id, error, retryable=True)

    def _behind(self) -> str:
        if not self._groups:
            return "no group has consumed it yet"
        group = max(self._groups.values(), key=lambda group: group.unsettled)
        return f"group {group.name!r} is the furthest behind, with {group.unsettled} unsettled"
