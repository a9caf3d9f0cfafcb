"""LinkedSampler: keeps or drops all the traces of a flow together.

A request sends a message, its consumer another one, and so on: each is a trace of its own,
and the links make them one flow. A sampler that decides for each trace by itself leaves
pieces of flows. This one decides with the id of the flow, which is that of its first trace:

    provider = TracerProvider(sampler=ParentBased(LinkedSampler(TraceIdRatioBased(0.1))))

In each service of the flow; those without it begin new flows. With a lower ratio than the
others a service keeps some of the flows that they keep, and no others. Of the requests that
are kept at a ratio of 0.1, so many are kept whole, up to each hop:

    hops after the request      1      2      3      4
    each by itself           11 %    1 %    0 %    0 %
    by the link             100 %   11 %    1 %    0 %
    LinkedSampler           100 %  100 %  100 %  100 %

"By the link" is a sampler that looks only at the trace that is linked. All three keep as
many traces at each hop: one in ten.

A trace that links to several flows, that of a batch, cannot be kept with each of them at no
cost. What is kept where producers and consumer keep these ratios, and a trace has links to
so many flows: "kept" of the consumer's traces, "complete" of the producers' kept traces
those whose consumer's is kept too, "alive" of the exported links those whose target is:

    producer  consumer  flows  batches    kept  complete  alive
         0.1       0.1      1  each       10 %     100 %  100 %
         0.1       0.5      1  each       50 %     100 %   20 %
         0.5       0.1      1  each       10 %      20 %  100 %
         0.1       0.1     10  any        65 %     100 %   15 %
         0.1       0.1     10  first      10 %      18 %   19 %
         0.1       0.1     10  ratio      10 %      10 %   10 %
         0.1       0.1    100  any       100 %     100 %   10 %
         0.1       0.1    100  first       9 %      10 %   11 %
         0.1       0.1    100  ratio      10 %      10 %   10 %
        0.01      0.01    100  any        66 %     100 %    2 %

The flow's id travels as the member `linkbus` of the tracestate. It is lost, and a new flow
begins, where the tracestate is: with a propagator that has none (B3), on a broker that has
no room left for it (SQS, where the application takes all attributes), where it is longer
than 512 bytes, and in a traceparent that was stored without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, get_args

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from linkbus._errors import UsageError
from linkbus._tracing import _names as n
from linkbus._tracing._quiet import logger

try:
    from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
except ModuleNotFoundError as error:
    msg = 'linkbus.sampling needs the OpenTelemetry SDK: pip install "linkbus[sdk]"'
    raise ImportError(msg, name=error.name) from error

__all__ = ["LinkedSampler"]

Batches = Literal["any", "first", "ratio"]
_Ask = Callable[[int], SamplingResult]

_MEMBER = "linkbus"
_FLOW = re.compile("[0-9a-f]{32}")
_MAX_MEMBERS = 32
"""The most members of a tracestate (see w3.org/TR/trace-context, "list-members")."""
_RANDOM_64 = 2**64 - 1
_RANDOM_56 = 2**56 - 1


class LinkedSampler(Sampler):
    """Decides for a new trace as for the flow that it continues.

    Below a parent `root` alone decides; so have `ParentBased` around this sampler, or as
    its root, or the spans of a trace are decided for apart. Else `root` is asked with the
    id of the flow in place of the trace's. A trace continues

    - the flow of the attempt before, where it is another one at the same messages;
    - else those of the messages that it links to: what `root` says of several is told by
      `batches`. One message that was sent again from outside of its flow, as a dead letter
      may be, has that of its origin;
    - else that of the span in which `linked_span` was called.

    Links to senders who are not trusted do not count, nor do those that are added later or
    are on child spans: of more than `Tracing(max_links)` the first counts, and then those to
    what is recorded, as many as there is room for. A trace without any link begins a flow,
    and its own id is the flow's.

    What `root` returns is kept, but for the member `linkbus` of the tracestate: the flow's
    id, which dropped traces carry on too. Where this fails `root` decides as if there were
    no links, and that is logged. May be used by any threads if `root` may.

    Args:
        root: Any sampler that decides by the trace id. One that limits a rate counts each
            time that it is asked, once for each flow until one is kept.
        batches: What is kept of traces that continue several flows. "any": those of which
            any flow is, which is more than `root` would; the lowest of these is carried on.
            "first": as for the first link. "ratio": each by its own id, and a new flow begins.

    Raises:
        UsageError: `root` is no sampler, or `batches` is none of the three.
    """

    def __init__(self, root: Sampler, *, batches: Batches = "any") -> None:
        if not isinstance(root, Sampler):
            msg = f"LinkedSampler({root!r}): give a sampler, such as TraceIdRatioBased(0.1)"
            raise UsageError(msg)
        if batches not in get_args(Batches):
            msg = f"batches={batches!r} is none of {', '.join(map(repr, get_args(Batches)))}"
            raise UsageError(msg)
        self._root = root
        self._batches = batches

    def should_sample(  # noqa: PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide for a span that is about to start; `root` alone does where it has a parent."""
        given = () if trace_state is None else (trace_state,)  # the SDK gives none

        def ask(flow: int) -> SamplingResult:
            return self._root.should_sample(
                parent_context, flow, name, kind, attributes, links, *given
            )

        try:
            parent = trace.get_current_span(parent_context).get_span_context()
            if parent.is_valid:
                return _kept_on(ask(trace_id), parent)
            flows = _flows(links or ())
            return self._decided(ask, flows, trace_id) if flows else ask(trace_id)
        except Exception:  # noqa: BLE001 - links, and what a root returns, may be anything
            logger.exception("sampling by links failed; the root sampler decides without them")
            return ask(trace_id)

    def get_description(self) -> str:
        """Return the description: of `root`, and of what is done with batches."""
        return f"LinkedSampler{{root:{self._root.get_description()},batches:{self._batches}}}"

    def _decided(self, ask: _Ask, flows: list[int], trace_id: int) -> SamplingResult:
        if len(flows) > 1 and self._batches == "ratio":
            flows = [trace_id]
        elif self._batches == "first":
            flows = flows[:1]
        return _carrying(*_first_sampled(ask, flows))


