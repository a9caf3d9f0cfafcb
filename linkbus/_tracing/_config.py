"""Tracing: what a user sets."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, get_args

from opentelemetry.metrics import MeterProvider
from opentelemetry.propagate import textmap  # type: ignore[attr-defined] # a part of it
from opentelemetry.trace import TracerProvider

from linkbus._errors import UsageError

Relation = Literal["link", "parent", "both", "auto"]
Inbound = Literal["trust", "untrusted", "ignore"]
ExtraSpan = Literal["receive", "settle"]


@dataclass(frozen=True, slots=True)
class Tracing:
    """How a bus traces; for the whole bus, and `relation` for one consumer too.

    Args:
        relation: How a process span is joined to the creation context of its message.
            "link": a trace of its own, linked. "parent": the producer's child, linked
            too; an ambient span is dropped, which deviates from the conventions. "both":
            the same, with the ambient span as a second link. "auto": one trace where
            that is safe: below an ambient span, else below the producer for a first
            attempt at a single message known to be younger than 60 seconds.
        tracer_provider: None is OpenTelemetry's global one, whenever that is set.
        meter_provider: None is OpenTelemetry's global one, whenever that is set.
        propagator: None is OpenTelemetry's global one.
        max_links: The most links on one span, at least 1. More go to child spans, so
            none is lost; keep it at or below the limit of your SDK (by default 128).
        inbound: What the context in a received message may do. "trust": all. "untrusted":
            it is linked and never a parent, and its baggage is dropped. "ignore": nothing.
        spans: Extra spans, of "receive" (polls of `run` and iteration) and "settle".

    Raises:
        UsageError: A value is none of the above.
    """

    relation: Relation = "link"
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    propagator: textmap.TextMapPropagator | None = None
    max_links: int = 100
    inbound: Inbound = "trust"
    spans: AbstractSet[ExtraSpan] = frozenset()

    def __post_init__(self) -> None:
        checked_relation(self.relation)
        if self.inbound not in get_args(Inbound):
            raise UsageError(_wrong("inbound", self.inbound, Inbound))
        if self.max_links < 1:
            msg = f"Tracing(max_links={self.max_links}): a span needs at least 1"
            raise UsageError(msg)
        spans = frozenset(self.spans)
        for name in spans:
            if name not in get_args(ExtraSpan):
                raise UsageError(_wrong("spans", name, ExtraSpan))
        object.__setattr__(self, "spans", spans)


def checked_relation(relation: Relation) -> Relation:
    """Return the relation, if it is one.

    Raises:
        UsageError: It is not.
    """
    if relation not in get_args(Relation):
        raise UsageError(_wrong("relation", relation, Relation))
    return relation


def _wrong(name: str, value: object, choices: object) -> str:
    return f"{name}={value!r} is none of {', '.join(map(repr, get_args(choices)))}"
