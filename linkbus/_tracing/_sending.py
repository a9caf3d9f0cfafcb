"""Create and send spans, and the contexts that leave with messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanContext, SpanKind

from linkbus._headers import Headers
from linkbus._message import Message
from linkbus._tracing import _names as n
from linkbus._tracing._core import TracingCore, label_of, measured, operation
from linkbus._tracing._links import Attributes, Gathered, SpanPlan, start
from linkbus._tracing._operation import UNSEEN, Operation
from linkbus._tracing._quiet import quiet
from linkbus._tracing._suppressing import AS_IT_IS, Alone

Carrier = Mapping[str, str]
"""A context as headers: what leaves with a message."""

_Made = tuple[Carrier, SpanContext]
"""A creation context, as headers and as what a link needs."""

_NOTHING: Carrier = {}


class ProducerTracer:
    """Makes the spans and contexts of one producer.

    Args:
        core: The bus's tracing.
        destination: Where it sends.
        create_spans: A batch has a create span for each of its messages.
    """

    def __init__(self, core: TracingCore, destination: str, *, create_spans: bool) -> None:
        self._core = core
        self._destination = self._label = destination
        self._name = f"send {destination}"
        self._create_spans = create_spans
        self._send: Attributes = {}
        self._measured: Attributes = {}
        self._create: Attributes = {}

    def strip(self, headers: Headers) -> Headers:
        """Return the application's headers without what the propagator writes."""
        return self._core.propagation.strip(headers) if headers else headers

    def alone(self) -> AbstractContextManager[None]:
        """Return the block in which to call the transport."""
        return Alone() if self._core.providers.has_tracer else AS_IT_IS

    def begin(self, message: Message, mid: str) -> tuple[Carrier, Operation]:
        """Start sending one message, with the id `mid`; return the context that leaves."""
        if message.context is None and not otel_context.get_current():
            tracer, meters = self._core.providers.current()
            if tracer is None and meters is None:  # nothing to do, as fast as it can be
                return _NOTHING, UNSEEN
        return self._begin(message, mid)

    def _begin_untraced(self, message: Message, mid: str) -> tuple[Carrier, Operation]:
        return message.context or _NOTHING, UNSEEN

    @quiet(_begin_untraced)
    def _begin(self, message: Message, mid: str) -> tuple[Carrier, Operation]:
        core = self._core
        tracer, meters = core.providers.current()
        if tracer is None:
            carrier = self._ambient_for(message)
            if meters is None:
                return carrier, UNSEEN
            return carrier, Operation(None, meters, self._metrics())
        attributes: Attributes = {**self._attributes(), n.MESSAGE_ID: mid}
        attributes[n.BODY_SIZE] = len(message.body)
        stored = self._stored(message)
        if stored is None:
            span = tracer.start_span(self._name, None, SpanKind.PRODUCER, attributes)
            carrier = self._carrier_of(span)
        else:
            span = self._start_linked(tracer, SpanKind.CLIENT, attributes, [stored], [mid])
            carrier = stored[0]
        if meters is None and not span.is_recording():
            return carrier, UNSEEN
        return carrier, Operation(span, meters, self._measured)

    def _batch_untraced(
        self,
        messages: Sequence[Message],
        ids: Sequence[str],
    ) -> tuple[list[Carrier], Operation]:
        return [message.context or _NOTHING for message in messages], UNSEEN

    @quiet(_batch_untraced)
    def begin_batch(
        self, messages: Sequence[Message], ids: Sequence[str]
    ) -> tuple[list[Carrier], Operation]:
        """Start sending a batch; return the context that leaves with each message."""
        core = self._core
        tracer, meters = core.providers.current()
        made = [self._stored(message) for message in messages]
        if tracer is None:
            ambient = core.propagation.inject(otel_context.get_current())
            carriers = [ambient if own is None else own[0] for own in made]
            if meters is None:
                return carriers, UNSEEN
            return carriers, Operation(None, meters, self._metrics())
        kind = SpanKind.CLIENT if self._create_spans or all(made) else SpanKind.PRODUCER
        if self._create_spans:
            made = [
                own or self._created(tracer, message, mid)
                for own, message, mid in zip(made, messages, ids, strict=True)
            ]
        attributes: Attributes = {**self._attributes(), n.BATCH_COUNT: len(ids)}
        span = self._start_linked(tracer, kind, attributes, made, ids)
        shared = self._carrier_of(span) if kind is SpanKind.PRODUCER else _NOTHING
        carriers = [shared if own is None else own[0] for own in made]
        return carriers, Operation(span, meters, self._measured)

    def _create_untraced(self, message: Message, mid: str | None) -> Carrier:
        return _NOTHING

    @quiet(_create_untraced)
    def create(self, message: Message, mid: str | None) -> Carrier:
        """Make a creation context now, in the current trace, and return it."""
        tracer, _ = self._core.providers.current()
        if tracer is None:
            return self._core.propagation.inject(otel_context.get_current())
        return self._created(tracer, message, mid)[0]

    def _attributes(self) -> Attributes:
        """Return the attributes of this producer's sends; known once the bus is open."""
        if not self._send:
            base = self._core.base(self._destination)
            self._label = label_of(base)
            self._name = f"send {self._label}"
            self._create = operation(base, "create")
            self._send = operation(base, "send")
            self._measured = measured(self._send, of_operation=True)
        return self._send

    def _metrics(self) -> Attributes:
        """Return the attributes of this producer's metrics; known once the bus is open."""
        self._attributes()
        return self._measured

    def _ambient_for(self, message: Message) -> Carrier:
        """Return what leaves where nothing records: a context of its own, or the ambient one."""
        if message.context is not None:
            stored = self._stored(message)
            if stored is not None:
                return stored[0]
        return self._core.propagation.inject(otel_context.get_current())

    def _stored(self, message: Message) -> _Made | None:
        """Return a message's own creation context, if there is a valid one."""
        if not message.context:
            return None
        propagation = self._core.propagation
        creation = propagation.read(message.context.items())
        if creation.span is None:
            return None
        return propagation.only(message.context), creation.span

    def _carrier_of(self, span: trace.Span) -> Carrier:
        """Return what carries a span's context, or the ambient one where it has none."""
        own = span if span.get_span_context().is_valid else None
        return self._core.propagation.inject(otel_context.get_current(), own)

    def _created(self, tracer: trace.Tracer, message: Message, mid: str | None) -> _Made:
        self._attributes()
        attributes: Attributes = {**self._create, n.BODY_SIZE: len(message.body)}
        if mid is not None:
            attributes[n.MESSAGE_ID] = mid
        name = f"create {self._label}"
        span = tracer.start_span(name, None, SpanKind.PRODUCER, attributes)
        carrier = self._carrier_of(span)
        span.end()
        return carrier, span.get_span_context()

    def _start_linked(
        self,
        tracer: trace.Tracer,
        kind: SpanKind,
        attributes: Attributes,
        made: Sequence[_Made | None],
        ids: Sequence[str],
    ) -> trace.Span:
        """Start a send span that is linked to every creation context it did not make."""
        gathered = Gathered()
        for own, mid in zip(made, ids, strict=True):
            if own is not None and own[1].is_valid:
                gathered.add(own[1], {n.MESSAGE_ID: mid})
        links = gathered.links()
        if n.BATCH_COUNT in attributes:
            attributes[n.LINK_COUNT] = len(links)
        context = otel_context.get_current()
        plan = SpanPlan(self._name, kind, context, links, len(links), attributes)
        return start(tracer, plan, self._core.config.max_links)