def _first_sampled(ask: _Ask, flows: Iterable[int]) -> tuple[SamplingResult, int]:
    """Return the first flow that is sampled, with the decision; if none is, the first.

    It is the one to carry on, for whoever receives from this span keeps it too. Low ids are
    asked first: those are what a ratio keeps, and a smaller ratio keeps the lowest.
    """
    ordered = sorted(flows, key=lambda flow: flow & _RANDOM_64)
    decisions: list[SamplingResult] = []
    for flow in ordered:
        decisions.append(ask(flow))
        if decisions[-1].decision is Decision.RECORD_AND_SAMPLE:
            return decisions[-1], flow
    return decisions[0], ordered[0]


def _flows(links: Iterable[Link]) -> list[int]:
    """Return the distinct flows that a new trace continues; none: it begins one.

    An attempt continues that of the attempt before, whatever the messages say. A message
    that was sent again by somebody who knew no flow continues that of its origin.
    """
    related: dict[object, list[SpanContext]] = {}
    for link in links:
        facts = link.attributes or {}
        if link.context.is_valid and facts.get(n.LINK_TRUSTED) is not False:
            related.setdefault(facts.get(n.RELATION), []).append(link.context)
    single, origins = related.get("producer", []), related.get("origin", [])
    if "retry" in related:
        found = related["retry"]
    elif single:
        found = origins if origins and not _carried(single[0]) else single
    else:
        found = [*related.get(None, []), *origins] or related.get("ambient", [])
    return list(dict.fromkeys(_carried(context) or context.trace_id for context in found))


def _carried(context: SpanContext) -> int:
    """Return the flow that a context carries; 0: none, or one that is malformed."""
    member = context.trace_state.get(_MEMBER, "")
    return int(member, 16) if _FLOW.fullmatch(member) else 0


def _kept_on(result: SamplingResult, parent: SpanContext) -> SamplingResult:
    """Return the decision for a child, with its parent's flow where the sampler lost that."""
    flow = _carried(parent)
    if not flow or _MEMBER in (result.trace_state or ()):
        return result
    return _carrying(result, flow)


def _carrying(result: SamplingResult, flow: int) -> SamplingResult:
    """Return a decision whose tracestate tells the flow; its other members stay.

    Samplers of consistent probability compare their threshold with the random bits of the
    trace id, unless they are told others: those that were decided with.
    See opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling.
    """
    members = dict(result.trace_state or {})
    members.pop(_MEMBER, None)
    probability = members.get("ot", "")
    if "th:" in probability and "rv:" not in probability:
        members["ot"] = f"{probability};rv:{flow & _RANDOM_56:014x}"
    pairs = [(_MEMBER, f"{flow:032x}"), *members.items()]
    return SamplingResult(result.decision, result.attributes, TraceState(pairs[:_MAX_MEMBERS]))
