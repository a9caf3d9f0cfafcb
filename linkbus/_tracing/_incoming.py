"""Messages on their way in, as tracing sees them, and what links say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from opentelemetry.trace import Link, SpanContext

from linkbus._seam import Arrival
from linkbus._tracing import _names as n
from linkbus._tracing._links import Attributes, link_facts
from linkbus._tracing._propagation import Creation


class Reader(Protocol):
    """Who reads creation contexts: the consumer's tracer."""

    def read(self, arrival: Arrival) -> Creation:
        """Read a message's creation context."""
        ...


class Incoming:
    """A message on its way in; its creation context is read when needed, once.

    Args:
        arrival: What the transport brought.
        reader: Reads the context.
    """

    __slots__ = ("_arrival", "_creation", "_reader", "attempt")

    def __init__(self, arrival: Arrival, reader: Reader) -> None:
        self._arrival = arrival
        self._reader = reader
        self._creation: Creation | None = None
        self.attempt = arrival.attempt

    def creation(self) -> Creation:
        """Return what the headers say of the message's making."""
        if self._creation is None:
            self._creation = self._reader.read(self._arrival)
        return self._creation


def producer_link(context: SpanContext, incoming: Incoming) -> Link:
    """Return the link of a single message's span to its creation context."""
    facts: Attributes = {n.RELATION: "producer"}
    if incoming._arrival.id is not None:
        facts[n.MESSAGE_ID] = incoming._arrival.id
    return Link(context, link_facts(context, facts, trusted=incoming.creation().trusted))


def facts_of(one: Incoming, shared: Mapping[str, str | int]) -> Attributes:
    """Return what a link in a batch says of the message behind it."""
    arrival = one._arrival
    facts: Attributes = {n.ATTEMPT: one.attempt}
    if arrival.id is not None:
        facts[n.MESSAGE_ID] = arrival.id
    for name, value in arrival.attributes.items():
        if name not in shared:
            facts[name] = value
    return facts


def shared_facts(incoming: Sequence[Incoming]) -> dict[str, str | int]:
    """Return the broker's facts that all messages share."""
    shared = dict(incoming[0]._arrival.attributes)
    for one in incoming:
        if not shared:
            break
        facts = one._arrival.attributes
        shared = {name: value for name, value in shared.items() if facts.get(name) == value}
    return shared
