"""LinkedSampler: which flow a new trace continues, and what its tracestate then says."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace._sampling_experimental import (  # the SDK's only ones of this kind
    composable_parent_threshold,
    composable_traceid_ratio_based,
    composite_sampler,
)
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    AlwaysRecordSampler,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags, TraceState

from linkbus import UsageError
from linkbus.sampling import LinkedSampler

LOW, HIGH, OWN = 0x17, 0xFFFF_FFFF_FFFF_FF71, 0xFFFF_FFFF_FFFF_FF99
"""The ids of a flow that a ratio of 0.1 keeps, of one that it drops, and of the new trace."""
TENTH = TraceIdRatioBased(0.1)


class Recorded(Sampler):
    """Keeps the ids that it was told, and notes how it was asked."""

    def __init__(self, *kept: int, members: list[tuple[str, str]] | None = None) -> None:
        self.kept = kept
        self.members = members
        self.asked: list[tuple[object, ...]] = []

    def should_sample(self, *given: object) -> SamplingResult:
        self.asked.append(given)
        decision = Decision.RECORD_AND_SAMPLE if given[1] in self.kept else Decision.DROP
        state = None if self.members is None else TraceState(self.members)
        return SamplingResult(decision, {"by": "root"}, state)

    def get_description(self) -> str:
        return "Recorded"

    @property
    def ids(self) -> list[object]:
        return [given[1] for given in self.asked]


def context(trace_id: int, *members: tuple[str, str]) -> SpanContext:
    """Return the context of a span elsewhere."""
    return SpanContext(trace_id, 1, is_remote=True, trace_state=TraceState(list(members)))


def carrying(trace_id: int, flow: int) -> SpanContext:
    """Return a context that carries a flow."""
    return context(trace_id, ("linkbus", f"{flow:032x}"))


def link(to: SpanContext, relation: str | None = None, *, trusted: bool = True) -> Link:
    """Return a link as linkbus makes it."""
    facts: dict[str, str | bool] = {}
    if relation is not None:
        facts["linkbus.link.relation"] = relation
    if not trusted:
        facts["linkbus.link.trusted"] = False
    return Link(to, facts)


def decided(sampler: Sampler, *links: Link, parent: SpanContext | None = None) -> SamplingResult:
    """Ask for a span with these links."""
    where = Context()
    if parent is not None:
        where = trace.set_span_in_context(NonRecordingSpan(parent), where)
    return sampler.should_sample(where, OWN, "process orders", None, {"a": 1}, links)


def flow_in(result: SamplingResult) -> int | None:
    """Return the flow that a decision carries on."""
    member = (result.trace_state or {}).get("linkbus")
    return None if member is None else int(member, 16)


def flow_of(*links: Link) -> int | None:
    """Return the flow that a trace with these links continues, by the first."""
    return flow_in(decided(LinkedSampler(ALWAYS_ON, batches="first"), *links))


@pytest.mark.parametrize("flow", [LOW, HIGH])
@pytest.mark.parametrize("batches", ["any", "first", "ratio"])
def test_one_link(flow, batches):
    """The root decides with the id of the linked trace, which the new trace then carries."""
    result = decided(LinkedSampler(TENTH, batches=batches), link(context(flow), "producer"))
    assert result.decision.is_sampled() is (flow == LOW)
    assert result.trace_state.to_header() == f"linkbus={flow:032x}"


def test_a_flow_that_is_carried():
    """The id that the linked context carries is the flow's, and its trace id is not."""
    root = Recorded(LOW)
    result = decided(LinkedSampler(root), link(carrying(HIGH, LOW)))
    assert root.ids == [LOW]
    assert result.decision.is_sampled()
    assert flow_in(result) == LOW


@pytest.mark.parametrize(
    "member",
    ["17", f"{LOW:031x}", f"{LOW:033x}", "0" * 32, f"{HIGH:032X}", f"0x{LOW:030x}", " " + "1" * 31],
)
def test_a_flow_that_is_malformed(member):
    """What is no id of 32 small hexadecimal digits is ignored."""
    assert flow_of(link(context(HIGH, ("linkbus", member)))) == HIGH


def test_without_links():
    """A trace without links begins a flow: its own id is the flow's, and nothing is carried."""
    root = Recorded(OWN)
    result = decided(LinkedSampler(root))
    assert root.ids == [OWN]
    assert result.decision.is_sampled()
    assert result.trace_state is None
    assert LinkedSampler(root).should_sample(Context(), OWN, "job", links=None).trace_state is None


def test_the_root_is_asked_as_the_sdk_asks_it():
    """It is given all that the sampler was given, but for the id; a tracestate where there is."""
    root, links, state = Recorded(), [link(context(LOW))], TraceState([("a", "1")])
    sampler = LinkedSampler(root)
    six = (Context(), OWN, "process orders", trace.SpanKind.CONSUMER, {"a": 1}, links)
    sampler.should_sample(*six)
    sampler.should_sample(*six, trace_state=state)
    asked = (six[0], LOW, *six[2:])
    assert root.asked == [asked, (*asked, state)]


