"""Process, receive and settle spans: what a consumer does with messages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from time import time, time_ns
from typing import NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind

from linkbus._headers import Headers
from linkbus._seam import Arrival
from linkbus._tracing import _names as n
from linkbus._tracing._config import Relation
from linkbus._tracing._core import TracingCore, label_of, measured, operation
from linkbus._tracing._incoming import Incoming, facts_of, links_of, shared_facts
from linkbus._tracing._lineage import origin_in
from linkbus._tracing._links import Attributes, Gathered, SpanPlan, related, start
from linkbus._tracing._metrics import Meters
from linkbus._tracing._operation import UNSEEN, Operation
from linkbus._tracing._placing import passed_on, placed, with_baggage
from linkbus._tracing._process import UNPROCESSED, Process
from linkbus._tracing._propagation import MISSING, Creation
from linkbus._tracing._quiet import quiet
from linkbus._tracing._suppressing import AS_IT_IS, Alone


class _Measured(NamedTuple):
    """The attributes of a consumer's metrics, by operation."""

    process: Attributes
    receive: Attributes
    settle: Attributes
    consumed: Attributes


class ConsumerTracer:
    """Makes the spans of one consumer.

    Args:
        core: The bus's tracing; the bus is open.
        source: Where it receives from.
        group: Its group.
        relation: None: the bus's.
    """

    def __init__(
        self, core: TracingCore, source: str, group: str, relation: Relation | None
    ) -> None:
        self._core = core
        self._relation: Relation = relation or core.config.relation
        self._trusted = core.config.inbound == "trust"
        self._ignored = core.config.inbound == "ignore"
        base = {**core.base(source, group), n.GROUP: group}
        self._label = label_of(base)
        self._process = operation(base, "process")
        self._receive = operation(base, "receive")
        self._settle = operation(base, "settle")
        self._measured = _Measured(
            measured(self._process, of_operation=False),
            measured(self._receive, of_operation=True),
            measured(self._settle, of_operation=True),
            measured(self._receive, of_operation=False),
        )

    @property
    def traces_receives(self) -> bool:
        """Whether every poll of the transport has a span."""
        return "receive" in self._core.config.spans

    def strip(self, headers: Headers) -> Headers:
        """Return headers without what the propagator writes."""
        return self._core.propagation.strip(headers)

    def alone(self) -> AbstractContextManager[None]:
        """Return the block in which to call the receiver."""
        return Alone() if self._core.providers.has_tracer else AS_IT_IS

    def _unread(self, arrival: Arrival) -> Creation:
        return MISSING

    @quiet(_unread)
    def read(self, arrival: Arrival) -> Creation:
        """Read a message's creation context."""
        if self._ignored or not arrival.headers:
            return MISSING
        return self._believed(self._core.propagation.read(arrival.headers._pairs))

    @quiet(_unread)
    def read_origin(self, arrival: Arrival) -> Creation:
        """Read where a dead letter, or a redriven message, was first made."""
        return MISSING if self._ignored else self._believed(origin_in(arrival.headers))

    def _believed(self, creation: Creation) -> Creation:
        """Count a context that is invalid, and leave of the others what may be believed."""
        if creation.invalid:
            _, meters = self._core.providers.current()
            if meters is not None:
                meters.invalid.add(1, self._measured.process)
        if self._trusted:
            return creation
        return Creation(creation.span, {}, invalid=creation.invalid, trusted=False)

    def _not_given(self, count: int) -> None:
        return None

    @quiet(_not_given)
    def given(self, count: int) -> None:
        """Count messages that the application is given."""
        _, meters = self._core.providers.current()
        if meters is not None:
            meters.consumed.add(count, self._measured.consumed)

    def _unprocessed(self, incoming: Incoming, previous: SpanContext | None) -> Process:
        return UNPROCESSED

    @quiet(_unprocessed)
    def begin(self, incoming: Incoming, previous: SpanContext | None) -> Process:
        """Start processing one message; its span is current until it is finished.

        Args:
            incoming: The message.
            previous: The span of the attempt before, when linkbus held the message since.
        """
        tracer, meters = self._core.providers.current()
        creation = incoming.creation()
        if tracer is None:
            return self._untraced([incoming], meters, passed_on(creation))
        arrival = incoming._arrival
        attributes: Attributes = {
            **self._process,
            **arrival.attributes,
            n.BODY_SIZE: len(arrival.body),
            n.ATTEMPT: incoming.attempt,
        }
        if arrival.id is not None:
            attributes[n.MESSAGE_ID] = arrival.id
        wait = self._wait(incoming, time(), meters)
        if wait is not None:
            attributes[n.WAIT] = round(wait * 1000, 3)
        base = with_baggage(otel_context.get_current(), creation.baggage)
        links = links_of(incoming, attributes)
        parent, ambient = placed(incoming, self._relation, base)
        links += ambient
        if previous is not None:
            links.append(related(previous, "retry"))
        name = f"process {self._label}"
        creations = 0 if creation.span is None else 1
        plan = SpanPlan(name, SpanKind.CONSUMER, parent, links, creations, attributes)
        span = start(tracer, plan, self._core.config.max_links)
        return Process(span, trace.set_span_in_context(span, base), meters, self._measured.process)

    def _batch_unprocessed(
        self, incoming: Sequence[Incoming], previous: SpanContext | None
    ) -> Process:
        return UNPROCESSED

    @quiet(_batch_unprocessed)
    def begin_batch(self, incoming: Sequence[Incoming], previous: SpanContext | None) -> Process:
        """Start processing a batch: one span, linked to every distinct creation context."""
        tracer, meters = self._core.providers.current()
        if tracer is None:
            return self._untraced(incoming, meters, None)
        shared = shared_facts(incoming)
        on_span = shared if len(incoming) > 1 else {}  # one message's own are on its link too
        gathered = Gathered()
        for one in incoming:
            gathered.take(one.creation(), facts_of(one, on_span))
            gathered.take_origin(one.origin(), of=one.creation())
        attributes: Attributes = {
            **self._process,
            **shared,
            **gathered.counts(),
            n.BATCH_COUNT: len(incoming),
        }
        waits = self._waits(incoming, meters)
        if waits:
            attributes[n.WAIT_MIN] = round(min(waits) * 1000, 3)
            attributes[n.WAIT_MAX] = round(max(waits) * 1000, 3)
        links = [*gathered.links(), *gathered.origins()]
        if previous is not None:
            links.append(related(previous, "retry"))
        current = otel_context.get_current()
        name = f"process {self._label}"
        plan = SpanPlan(name, SpanKind.CONSUMER, current, links, len(gathered), attributes)
        span = start(tracer, plan, self._core.config.max_links)
        return Process(
            span, trace.set_span_in_context(span, current), meters, self._measured.process
        )

    def _unreceived(self, incoming: Sequence[Incoming], started: int) -> None:
        return None

    @quiet(_unreceived)
    def received(self, incoming: Sequence[Incoming], started: int) -> None:
        """Tell of a receive that brought messages: its span, and how long it took.

        Args:
            incoming: The messages.
            started: When the call began, in nanoseconds since the epoch.
        """
        tracer, meters = self._core.providers.current()
        if meters is not None:
            meters.operation.record((time_ns() - started) / 1e9, self._measured.receive)
        if tracer is None:
            return
        shared = shared_facts(incoming)
        on_span = shared if len(incoming) > 1 else {}  # one message's own are on its link too
        gathered = Gathered()
        for one in incoming:
            gathered.take(one.creation(), facts_of(one, on_span))
        attributes: Attributes = {
            **self._receive,
            **shared,
            n.BATCH_COUNT: len(incoming),
            n.LINK_COUNT: len(gathered),
        }
        links = gathered.links()
        name = f"receive {self._label}"
        current = otel_context.get_current()
        plan = SpanPlan(
            name, SpanKind.CLIENT, current, links, len(links), attributes, start_time=started
        )
        start(tracer, plan, self._core.config.max_links).end()

    def settling(self, incoming: Sequence[Incoming], process: Process | None) -> Operation:
        """Start a settlement: with a span of its own where no process span tells of it.

        Args:
            incoming: The messages that are settled together.
            process: Their processing, ended or not; None: there is none.
        """
        tracer, meters = self._core.providers.current()
        if tracer is not None and (process is None or "settle" in self._core.config.spans):
            return self._settling(tracer, meters, incoming, process)
        return UNSEEN if meters is None else Operation(None, meters, self._measured.settle)

    def _unsettled(
        self,
        tracer: trace.Tracer,
        meters: Meters | None,
        incoming: Sequence[Incoming],
        process: Process | None,
    ) -> Operation:
        return UNSEEN

    @quiet(_unsettled)
    def _settling(
        self,
        tracer: trace.Tracer,
        meters: Meters | None,
        incoming: Sequence[Incoming],
        process: Process | None,
    ) -> Operation:
        attributes: Attributes = {**self._settle, **shared_facts(incoming)}
        context = otel_context.get_current()
        gathered = Gathered()
        if process is None:
            for one in incoming:
                gathered.take(one.creation(), facts_of(one, {}))
        elif process.span is not None:
            context = trace.set_span_in_context(process.span, context)
        if len(incoming) > 1:
            attributes[n.BATCH_COUNT] = len(incoming)
        elif incoming[0]._arrival.id is not None:
            attributes[n.MESSAGE_ID] = incoming[0]._arrival.id
        links = gathered.links()
        name = f"settle {self._label}"
        plan = SpanPlan(name, SpanKind.CLIENT, context, links, len(links), attributes)
        span = start(tracer, plan, self._core.config.max_links)
        return Operation(span, meters, self._measured.settle)

    def _untraced(
        self,
        incoming: Sequence[Incoming],
        meters: Meters | None,
        context: Context | None,
    ) -> Process:
        """Return a processing without a span: what is measured is measured all the same."""
        if meters is not None:
            for one in incoming:  # counts what is invalid
                one.creation()
                one.origin()
            self._waits(incoming, meters)
        elif context is None:
            return UNPROCESSED
        return Process(None, context, meters, self._measured.process)

    def _waits(self, incoming: Sequence[Incoming], meters: Meters | None) -> list[float]:
        """Return the seconds that messages waited, where known; each is measured once."""
        now = time()
        waits = [self._wait(one, now, meters) for one in incoming]
        return [wait for wait in waits if wait is not None]

    def _wait(self, one: Incoming, now: float, meters: Meters | None) -> float | None:
        """Return the seconds that a message waited, if known; it is measured once."""
        arrival = one._arrival
        if arrival.sent_at is None:
            return None
        wait = max(0.0, now - arrival.sent_at)
        if meters is not None and one.attempt == arrival.attempt:  # no retry of ours
            meters.wait.record(wait, self._measured.process)
        return wait
