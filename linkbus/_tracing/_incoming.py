"""Messages on their way in, as tracing sees them, and what links say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from opentelemetry.trace import Link

from linkbus._own_header import NAME
from linkbus._seam import Arrival
from linkbus._tracing import _names as n
from linkbus._tracing._links import Attributes, link_facts, related
from linkbus._tracing._propagation import MISSING, Creation


class Reader(Protocol):
    """Who reads creation contexts: the consumer's tracer."""

    def read(self, arrival: Arrival) -> Creation:
        """Read a message's creation context."""
        ...

    def read_origin(self, arrival: Arrival) -> Creation:
        """Read where a dead letter, or a redriven message, was first made."""
        ...


class Incoming:
    """A message on its way in; its contexts are read when needed, once.

    Args:
        arrival: What the transport brought.
        reader: Reads the context.
    """

    __slots__ = ("_arrival", "_creation", "_origin", "_reader", "attempt")

    def __init__(self, arrival: Arrival, reader: Reader) -> None:
        self._arrival = arrival
        self._reader = reader
        self._creation: Creation | None = None
        self._origin: Creation | None = None
        self.attempt = arrival.attempt

    def creation(self) -> Creation:
        """Return what the headers say of the message's making."""
        if self._creation is None:
            self._creation = self._reader.read(self._arrival)
        return self._creation

    def origin(self) -> Creation:
        """Return what the header `linkbus` says of the making of the first of its copies."""
        if self._origin is None:
            is_there = NAME in self._arrival.headers
            self._origin = self._reader.read_origin(self._arrival) if is_there else MISSING
        return self._origin


def links_of(incoming: Incoming, attributes: Attributes) -> list[Link]:
    """Return a single message's links: its creation context and its origin, if there.

    What is not there, or is invalid, is told in `attributes`, those of the span.
    """
    links: list[Link] = []
    creation, origin = incoming.creation(), incoming.origin()
    if creation.span is not None:
        facts: Attributes = {n.RELATION: "producer"}
        if incoming._arrival.id is not None:
            facts[n.MESSAGE_ID] = incoming._arrival.id
        links.append(
            Link(creation.span, link_facts(creation.span, facts, trusted=creation.trusted))
        )
    elif not creation.invalid:
        attributes[n.LINK_MISSING] = 1
    if origin.span is not None:
        links.append(related(origin.span, "origin", trusted=origin.trusted))
    if creation.invalid or origin.invalid:
        attributes[n.LINK_INVALID] = 1
    return links


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
