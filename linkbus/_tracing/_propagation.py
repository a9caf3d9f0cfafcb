"""Creation contexts in headers: read without ever failing, written exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagate import textmap  # type: ignore[attr-defined] # a part of it
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from linkbus._headers import Headers
from linkbus._tracing._quiet import logger
from linkbus._tracing._w3c import HEADER, is_plain, parsed, traceparent_of, written

_LISTS = {"baggage": 8192, "tracestate": 512}
"""Headers that may be repeated or fail alone, with the most bytes of them that are read."""
_MAX_BYTES = 512
"""The most bytes of any other header of a propagator; a traceparent has 55."""
_B3 = frozenset(
    {"b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"}
)
"""All headers of B3. Each of its propagators reads most, and names as its fields what it writes.
https://github.com/open-telemetry/opentelemetry-python/tree/main/propagator/opentelemetry-propagator-b3
"""


_NOTHING = Context()


class Creation:
    """What a message's headers say of its making: a context, a broken one, or nothing.

    Attributes:
        span: The creation context, or None.
        baggage: The message's baggage.
        invalid: A context is there and cannot be read.
        trusted: It may do more than be linked.
    """

    __slots__ = ("baggage", "invalid", "span", "trusted")

    def __init__(
        self,
        span: trace.SpanContext | None,
        baggage: Mapping[str, object],
        *,
        invalid: bool = False,
        trusted: bool = True,
    ) -> None:
        self.span = span
        self.baggage = baggage
        self.invalid = invalid
        self.trusted = trusted

    def as_headers(self) -> dict[str, str]:
        """Return the creation context in the form of the W3C headers, whatever the propagator."""
        context = self.span
        if context is None:
            return {}
        headers = {HEADER: traceparent_of(context)}
        if context.trace_state:
            headers["tracestate"] = context.trace_state.to_header()
        return headers


MISSING = Creation(None, {})
INVALID = Creation(None, {}, invalid=True)


class Propagation:
    """Reads and writes contexts with one propagator, or with the global one in force."""

    def __init__(self, propagator: textmap.TextMapPropagator | None = None) -> None:
        self._given = propagator
        self._known: textmap.TextMapPropagator | None = None
        self._is_plain = False
        self._fields: dict[str, str] = {}

    def _current(self) -> textmap.TextMapPropagator:
        """Return the propagator, with the names of its headers known, by their lower case."""
        propagator = self._given or propagate.get_global_textmap()
        if propagator is not self._known:
            self._fields = _fields(propagator)
            self._is_plain = is_plain(propagator)
            self._known = propagator
        return propagator

    def inject(self, context: Context, span: trace.Span | None = None) -> dict[str, str]:
        """Return the headers that carry a context; empty when there is nothing to carry.

        Args:
            context: What to carry.
            span: The span to carry in place of the context's own.
        """
        if not context and span is None:
            return {}
        propagator = self._current()
        if self._is_plain:
            carried = span or trace.get_current_span(context)
            more = len(context) - (span is None)  # besides the span, which is one entry
            usual = written(carried.get_span_context(), context if more else _NOTHING)
            if usual is not None:
                return usual
        carrier: dict[str, str] = {}
        try:
            given = context if span is None else trace.set_span_in_context(span, context)
            propagator.inject(carrier, given)
            carrier = {str(name): str(value) for name, value in carrier.items()}
        except Exception:  # noqa: BLE001 - it may raise anything; what it wrote stays
            logger.exception("a propagator failed; a message leaves without its context")
        return carrier

    def strip(self, headers: Headers) -> Headers:
        """Return the headers without any of the propagator's, in any case."""
        self._current()
        fields = self._fields
        for name in headers:
            if name.lower() in fields:
                kept = [pair for pair in headers.items() if pair[0].lower() not in fields]
                return Headers.stable(kept)
        return headers

    def only(self, context: Mapping[str, str]) -> Mapping[str, str]:
        """Return of a stored context what the propagator would write, and no more of it."""
        self._current()
        fields = self._fields
        if fields.keys() >= context.keys() and max(map(len, context.values())) <= _MAX_BYTES:
            return context
        kept: dict[str, str] = {}
        for name, value in context.items():
            if name.lower() in fields:
                _take(kept, name, value)
        return kept

    def read(self, pairs: Iterable[tuple[str, str]]) -> Creation:
        """Return what headers, or a stored context, say of a message's making."""
        propagator = self._current()
        fields = self._fields
        found: dict[str, str] = {}
        broken = False
        for name, value in pairs:
            field = fields.get(name) or fields.get(name.lower())
            if field is not None:
                broken = not _take(found, field, value) or broken
        if not found:
            return INVALID if broken else MISSING
        if self._is_plain and not broken and len(found) == 1 and HEADER in found:
            span = parsed(found[HEADER])
            if span is not None:
                return Creation(span, {})
        if broken:  # two of them, or one that cannot be read: believe neither
            found = {name: found[name] for name in found if name.lower() in _LISTS}
        creation = _extracted(propagator, found)
        if broken or (creation.span is None and any(name.lower() not in _LISTS for name in found)):
            return Creation(None, creation.baggage, invalid=True)
        return creation


W3C = Propagation(TraceContextTextMapPropagator())
"""For what is always in the form of the W3C headers, whatever the propagator in force."""


def _fields(propagator: textmap.TextMapPropagator) -> dict[str, str]:
    try:
        fields = {name.lower(): name for name in propagator.fields}
    except Exception:  # noqa: BLE001 - a propagator may raise anything, tracing nothing
        logger.exception("a propagator failed to name its headers; none are read")
        return {}
    return fields if _B3.isdisjoint(fields) else {name: name for name in _B3} | fields


def _take(found: dict[str, str], field: str, value: str) -> bool:
    """Add one header to the carrier; False where that breaks the context."""
    limit = _LISTS.get(field.lower())
    if limit is None:
        if field in found or len(value) > _MAX_BYTES or not value.isascii():
            return False
        found[field] = value
        return True
    if field in found:
        value = f"{found[field]},{value}"
    if len(value) <= limit and value.isascii():
        found[field] = value
    return True


def _extracted(propagator: textmap.TextMapPropagator, carrier: dict[str, str]) -> Creation:
    try:
        context = propagator.extract(carrier, Context())
        span = trace.get_current_span(context).get_span_context()
        return Creation(span if span.is_valid else None, baggage.get_all(context))
    except Exception:  # noqa: BLE001 - a propagator may raise anything on what strangers send
        logger.debug("a propagator failed on received headers", exc_info=True)
        return INVALID
