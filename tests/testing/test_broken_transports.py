"""The kit finds every deliberate defect by the check that is named for it."""

from collections.abc import Iterable

import broken_receivers as receivers
import broken_transports as broken
import pytest
from tiny_transport import TinyHarness, TinyReceiver, TinyTransport

from linkbus.abc import Transport
from linkbus.testing import CHECKS, run_check
from linkbus.transports.memory import MemoryBroker

BY_TITLE = {check.title: check for check in CHECKS}

TRANSPORTS = {
    broken.DropsAHeader: (
        "the trace context arrives byte for byte, beside the application's headers"
    ),
    broken.CollapsesRepeatedHeaders: "a header given three times arrives three times, in order",
    broken.LowersHeaderNames: "header names that differ only in case stay two headers",
    broken.ManglesBinaryHeaders: "a header value that is no UTF-8 arrives byte for byte",
    broken.ManglesBinaryBodies: "a body of all 256 byte values arrives unchanged",
    broken.ConfusesNoKeyWithEmpty: "a message without a key arrives without one",
    broken.MakesIdsOfItsOwn: "each of many messages arrives with the id that it was sent with",
    broken.SharesOneContext: "each message of a batch arrives with its own trace context",
    broken.SwallowsAFailure: "a body of 100,000 bytes arrives unchanged",
    broken.LosesBeforeASubscription: (
        "a message sent before the first subscription is kept or FAILED, never lost"
    ),
    broken.ResultsOutOfOrder: "the results of a batch name the envelopes at the same places",
    broken.ResultsTooFew: "a hundred messages sent in batches arrive, each with its own headers",
    broken.DoubleDelivers: "five hundred messages arrive, each once",
    broken.RaisesTheClientsError: (
        "a destination that does not exist is refused with DestinationNotFound, or made"
    ),
    broken.EmitsASpan: (
        "a transport used without a bus emits no span, in a span of the application neither"
    ),
    broken.SwallowsCancellation: (
        "after a send that was cancelled at any await, the next one works; nothing is doubled"
    ),
    broken.DoublesOnCancel: (
        "a batch whose send was cancelled arrives at most once, and the next batch whole"
    ),
    broken.SharesItsGroups: "two groups are each given every message",
    broken.CriesWolf: (
        "a receiver that is alone and in time is told of no loss, not when it closes either"
    ),
    broken.BeginsLate: "what is sent right after subscribe has returned reaches the group",
}
RECEIVERS = {
    receivers.LosesReleased: "a released message is given again",
    receivers.LosesUnsettledOnClose: (
        "what a closed receiver had not settled is given to the next one"
    ),
    receivers.ForgetsAcknowledgements: (
        "what was acknowledged just before closing is not given again"
    ),
    receivers.AcknowledgesAsALog: (
        "acknowledging later messages and closing loses none of the earlier ones"
    ),
    receivers.ReordersAKey: (
        "messages of several keys, mixed in batches, come in order within each key"
    ),
    receivers.ReleasesToTheEnd: (
        "a released message is given again before the later ones of its key"
    ),
    receivers.LosesOnCancel: (
        "a receive that is cancelled at any await loses no message and doubles none"
    ),
    receivers.SettlesStaleAsOk: "settling a message a second time is STALE and changes nothing",
    receivers.SettlesOutOfOrder: (
        "one settle call takes different outcomes, and its results are in order"
    ),
    receivers.IgnoresDelays: "a message released with a delay comes again after it, and not before",
    receivers.DelaysEverything: (
        "while a message waits for its delay, another one without a key is given"
    ),
    receivers.CountsNoDeliveries: (
        "each time that a message is given again, its attempt goes up by one from 1"
    ),
    receivers.ReturnsMoreThanAsked: "a receive never returns more messages than it was asked for",
    receivers.WaitsForMore: (
        "a receive that asks for many returns as soon as there is one message"
    ),
    receivers.WaitsTooLong: "a receive without messages returns, empty, when its wait is over",
    receivers.WakesNobody: "closing a receiver makes its waiting receive return, empty",
    receivers.ClosesOnce: "closing a receiver twice, and at once, is closing it",
}

