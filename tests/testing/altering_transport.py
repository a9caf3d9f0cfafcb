"""A transport that changes messages on their way, and changes that lose their trace contexts."""

from linkbus.abc import Envelope
from linkbus.transports.memory import MemoryTransport


class Altering(MemoryTransport):
    """Changes batches on their way into the broker.

    Args:
        alter: Returns what is sent instead.
    """

    def __init__(self, alter):
        super().__init__()
        self._alter = alter

    async def send(self, destination, batch):
        return await super().send(destination, self._alter(batch))


def without_context(batch, ids=None):
    """Take the trace context from messages, or from those with the given ids."""
    return [
        Envelope(one.id, one.body, one.key, one.headers) if ids is None or one.id in ids else one
        for one in batch
    ]


def with_broken_context(batch):
    """Give messages a trace context that no propagator can read."""
    broken = {"traceparent": "00-nonsense"}
    return [Envelope(one.id, one.body, one.key, one.headers, broken) for one in batch]


def with_contexts_reversed(batch):
    """Give each message the trace context of another."""
    return [
        Envelope(one.id, one.body, one.key, one.headers, other.context)
        for one, other in zip(batch, reversed(batch), strict=True)
    ]