def test_what_the_root_returns_is_kept(caplog):
    """Attributes and the other members of the tracestate; only a flow in it is replaced."""
    root = Recorded(members=[("v", "1"), ("linkbus", "old"), ("w", "2")])
    result = decided(LinkedSampler(root), link(context(LOW)))
    assert dict(result.attributes) == {"by": "root"}
    assert result.trace_state.to_header() == f"linkbus={LOW:032x},v=1,w=2"
    assert caplog.text == "", "the tracestate never has two members of one name"


def test_a_tracestate_that_is_full():
    """Of 32 members the last one gives way, as W3C has it."""
    root = Recorded(members=[(f"v{number}", "1") for number in range(32)])
    state = decided(LinkedSampler(root), link(context(LOW))).trace_state
    assert list(state) == ["linkbus", *(f"v{number}" for number in range(31))]


@pytest.mark.parametrize("sampled", [True, False])
def test_with_a_parent(sampled):
    """The root alone decides for a span with a parent, whatever its links."""
    parent = SpanContext(LOW, 1, is_remote=False, trace_flags=TraceFlags(sampled))
    sampler = LinkedSampler(ParentBased(ALWAYS_ON))
    result = decided(sampler, link(context(HIGH)), parent=parent)
    assert result.decision.is_sampled() is sampled
    assert flow_in(result) is None
    root = Recorded()
    decided(LinkedSampler(root), link(context(HIGH)), parent=parent)
    assert root.ids == [OWN]


def test_a_child_carries_its_parents_flow():
    """Also where the root forgets its tracestate; what the root says itself stays."""
    child = decided(LinkedSampler(Recorded()), parent=carrying(HIGH, LOW))
    assert flow_in(child) == LOW
    other = Recorded(members=[("linkbus", f"{HIGH:032x}")])
    assert flow_in(decided(LinkedSampler(other), parent=carrying(HIGH, LOW))) == HIGH
    assert decided(LinkedSampler(Recorded()), parent=context(LOW)).trace_state is None


def test_a_parent_that_is_invalid_is_none():
    """A trace that only has an invalid span around it is a new one."""
    result = decided(LinkedSampler(TENTH), link(context(LOW)), parent=trace.INVALID_SPAN_CONTEXT)
    assert flow_in(result) == LOW


@pytest.mark.parametrize(
    ("links", "flow"),
    [
        ([link(context(HIGH), trusted=False)], None),
        ([link(carrying(HIGH, HIGH), "origin", trusted=False)], None),
        ([link(context(HIGH), trusted=False), link(context(LOW))], LOW),
        ([link(trace.INVALID_SPAN_CONTEXT), link(context(LOW))], LOW),
        ([Link(context(LOW))], LOW),
        ([link(context(LOW), "producer"), link(context(HIGH), "retry")], HIGH),
        ([link(context(LOW), trusted=False), link(carrying(HIGH, OWN), "retry")], OWN),
        ([link(context(HIGH), "retry")], HIGH),
        ([link(context(HIGH), "producer"), link(context(LOW), "origin")], LOW),
        ([link(carrying(HIGH, OWN), "producer"), link(context(LOW), "origin")], OWN),
        ([link(context(LOW), "origin")], LOW),
        ([link(context(LOW)), link(context(HIGH), "origin")], LOW),
        ([link(context(LOW)), link(context(HIGH), "ambient")], LOW),
        ([link(context(HIGH), "ambient")], HIGH),
        ([link(context(HIGH), "reply")], None),
    ],
)
def test_which_links_count(links, flow):
    """The attempt before, else creation contexts and origins, else what is around; no others."""
    assert flow_of(*links) == flow


def test_a_batch_of_which_any_is_kept():
    """It is kept with each flow that is, and carries on one that is: the lowest."""
    root = Recorded(0x30, 0x20)
    links = [link(context(flow)) for flow in (0x30, 0x10, 0x20, 0x40)]
    result = decided(LinkedSampler(root), *links)
    assert result.decision.is_sampled()
    assert flow_in(result) == 0x20
    assert root.ids == [0x10, 0x20]


def test_a_batch_of_which_none_is_kept():
    """Each distinct flow is asked for once, and the lowest is carried on."""
    root = Recorded()
    links = [link(context(flow)) for flow in (0x30, 0x10, 0x30, 0x20)]
    result = decided(LinkedSampler(root), *links)
    assert not result.decision.is_sampled()
    assert flow_in(result) == 0x10
    assert root.ids == [0x10, 0x20, 0x30]


def test_low_is_what_a_ratio_calls_low():
    """Only the last 64 bits count, for the SDK's ratio has no look at the others."""
    high, low = 0x1_0000_0000_0000_00FF, 0xF_0000_0000_0000_0001
    result = decided(LinkedSampler(Recorded(high, low)), link(context(high)), link(context(low)))
    assert flow_in(result) == low


