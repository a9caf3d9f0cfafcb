"""MemoryBroker: topics and groups, in the memory of this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from linkbus._errors import UsageError
from linkbus.abc import Envelope, SendResult
from linkbus.transports.memory._member import Member
from linkbus.transports.memory._topic import Limits, Topic

MAX_MESSAGES = 100_000
MAX_BYTES = 64 * 2**20
LEASE = 30.0


class MemoryBroker:
    """A broker inside the process, which memory transports share.

    It outlives the transports: groups, and messages that they have not settled, stay
    until the object is gone. It belongs to one event loop at a time and is not safe to
    use from several threads. It runs nothing by itself.

    Args:
        max_messages: The most messages that a topic holds.
        max_bytes: The most bytes that a topic holds, of bodies, keys and headers. A
            topic that holds nothing takes any one message.
        lease: Seconds for which a message is its receiver's before it is given again.
        clock: Returns seconds, never fewer than before; leases and delays are counted
            with it. A test may give its own, to let them end without waiting.

    Raises:
        UsageError: A bound or the lease is not positive.
    """

    def __init__(
        self,
        *,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
        lease: float = LEASE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in (
            ("max_messages", max_messages),
            ("max_bytes", max_bytes),
            ("lease", lease),
        ):
            if not value > 0:
                msg = f"{name} of a MemoryBroker must be greater than 0, not {value!r}"
                raise UsageError(msg)
        self.max_bytes = max_bytes
        self.lease = lease
        self._limits = Limits(
            max_messages=max_messages, max_bytes=max_bytes, lease=lease, clock=clock
        )
        self._topics: dict[str, Topic] = {}

    def append(self, topic: str, batch: Sequence[Envelope]) -> list[SendResult]:
        """Hold the envelopes that fit for the groups of a topic; one result for each."""
        return self._topic(topic).append(batch, time.time())

    def join(self, topic: str, group: str) -> Member:
        """Become a member of a group, which is made if there is none of that name."""
        return Member(self._topic(topic).group(group))

    def _topic(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(name, self._limits)
        return topic
