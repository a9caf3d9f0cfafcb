"""Spans arranged by trace, parent and start: what a printed tree shows, without its looks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import ascii_uppercase

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

UNKNOWN = "?"
"""Stands for a span or a trace that is not at hand."""

_Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """A span at its place; `span` is None for a parent that is not at hand."""

    trace: int
    depth: int
    label: str
    span: ReadableSpan | None


class Forest:
    """Spans by trace, in the order of their starts.

    Args:
        spans: Anything with the attributes of the SDK's `ReadableSpan`.
        replace: Parts of names and what is shown instead.
    """

    def __init__(self, spans: Iterable[ReadableSpan], replace: Mapping[str, str]) -> None:
        self._replace = replace
        self._spans = sorted(spans, key=lambda span: span.start_time or 0)
        self._labels = self._numbered()
        self._traces: dict[int, int] = {}
        self._tops: defaultdict[int, list[ReadableSpan]] = defaultdict(list)
        self._children: defaultdict[_Key, list[ReadableSpan]] = defaultdict(list)
        for span in self._spans:
            self._traces.setdefault(span.context.trace_id, len(self._traces))
            if span.parent is not None:
                self._children[_key(span.parent)].append(span)
            if span.parent is None or _key(span.parent) not in self._labels:
                self._tops[span.context.trace_id].append(span)

    def rows(self) -> Iterator[Row]:
        """Yield the spans of each trace from its roots down."""
        for trace_id, trace in self._traces.items():
            absent: set[_Key] = set()
            for span in self._tops[trace_id]:
                if span.parent is None:
                    yield from self._below(span, trace, 0)
                elif (parent := _key(span.parent)) not in absent:
                    absent.add(parent)
                    yield Row(trace, 0, UNKNOWN, None)
                    for child in self._children[parent]:
                        yield from self._below(child, trace, 1)

    def letter(self, trace: int) -> str:
        """Return the letter of a trace: A to Z, then AA, AB and so on."""
        tens, ones = divmod(trace, len(ascii_uppercase))
        return (self.letter(tens - 1) if tens else "") + ascii_uppercase[ones]

    def target(self, context: SpanContext) -> tuple[int | None, str]:
        """Return the trace of a linked span, if known, and its label."""
        trace = self._traces.get(context.trace_id)
        if trace is None:
            return None, UNKNOWN
        return trace, f"{self.letter(trace)}/{self._labels.get(_key(context), UNKNOWN)}"

    def shown(self, text: str) -> str:
        """Return a name with the parts that are to be replaced."""
        for part, instead in self._replace.items():
            text = text.replace(part, instead)
        return text

    def _below(self, span: ReadableSpan, trace: int, depth: int) -> Iterator[Row]:
        waiting = [(span, depth)]
        while waiting:
            span, depth = waiting.pop()
            key = _key(span.context)
            yield Row(trace, depth, self._labels[key], span)
            waiting += [(child, depth + 1) for child in reversed(self._children[key])]

    def _numbered(self) -> dict[_Key, str]:
        names = {_key(span.context): self.shown(span.name) for span in self._spans}
        total = Counter((trace_id, name) for (trace_id, _), name in names.items())
        so_far: Counter[tuple[int, str]] = Counter()
        labels = {}
        for key, name in names.items():
            same = (key[0], name)
            so_far[same] += 1
            labels[key] = f"{name} #{so_far[same]}" if total[same] > 1 else name
        return labels


def _key(context: SpanContext) -> _Key:
    return context.trace_id, context.span_id
