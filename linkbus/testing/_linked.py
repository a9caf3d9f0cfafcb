"""assert_linked: a span links to another one, or the failure says what there is instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from linkbus.testing._linkage import PRODUCER, Key, Linkage, key, relation_of
from linkbus.testing._told import contextless, described

SpanOrName: TypeAlias = ReadableSpan | str

_UNSEEN = "a span that was not recorded"


def assert_linked(
    spans: Iterable[ReadableSpan],
    span: SpanOrName,
    target: SpanOrName,
    *,
    relation: str | None = None,
    transitive: bool = False,
) -> None:
    """Check that a span links to another one.

    Given names, every span of the first name must link to one of the second. Links that
    were too many for a span, and are on its children `{name} links`, are its own.

    Args:
        spans: A `SpanRecorder`, or the spans that an `InMemorySpanExporter` has.
        span: The span that links, or the name of some.
        target: The span that is linked, or the name of some.
        relation: Only links of this `linkbus.link.relation` count: "producer", which are
            those to creation contexts, "retry" and so on. None: all.
        transitive: Follow links and parents over any number of spans, from the work on a
            message to the request that caused it.

    Raises:
        AssertionError: There is no such span or no such link; says what is there.
    """
    __tracebackhide__ = True
    linkage = Linkage(spans)
    targets = _chosen(linkage, target)
    wanted = {key(one.context) for one in targets}
    for one in _chosen(linkage, span):
        if wanted.isdisjoint(_reached(linkage, one, relation, transitive=transitive)):
            wording = _leads_elsewhere if transitive else _not_linked
            raise AssertionError(wording(linkage, one, targets[0], relation))


def _chosen(linkage: Linkage, wanted: SpanOrName) -> list[ReadableSpan]:
    if not isinstance(wanted, str):
        return [wanted]
    if found := linkage.named(wanted):
        return found
    if any(span.name == wanted for span in linkage.spans):
        msg = f"{wanted!r} has not ended yet"
    else:
        names = sorted({repr(span.name) for span in linkage.spans if span.end_time is not None})
        msg = f"no span is named {wanted!r}; there are: {', '.join(names) or 'none at all'}"
    raise AssertionError(msg)


def _reached(
    linkage: Linkage, span: ReadableSpan, relation: str | None, *, transitive: bool
) -> dict[Key, str]:
    """Return the spans that a span leads to, nearest first, with what to call each."""
    reached: dict[Key, str] = {}
    waiting = [span]
    for one in waiting:
        for context, name in _next(linkage, one, relation, transitive=transitive):
            if key(context) in reached:
                continue
            reached[key(context)] = name
            known = linkage.at(context)
            if transitive and known is not None:
                waiting.append(known)
    return reached


def _next(
    linkage: Linkage, span: ReadableSpan, relation: str | None, *, transitive: bool
) -> Iterator[tuple[SpanContext, str]]:
    for link in linkage.links(span, relation):
        name = _name(linkage, link.context)
        told = relation_of(link)
        yield link.context, name if told == PRODUCER else f"{name} ({told})"
    if transitive and span.parent is not None:
        yield span.parent, _name(linkage, span.parent)


def _name(linkage: Linkage, context: SpanContext) -> str:
    known = linkage.at(context)
    return _UNSEEN if known is None else repr(known.name)


def _not_linked(
    linkage: Linkage, span: ReadableSpan, target: ReadableSpan, relation: str | None
) -> str:
    kind = "link" if relation is None else f"{relation} link"
    said = f"{described(span)} has no {kind} to {target.name!r}"
    others = _reached(linkage, span, None, transitive=False)
    faults = list(contextless(span))
    if not others:
        why = faults or ["was it started by the code that processed the message?"]
        return "; ".join([f"{said}, and no other link", *why])
    if key(target.context) in _reached(linkage, span, relation, transitive=True):
        faults.append("it leads there over other spans, which transitive=True follows")
    return "; ".join([f"{said}; it links to: {_listed(others)}", *faults])


def _leads_elsewhere(
    linkage: Linkage, span: ReadableSpan, target: ReadableSpan, relation: str | None
) -> str:
    reached = _reached(linkage, span, relation, transitive=True)
    passed = [span, *(one for one in linkage.spans if key(one.context) in reached)]
    faults = [f"{one.name!r}: {fault}" for one in passed for fault in contextless(one)]
    only = f"only to: {_listed(reached)}" if reached else "nor to any other span"
    return "; ".join([f"{described(span)} does not lead back to {target.name!r}, {only}", *faults])


def _listed(reached: Mapping[Key, str]) -> str:
    return ", ".join(dict.fromkeys(reached.values()))
