"""Prints spans as trees with their links: no ids and no times, so that text can be compared.

```
A  GET /order      INTERNAL
     send orders   PRODUCER
B  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
```

Indentation is parent and child, a letter is a trace, in the order of their first starts, and
`⇢` is a link. A span that is not at hand is `?`. Where a trace has several spans of one name,
they are numbered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link

from linkbus.testing._forest import Forest, Row
from linkbus.testing._paint import DIM, ERROR, Line, Piece, of_trace, rendered, width_of

SPAN_ATTRIBUTES = (
    "error.type",
    "linkbus.link.count",
    "linkbus.link.invalid",
    "linkbus.link.missing",
    "messaging.batch.message_count",
)
"""Attributes of spans that are printed unless others are asked for."""
VOLATILE = (
    "*.id",
    "*_id",
    "*_ms",
    "*.address",
    "*.delivery_tag",
    "*.offset",
    "*.port",
    "*.url",
    "linkbus.links",
)
"""Attributes whose values change from run to run: printed by name only."""

_GAP = 2
_KIND = len("PRODUCER")


def tree(
    spans: Iterable[ReadableSpan],
    *,
    attributes: Sequence[str] = SPAN_ATTRIBUTES,
    link_attributes: Sequence[str] = ("*",),
    replace: Mapping[str, str] | None = None,
    max_links: int = 8,
    width: int = 100,
    color: bool = False,
) -> str:
    """Return spans as text, one a line, by trace, with their links.

    Args:
        spans: Anything with the attributes of the SDK's `ReadableSpan`; those that have
            not ended are marked.
        attributes: Names or patterns (`messaging.*`) of the spans' attributes to print.
        link_attributes: The same for links.
        replace: Parts of names, such as a destination made for one test, and what is
            printed instead.
        max_links: The most links of one span to print; the others are counted.
        width: Columns to keep to, by breaking lines between links and attributes.
        color: For a terminal.
    """
    forest = Forest(spans, replace or {})
    rows = list(forest.rows())
    letters = max((len(forest.letter(row.trace)) for row in rows), default=1) + _GAP
    heads = [_head(row, forest, letters, starts) for row, starts in _with_starts(rows)]
    column = max(map(width_of, heads), default=0) + _GAP
    lines: list[Line] = []
    for row, head in zip(rows, heads, strict=True):
        items = list(_items(row, forest, attributes, link_attributes, max_links))
        kind = "" if row.span is None else row.span.kind.name
        padded = [*head, Piece(" " * (column - width_of(head))), Piece(kind.ljust(_KIND), DIM)]
        lines += _filled(padded, items, width)
    return "\n".join(rendered(line, color=color) for line in lines)


def _with_starts(rows: Sequence[Row]) -> Iterator[tuple[Row, bool]]:
    """Yield each row with whether it is the first of its trace, which shows the letter."""
    before = None
    for row in rows:
        yield row, row.trace != before
        before = row.trace


def _head(row: Row, forest: Forest, letters: int, starts: bool) -> Line:
    letter = forest.letter(row.trace) if starts else ""
    name = [
        Piece(letter.ljust(letters), of_trace(row.trace, bold=True)),
        Piece("  " * row.depth + row.label, of_trace(row.trace)),
    ]
    is_open = row.span is not None and row.span.end_time is None
    return [*name, Piece(" (open)", ERROR)] if is_open else name


def _items(
    row: Row,
    forest: Forest,
    attributes: Sequence[str],
    link_attributes: Sequence[str],
    max_links: int,
) -> Iterator[Line]:
    """Yield what stands behind a span's kind: its status, attributes and links."""
    if row.span is None:
        return
    if not row.span.status.is_ok:
        yield [Piece("ERROR", ERROR)]
    if facts := _facts(row.span.attributes, attributes, forest):
        yield facts
    for link in row.span.links[:max_links]:
        yield _link(link, forest, link_attributes)
    if (more := len(row.span.links) - max_links) > 0:
        yield [Piece(f"⇢ … and {more} more", DIM)]


def _link(link: Link, forest: Forest, patterns: Sequence[str]) -> Line:
    trace, label = forest.target(link.context)
    line = [Piece("⇢ "), Piece(label, DIM if trace is None else of_trace(trace))]
    facts = _facts(link.attributes, patterns, forest)
    return [*line, Piece(f" {facts[0].text}", DIM), *facts[1:]] if facts else line


def _facts(
    attributes: Mapping[str, object] | None, patterns: Sequence[str], forest: Forest
) -> Sequence[Piece]:
    """Return attributes in braces, in pieces between which a line may be broken."""
    chosen = sorted(name for name in attributes or () if _matches(name, patterns))
    facts = [_fact(name, (attributes or {})[name], forest) for name in chosen]
    last = len(facts) - 1
    return [
        Piece(f"{' ' if number else '{'}{fact}{',' if number < last else '}'}", DIM)
        for number, fact in enumerate(facts)
    ]


def _fact(name: str, value: object, forest: Forest) -> str:
    if _matches(name, VOLATILE):
        return name
    if isinstance(value, bool):
        return f"{name}={str(value).lower()}"
    if isinstance(value, tuple | list):
        return f"{name}={','.join(map(str, value))}"
    return f"{name}={forest.shown(str(value))}"


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _filled(head: Line, items: Sequence[Line], width: int) -> Iterator[Line]:
    """Yield lines: the head with as much as fits, and the rest below it.

    A line is broken between items, or in one that is too long, before a piece that begins
    with a space.
    """
    line = list(head)
    for number, item in enumerate(items):
        if number and width_of(line) + _GAP + width_of(item) > width:
            yield line
            line = [Piece(" " * width_of(head))]
        line.append(Piece(" " * _GAP))
        for piece in item:
            if piece.text.startswith(" ") and width_of(line) + len(piece.text) > width:
                yield line
                line = [Piece(" " * (width_of(head) + _GAP))]
            line.append(piece)
    yield line