THROUGH_THE_CORE = [
    (
        broken.DropsTheContext,
        "a message is processed in a trace of its own, linked to the span that sent it",
    ),
    (
        broken.DropsTheContext,
        "a batch is processed in one span, linked to the span that sent each of its messages",
    ),
    (
        broken.DropsTheContext,
        "a message pulled in a span of the application is processed below it, and linked",
    ),
    (
        broken.SharesOneContext,
        "each message of a batch that was sent is linked to its own create span",
    ),
    (broken.RepairsTheContext, "a malformed traceparent is counted, and the message is delivered"),
    (
        broken.CollapsesRepeatedHeaders,
        "a traceparent that is there twice is counted, and the message is delivered",
    ),
    (
        broken.AddsAContext,
        "a message without trace context arrives without one: the transport adds none",
    ),
    (
        broken.AddsAContext,
        "a message that is sent on with all its headers leaves with one context, the new one",
    ),
    (
        broken.SharesItsGroups,
        "two groups process one message in two traces, both linked to the span that sent it",
    ),
    (
        receivers.ParsesTheContext,
        "a binary traceparent is counted, and the message is delivered",
    ),
    (receivers.LosesReleased, "a message whose block raises is released, and comes again"),
    (
        receivers.LosesReleased,
        "a message that is released from a batch comes again, and the others do not",
    ),
    (
        receivers.ReordersAKey,
        "a handler with a concurrency of eight is given the messages of each key in order",
    ),
]
LEASES = {
    broken.ExtendsInWords: "an extended lease keeps a message past the end of the first one",
    broken.LosesTooEarly: "while its lease lasts, a message is not given again, and can be settled",
    broken.LosesTooLate: (
        "when its lease ends, a message is given again, and the late settlement is STALE"
    ),
}


class MemoryHarness(TinyHarness):
    """Makes transports that reach one memory broker, with short leases."""

    def __init__(self, kind: type[broken.MemoryWithReceiver]) -> None:
        super().__init__()
        self.memory = MemoryBroker(lease=kind.lease)
        self.memory_kind = kind

    def transport(self) -> Transport:
        return self.memory_kind(self.memory)


def failure(harness: TinyHarness, title: str, time_limit: float = 8.0) -> str:
    """Return with which words a check fails, or nothing if it passes."""
    harness.patience = 0.8
    try:
        run_check(BY_TITLE[title], harness, time_limit=time_limit)
    except AssertionError as error:
        return str(error) or "without words"
    return ""


def cases(defects: Iterable[tuple[type, str]]) -> list[object]:
    """Return parameters that are named for the defect and the check that finds it."""
    return [pytest.param(*defect, id=f"{defect[0].__name__}: {defect[1]}") for defect in defects]


def with_receiver(kind: type[TinyReceiver]) -> type[TinyTransport]:
    """Return a transport that is right but for its receivers."""
    return type(kind.__name__, (TinyTransport,), {"receiver": kind})


@pytest.mark.parametrize(("kind", "title"), cases(TRANSPORTS.items()))
def test_a_defect_in_sending_is_found(kind, title):
    """The check named for a transport's defect fails in words."""
    assert failure(TinyHarness(kind), title) not in {"", "without words"}


@pytest.mark.parametrize(("kind", "title"), cases(RECEIVERS.items()))
def test_a_defect_in_receiving_is_found(kind, title):
    """The check named for a receiver's defect fails in words."""
    assert failure(TinyHarness(with_receiver(kind)), title) not in {"", "without words"}


@pytest.mark.parametrize(("kind", "title"), cases(THROUGH_THE_CORE))
def test_a_defect_is_found_through_the_core(kind, title):
    """The checks that use linkbus's public names find defects of a transport as well."""
    transport = kind if issubclass(kind, TinyTransport) else with_receiver(kind)
    assert failure(TinyHarness(transport), title, 2.0) not in {"", "without words"}


@pytest.mark.parametrize(("kind", "title"), cases(LEASES.items()))
def test_a_defect_in_leases_is_found(kind, title):
    """The check named for a defect in leases fails in words, and passes without it."""
    assert failure(MemoryHarness(broken.MemoryWithReceiver), title) == ""
    assert failure(MemoryHarness(kind), title) not in {"", "without words"}