def test_a_batch_of_which_the_first_counts():
    """The others are not asked for."""
    root = Recorded(LOW)
    links = [link(context(flow)) for flow in (HIGH, LOW)]
    result = decided(LinkedSampler(root, batches="first"), *links)
    assert (result.decision, flow_in(result), root.ids) == (Decision.DROP, HIGH, [HIGH])


def test_a_batch_that_is_decided_by_itself():
    """Of several flows none is continued: the new trace begins one; a single flow is."""
    root = Recorded(OWN)
    sampler = LinkedSampler(root, batches="ratio")
    result = decided(sampler, link(context(HIGH)), link(context(LOW)))
    assert (result.decision.is_sampled(), flow_in(result), root.ids) == (True, OWN, [OWN])
    same = decided(sampler, link(context(LOW)), link(carrying(HIGH, LOW)))
    assert (same.decision, flow_in(same)) == (Decision.DROP, LOW)


def test_what_is_recorded_and_not_sampled():
    """It is not kept: another flow of the batch may be."""
    sampler = LinkedSampler(AlwaysRecordSampler(TENTH))
    result = decided(sampler, link(context(HIGH)), link(context(LOW)))
    assert (result.decision, flow_in(result)) == (Decision.RECORD_AND_SAMPLE, LOW)
    assert decided(sampler, link(context(HIGH))).decision is Decision.RECORD_ONLY


@pytest.mark.parametrize("links", [[42], [Link(context(LOW), 42)], 42], ids=repr)
def test_links_that_are_none(links, caplog):
    """What cannot be understood is logged, and the root decides as if there were no links."""
    sampler = LinkedSampler(Recorded(OWN))
    result = sampler.should_sample(Context(), OWN, "job", None, None, links)
    assert result.decision.is_sampled()
    assert result.trace_state is None
    assert "the root sampler decides without them" in caplog.text


def test_a_root_that_fails_for_a_flow():
    """A root that raises for a flow is asked for the new trace."""

    class Picky(Recorded):
        def should_sample(self, *given: object) -> SamplingResult:
            if given[1] != OWN:
                raise LookupError
            return super().should_sample(*given)

    assert decided(LinkedSampler(Picky(OWN)), link(context(LOW))).decision.is_sampled()


def test_a_sampler_of_consistent_probability():
    """What decides elsewhere by random bits is told those of the flow, next to the threshold."""
    sampler = LinkedSampler(composite_sampler(composable_traceid_ratio_based(0.25)))
    result = decided(sampler, link(context(HIGH)))
    assert result.decision.is_sampled()
    assert result.trace_state["ot"] == f"th:c;rv:{HIGH & (2**56 - 1):014x}"
    told = Recorded(members=[("ot", "th:c;rv:0123456789abcd")])
    assert decided(LinkedSampler(told), link(context(LOW))).trace_state["ot"].endswith("abcd")
    silent = Recorded(members=[("ot", "x:1")])
    assert decided(LinkedSampler(silent), link(context(LOW))).trace_state["ot"] == "x:1"


def test_children_under_a_sampler_of_consistent_probability():
    """It drops the tracestate of children, which carry the flow all the same."""
    whole = composite_sampler(composable_parent_threshold(composable_traceid_ratio_based(0.25)))
    parent = SpanContext(LOW, 1, False, TraceFlags(1), TraceState([("linkbus", f"{HIGH:032x}")]))
    child = decided(LinkedSampler(whole), parent=parent)
    assert child.decision.is_sampled()
    assert flow_in(child) == HIGH


def test_its_description():
    """It names the root and what is done with batches, in the form of the SDK's."""
    composed = ParentBased(LinkedSampler(TENTH, batches="first"))
    assert "root:LinkedSampler{root:TraceIdRatioBased{0.1},batches:first}" in (
        composed.get_description()
    )
    assert LinkedSampler(ALWAYS_OFF).get_description() == (
        "LinkedSampler{root:AlwaysOffSampler,batches:any}"
    )


def test_wrong_arguments():
    """They are refused when the sampler is made."""
    with pytest.raises(UsageError, match=r"LinkedSampler\(0\.1\): give a sampler, such as"):
        LinkedSampler(0.1)
    with pytest.raises(UsageError, match="batches='all' is none of 'any', 'first', 'ratio'"):
        LinkedSampler(TENTH, batches="all")


def test_without_the_sdk(monkeypatch):
    """Importing the module says what to install."""
    monkeypatch.delitem(sys.modules, "linkbus.sampling")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.sampling", None)
    with pytest.raises(ImportError) as raised:
        import_module("linkbus.sampling")
    assert str(raised.value) == (
        'linkbus.sampling needs the OpenTelemetry SDK: pip install "linkbus[sdk]"'
    )
    assert raised.value.name == "opentelemetry.sdk.trace.sampling"
