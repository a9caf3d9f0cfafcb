"""The ledger of a round: what it refuses."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from benchmarks.contender import Joins
from benchmarks.ledger import Ledger, Wrong
from benchmarks.telemetry import OUTSIDE, Seen

NOTHING = Seen([], {})


def handled(ledger: Ledger, spans: dict[int, int]) -> None:
    """Take messages by number, each in a span with an id."""
    bodies = list(ledger.bodies())
    for number, span_id in spans.items():
        context = SpanContext(1, span_id, is_remote=False, trace_flags=TraceFlags(1))
        with trace.use_span(NonRecordingSpan(context)):
            ledger.take(bodies[number])


def test_bodies_have_the_size_and_their_number():
    """A body of 100 bytes begins with its number."""
    bodies = list(Ledger(3, 100, Joins.NOTHING).bodies())
    assert [body[:8] for body in bodies] == [b"00000000", b"00000001", b"00000002"]
    assert {len(body) for body in bodies} == {100}


def test_a_message_that_was_not_handled():
    """One that is missing makes the round wrong, and the inbox is not full before."""
    ledger = Ledger(3, 100, Joins.NOTHING)
    handled(ledger, {0: 1, 2: 1})
    assert not ledger.is_full
    with pytest.raises(Wrong, match="1 of 3 messages were not handled"):
        ledger.check(NOTHING, NOTHING, in_batches=False)


async def test_an_inbox_that_is_full():
    """The last message fills it, for those who look and for those who wait."""
    ledger = Ledger(2, 100, Joins.NOTHING)
    ledger.take_batch(list(ledger.bodies()))
    await ledger.filled.wait()
    assert ledger.is_full
    ledger.check(NOTHING, NOTHING, in_batches=True)


def test_links_to_the_own_sending():
    """Each message was handled in a span with a link to the one that made it."""
    ledger = Ledger(2, 100, Joins.LINK)
    handled(ledger, {0: 21, 1: 22})
    ledger.check(
        Seen([11, 12], {}), Seen([], {21: (0, (11,), 0), 22: (0, (12,), 0)}), in_batches=False
    )


def test_a_message_that_is_taken_again():
    """A redelivery has a span and a link of its own, and is no mistake."""
    ledger = Ledger(1, 100, Joins.LINK)
    handled(ledger, {0: 21})
    handled(ledger, {0: 22})
    spans = {21: (0, (11,), 0), 22: (0, (11,), 0)}
    ledger.check(Seen([11], {}), Seen([], spans), in_batches=False)


def test_links_that_are_exchanged():
    """A link to the sending of another message is wrong."""
    ledger = Ledger(2, 100, Joins.LINK)
    handled(ledger, {0: 21, 1: 22})
    received = Seen([], {21: (0, (12,), 0), 22: (0, (11,), 0)})
    with pytest.raises(Wrong, match="2 messages are not linked to the span that made them"):
        ledger.check(Seen([11, 12], {}), received, in_batches=False)


def test_links_too_many():
    """A batch that links to more than its messages is wrong."""
    ledger = Ledger(2, 100, Joins.LINK)
    handled(ledger, {0: 21, 1: 21})
    received = Seen([], {21: (0, (11, 12, 13), 0)})
    with pytest.raises(Wrong, match="3 links stand for 2 handled messages"):
        ledger.check(Seen([11, 12], {}), received, in_batches=True)


def test_links_on_child_spans():
    """What a batch's span cannot hold counts where a child of it has it."""
    ledger = Ledger(2, 100, Joins.LINK)
    handled(ledger, {0: 21, 1: 21})
    received = Seen([], {21: (0, (11,), 0), 31: (21, (12,), 0)})
    ledger.check(Seen([11, 12], {}), received, in_batches=True)


def test_sendings_too_few():
    """One producer span for two messages is wrong where links are claimed."""
    ledger = Ledger(2, 100, Joins.LINK)
    handled(ledger, {0: 21, 1: 22})
    with pytest.raises(Wrong, match="1 producer spans made 2 messages"):
        ledger.check(Seen([11], {}), NOTHING, in_batches=False)


@pytest.mark.parametrize(
    ("links", "wrong"), [((11,), 0), ((), 2), ((11, 99), 2)], ids=["right", "none", "a stranger"]
)
def test_links_that_messages_share(links: tuple[int, ...], wrong: int):
    """Where one span made a batch, its handling is linked to that, and to nothing else."""
    ledger = Ledger(2, 100, Joins.SHARED)
    handled(ledger, {0: 21, 1: 21})
    received = Seen([], {21: (0, links, 0)})
    with pytest.raises(Wrong, match="2 messages") if wrong else nullcontext():
        ledger.check(Seen([11], {}), received, in_batches=True)


def test_parents_from_the_sending():
    """A span counts that is below the sending, however far."""
    ledger = Ledger(1, 100, Joins.PARENT)
    handled(ledger, {0: 23})
    spans = {23: (22, (), 0), 22: (11, (), 0)}
    ledger.check(Seen([11], {11: (0, (), 0)}), Seen([], spans), in_batches=False)


def test_parents_from_elsewhere():
    """A root of its own is wrong where a parent is claimed."""
    ledger = Ledger(1, 100, Joins.PARENT)
    handled(ledger, {0: 23})
    with pytest.raises(Wrong, match="1 messages are not below a span"):
        ledger.check(Seen([11], {11: (0, (), 0)}), Seen([], {23: (0, (), 0)}), in_batches=False)


def test_a_context_that_is_passed():
    """Without an SDK, the context of the sending is current in the handler, or it is wrong."""
    ledger = Ledger(2, 100, Joins.CONTEXT)
    handled(ledger, {0: OUTSIDE.span_id, 1: OUTSIDE.span_id})
    ledger.check(NOTHING, NOTHING, in_batches=False)
    handled(ledger, {1: 5})
    with pytest.raises(Wrong, match="1 messages were handled without the context"):
        ledger.check(NOTHING, NOTHING, in_batches=False)
