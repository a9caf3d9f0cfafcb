"""Spans found by name and by identity, with all of their links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeAlias

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext

PRODUCER = "producer"
"""The relation of a link to a creation context, and of a link that names none."""

Key: TypeAlias = tuple[int, int]


class Linkage:
    """The spans of a test, and what they link to.

    Args:
        spans: Read once; they may have ended or not.
    """

    def __init__(self, spans: Iterable[ReadableSpan]) -> None:
        self.spans = list(spans)
        self._known = {key(span.context): span for span in self.spans}
        self._carriers: defaultdict[Key, list[ReadableSpan]] = defaultdict(list)
        for span in self.spans:
            above = None if span.parent is None else self.at(span.parent)
            if above is not None and span.name == f"{above.name} links":
                self._carriers[key(above.context)].append(span)

    def at(self, context: SpanContext) -> ReadableSpan | None:
        """Return the span that has a context, if it was recorded."""
        return self._known.get(key(context))

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name that have ended."""
        return [one for one in self.spans if one.name == name and one.end_time is not None]

    def links(self, span: ReadableSpan, relation: str | None = None) -> list[Link]:
        """Return the links of a span, and of the children made for those it had no room for.

        Args:
            span: Whose links.
            relation: Only those of this relation; None: all.
        """
        carriers = self._carriers.get(key(span.context), ())
        links = [link for one in (span, *carriers) for link in one.links]
        return [one for one in links if relation in {None, relation_of(one)}]


def key(context: SpanContext) -> Key:
    """Return what identifies a span."""
    return context.trace_id, context.span_id


def relation_of(link: Link) -> str:
    """Return what a link says that its target is to its span."""
    return str((link.attributes or {}).get("linkbus.link.relation", PRODUCER))
