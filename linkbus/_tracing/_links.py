"""Links: gathered distinct, given at creation, and none lost to a limit.

An SDK keeps only so many links on one span (128 by default) and drops the others in
silence. So links above `max_links` go to child spans; and what the provider dropped
all the same is learned from the span right after its start, and goes there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind

from linkbus._tracing import _names as n
from linkbus._tracing._propagation import Creation
from linkbus._tracing._quiet import logger
from linkbus._tracing._w3c import ids_of

Attributes = dict[str, str | int | float | bool | Sequence[str]]

_MIRRORED = 40
"""The most links that one `linkbus.links` names."""


class Gathered:
    """The distinct creation contexts of several messages, in order of first sight.

    Attributes:
        missing: Messages that carried no context.
        invalid: Messages whose context could not be read.
    """

    __slots__ = ("_found", "_origins", "invalid", "missing")

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], tuple[SpanContext, Attributes]] = {}
        self._origins: dict[tuple[int, int], Link] = {}
        self.missing = 0
        self.invalid = 0

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, context: SpanContext) -> bool:
        return (context.trace_id, context.span_id) in self._found

    def take(self, creation: Creation, facts: Attributes) -> bool:
        """Take what one message's headers say; True if its context was not there before.

        `facts` go on the link.
        """
        if creation.span is not None:
            return self.add(creation.span, facts, trusted=creation.trusted)
        if creation.invalid:
            self.invalid += 1
        else:
            self.missing += 1
        return False

    def take_origin(self, origin: Creation, *, of: Creation) -> None:
        """Take where a message was first made; an invalid one counts if `of`, its own, does not."""
        context = origin.span
        if context is not None:
            identity = (context.trace_id, context.span_id)
            self._origins[identity] = related(context, "origin", trusted=origin.trusted)
        elif origin.invalid and not of.invalid:
            self.invalid += 1

    def add(self, context: SpanContext, facts: Attributes, *, trusted: bool = True) -> bool:
        """Take one context; True if it was not there before.

        The link has `facts` as long as one message stands behind it, then their number.
        """
        identity = (context.trace_id, context.span_id)
        before = self._found.get(identity)
        if before is not None:
            facts = {n.LINK_MESSAGES: cast("int", before[1].get(n.LINK_MESSAGES, 1)) + 1}
        self._found[identity] = (context, link_facts(context, facts, trusted=trusted))
        return before is None

    def links(self) -> list[Link]:
        """Return one link per distinct context."""
        return [Link(context, facts) for context, facts in self._found.values()]

    def origins(self) -> list[Link]:
        """Return one link per distinct origin."""
        return list(self._origins.values())

    def counts(self) -> Attributes:
        """Return the three counts, as a batch and a stored flow show them."""
        return {
            n.LINK_COUNT: len(self._found),
            n.LINK_MISSING: self.missing,
            n.LINK_INVALID: self.invalid,
        }


def link_facts(context: SpanContext, facts: Attributes, *, trusted: bool) -> Attributes:
    """Add what exporters drop from a link: that its target is not recorded, or not trusted."""
    if not context.trace_flags & 1:
        facts[n.LINK_SAMPLED] = False
    if not trusted:
        facts[n.LINK_TRUSTED] = False
    return facts


def related(context: SpanContext, relation: str, *, trusted: bool = True) -> Link:
    """Return a link to a span that did not make the message, with what it is instead."""
    return Link(context, link_facts(context, {n.RELATION: relation}, trusted=trusted))


@dataclass(slots=True)
class SpanPlan:
    """A span that is about to start, with all of its links.

    Attributes:
        creations: How many of the links, from the first, are to creation contexts.
        attributes: Those of the span; the mirrors of its links are added.
    """

    name: str
    kind: SpanKind
    context: Context
    links: list[Link] = field(default_factory=list)
    creations: int = 0
    attributes: Attributes = field(default_factory=dict)
    start_time: int | None = None


def start(tracer: trace.Tracer, plan: SpanPlan, max_links: int) -> trace.Span:
    """Start a span with its links; those it cannot hold go to child spans.

    A sampler sees those that the span is started with: the first link, then those to what
    is recorded.
    """
    links = plan.links
    if len(links) > max_links:
        links[1 : plan.creations] = sorted(links[1 : plan.creations], key=_is_unsampled)
    first = links if len(links) <= max_links else links[:max_links]
    plan.attributes.update(mirrors(first[: plan.creations], of=plan.creations))
    span = tracer.start_span(
        plan.name, plan.context, plan.kind, plan.attributes, first, plan.start_time
    )
    if links and span.is_recording():
        try:
            _carry_rest(tracer, span, plan, first)
        except Exception:  # noqa: BLE001 - the span is open, and some links are more than none
            logger.exception("links of %r are lost", plan.name)
    return span


def _is_unsampled(link: Link) -> bool:
    return not link.context.trace_flags & 1


def _carry_rest(tracer: trace.Tracer, span: trace.Span, plan: SpanPlan, first: list[Link]) -> None:
    """Put on child spans what was too much, and what the provider dropped: the oldest."""
    dropped: int = getattr(span, "dropped_links", 0)
    if not dropped and len(first) == len(plan.links):
        return
    kept = len(first) - dropped
    if dropped and kept and plan.creations > 1:
        span.set_attribute(n.MIRRORS, _spelled(first[dropped : plan.creations]))
    carry(tracer, span, plan.name, first[:dropped] + plan.links[len(first) :], kept)


def carry(
    tracer: trace.Tracer, span: trace.Span, name: str, links: Sequence[Link], chunk: int
) -> None:
    """Put links on child spans of `span`, each with at most `chunk`; with 0, nowhere."""
    if chunk < 1:
        return
    context = trace.set_span_in_context(span)
    for at in range(0, len(links), chunk):
        part = links[at : at + chunk]
        carrier = tracer.start_span(
            f"{name} links",
            context,
            SpanKind.INTERNAL,
            {n.MIRRORS: _spelled(part)},
            part,
        )
        carrier.end()


def mirrors(links: Sequence[Link], *, of: int) -> Attributes:
    """Return the attributes that let a backend search for links it does not index.

    Args:
        links: Those of the span that are to creation contexts.
        of: How many creation contexts stand behind the span and its children.
    """
    if not links:
        return {}
    if of == 1:
        trace_id, span_id = ids_of(links[0].context)
        return {n.MIRROR_TRACE: trace_id, n.MIRROR_SPAN: span_id}
    return {n.MIRRORS: _spelled(links)}


def _spelled(links: Sequence[Link]) -> list[str]:
    return ["-".join(ids_of(link.context)) for link in links[:_MIRRORED]]
