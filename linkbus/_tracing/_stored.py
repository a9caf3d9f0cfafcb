"""Links for flows that do not pass through a bus: an outbox, a job over stored rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Self

from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from linkbus._errors import UsageError
from linkbus._message import Message
from linkbus._tracing import _names as n
from linkbus._tracing._config import Tracing
from linkbus._tracing._core import ambient
from linkbus._tracing._incoming import Incoming
from linkbus._tracing._links import Gathered, SpanPlan, carry, link_facts, mirrors, related, start
from linkbus._tracing._operation import error_type
from linkbus._tracing._propagation import INVALID, MISSING, W3C, Creation, Propagation
from linkbus._tracing._providers import Providers
from linkbus._tracing._quiet import quiet

_MAX_LINKS = Tracing().max_links

Linkable = Mapping[str, str] | str | SpanContext | Incoming | Message | None
"""What stands for a creation context.

What `capture_context` gave, a traceparent, a `SpanContext`, a `Delivery`, a `Message`;
or None or an empty mapping for none, which is counted as missing.
"""


def capture_context() -> dict[str, str]:
    """Return the current trace context as text that can be stored anywhere.

    Written by OpenTelemetry's global propagator; empty when there is nothing to link
    to. Baggage is never stored: it belongs to the request, and may be private.
    """
    return Propagation().inject(baggage.clear(otel_context.get_current()))


def linked_span(name: str, contexts: Iterable[Linkable] = ()) -> LinkedSpan:
    """Return a span, for a `with` block, that links to many stored contexts.

    It is INTERNAL and starts a trace of its own, also inside another span, which then
    becomes one of its links. Each distinct context gets one link; above 100 they go to
    child spans, so none is lost. The span counts the distinct ones, the missing and
    the invalid. An exception that leaves the block is recorded and goes on.

    Args:
        name: The name of the span, of low cardinality.
        contexts: Read once, on entering. See `LinkedSpan.link` for what it may hold.
    """
    return LinkedSpan(name, contexts)


class LinkedSpan:
    """A span with links to stored contexts; made by `linked_span`, used once."""

    def __init__(self, name: str, contexts: Iterable[Linkable]) -> None:
        self._name = name
        self._contexts = contexts
        self._gathered = Gathered()
        self._span: trace.Span = trace.INVALID_SPAN
        self._tracer: trace.Tracer | None = None
        self._room = _MAX_LINKS
        self._held: list[Link] = []
        self._waiting: list[Link] = []
        self._token: Token[Context] | None = None
        self._is_open: bool | None = None

    def __enter__(self) -> Self:
        if self._is_open is not None:
            msg = f"linked_span({self._name!r}) was entered twice: make a new one for each block"
            raise UsageError(msg)
        self._is_open = True
        for context in self._contexts:
            self._gathered.take(_read(context), {})
        self._contexts = ()
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        self._end(error)

    def link(self, context: Linkable) -> None:
        """Add a link that was found while the span is open.

        A context that is linked already changes nothing; one that is missing or invalid
        is counted, and so is anything that is no context at all.

        Args:
            context: What `capture_context` gave, a traceparent, a `SpanContext`, a
                `Delivery`, a `Message`; None or an empty mapping count as missing.

        Raises:
            UsageError: The span is not open.
        """
        if not self._is_open:
            msg = f"linked_span({self._name!r}) is not open: link inside its `with` block"
            raise UsageError(msg)
        creation = _read(context)
        if self._gathered.take(creation, {}) and creation.span is not None:
            facts = link_facts(creation.span, {}, trusted=creation.trusted)
            self._add(Link(creation.span, facts))

    def set_attribute(self, name: str, value: str | bool | float) -> None:
        """Set an attribute of the span."""
        self._span.set_attribute(name, value)

    def _nothing(self) -> None:
        return None

    @quiet(_nothing)
    def _start(self) -> None:
        self._tracer, _ = Providers(Tracing()).current()
        if self._tracer is None:
            return
        current = otel_context.get_current()
        outside = ambient()
        links = self._gathered.links()
        creations = len(links)
        attributes = self._gathered.counts()
        if outside is not None:
            if outside not in self._gathered:
                links.append(related(outside, "ambient"))
            current = trace.set_span_in_context(trace.INVALID_SPAN, current)
        plan = SpanPlan(self._name, SpanKind.INTERNAL, current, links, creations, attributes)
        self._span = start(self._tracer, plan, _MAX_LINKS)
        dropped: int = getattr(self._span, "dropped_links", 0)
        self._held = links[dropped:_MAX_LINKS]
        if dropped:
            self._room = len(self._held)
        self._token = otel_context.attach(trace.set_span_in_context(self._span, current))

    def _not_added(self, link: Link) -> None:
        return None

    @quiet(_not_added)
    def _add(self, link: Link) -> None:
        """Put a late link on the span if it has room, else on a child of it."""
        if self._tracer is None or not self._span.is_recording():
            return
        if len(self._held) < self._room:
            dropped: int = getattr(self._span, "dropped_links", 0)
            self._span.add_link(link.context, link.attributes)
            self._held.append(link)
            if getattr(self._span, "dropped_links", 0) > dropped:  # the provider's own limit
                self._waiting.append(self._held.pop(0))
                self._room = len(self._held)
        else:
            self._waiting.append(link)
        if len(self._waiting) >= self._room:
            self._carry_waiting()

    @quiet(_nothing)
    def _carry_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._tracer is not None and waiting:
            carry(self._tracer, self._span, self._name, waiting, self._room)

    def _not_ended(self, error: BaseException | None) -> None:
        return None

    @quiet(_not_ended)
    def _end(self, error: BaseException | None) -> None:
        token, self._token = self._token, None
        if token is None:
            return
        otel_context.detach(token)
        span = self._span
        self._carry_waiting()
        creations = [k for k in self._held if n.RELATION not in (k.attributes or {})]
        span.set_attributes(self._gathered.counts())
        span.set_attributes(mirrors(creations, of=len(self._gathered)))
        if isinstance(error, Exception):
            span.set_attribute(n.ERROR_TYPE, error_type(error))
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR))
        span.end()


def _read(stored: Linkable) -> Creation:
    """Return the context that a stored thing stands for."""
    if isinstance(stored, Incoming):
        return stored.creation()
    if isinstance(stored, SpanContext):
        return Creation(stored, {}) if stored.is_valid else INVALID
    if isinstance(stored, Message):
        stored = stored.context
    if isinstance(stored, str):
        return W3C.read([("traceparent", stored)]) if stored else MISSING
    if stored is None:
        return MISSING
    return _read_mapping(stored)


def _read_mapping(stored: object) -> Creation:
    """Return what a mapping of names to values says; anything else is no context."""
    if not isinstance(stored, Mapping):
        return INVALID
    try:
        pairs = [(str(name), str(value)) for name, value in stored.items()]
    except Exception:  # noqa: BLE001 - stored things are of any class, tracing nothing
        return INVALID
    return Propagation().read(pairs)
