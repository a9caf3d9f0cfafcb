"""The values that cross the seam, and the contract's own defaults."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

import linkbus.abc
from linkbus import CapabilityError, Headers
from linkbus.abc import (
    Arrival,
    Capabilities,
    Envelope,
    Outcome,
    Receiver,
    SendResult,
    SendStatus,
    Settlement,
    SettleResult,
    SettleStatus,
    Transport,
    carried,
)
from tests.unit.scripted import ScriptedReceiver, ScriptedTransport

CONTEXT = {"traceparent": "00", "tracestate": "a=1", "baggage": "b=2"}


def test_a_transport_can_do_nothing_unless_it_says_so():
    """The defaults are the weakest, and cannot be changed later."""
    can = Capabilities()
    facts = dataclasses.asdict(can)
    assert facts.pop("ordering") == "none"
    assert not any(facts.values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        can.groups = True


def test_results_are_made_by_transports():
    """A status is enough; the rest has defaults."""
    assert SendResult(SendStatus.SENT) == SendResult(SendStatus.SENT, None, None, False)
    assert SettleResult(SettleStatus.OK) == SettleResult(SettleStatus.OK, None)
    assert [str(one) for one in SendStatus] == ["sent", "failed", "unknown"]
    assert [str(one) for one in SettleStatus] == ["ok", "stale", "failed"]
    assert [str(one) for one in Outcome] == ["ack", "release", "reject"]


def test_an_envelope_merges_headers_and_context():
    """Context replaces names that differ in case only; it is merged once."""
    envelope = Envelope("7", b"x", "k", Headers({"a": "1", "TraceParent": "old"}), CONTEXT)
    assert list(envelope.wire_headers) == ["a", "traceparent", "tracestate", "baggage"]
    assert envelope.wire_headers["traceparent"] == "00"
    assert envelope.wire_headers is envelope.wire_headers
    assert (envelope.headers["TraceParent"], envelope.context) == ("old", CONTEXT)


def test_an_envelope_without_context_has_the_application_s_headers():
    """Nothing is merged, nothing is copied."""
    headers = Headers({"a": "1"})
    assert Envelope("7", b"x", None, headers).wire_headers is headers
    assert Envelope("7", b"x").wire_headers == {}


@pytest.mark.parametrize(
    ("max_headers", "left"),
    [
        (5, {"a", "b", "traceparent", "tracestate", "baggage"}),
        (4, {"a", "b", "traceparent", "tracestate"}),
        (3, {"a", "b", "traceparent"}),
        (2, {"a", "b"}),
        (0, {"a", "b"}),
    ],
)
def test_context_gives_way_where_headers_are_few(max_headers: int, left: set[str]):
    """Baggage first, then tracestate, then the rest; never the application's headers."""
    headers = Headers({"a": "1", "b": "2"})
    envelope = Envelope("7", b"x", None, headers, CONTEXT, max_headers=max_headers)
    assert set(envelope.wire_headers) == left
    assert envelope.context == CONTEXT


@pytest.mark.parametrize(
    ("max_headers", "left"), [(None, 3), (3, 3), (2, 2), (1, 1), (0, 0)], ids=str
)
def test_context_alone_gives_way_too(max_headers: int | None, left: int):
    """A message without headers of its own has the same limit."""
    envelope = Envelope("7", b"x", context=CONTEXT, max_headers=max_headers)
    assert list(envelope.wire_headers) == ["traceparent", "tracestate", "baggage"][:left]


def test_an_envelope_carries_what_a_broker_has_no_field_for():
    """In the header `linkbus`, beside the rest."""
    envelope = Envelope("7", b"x", "k", Headers({"a": "1"}), {"traceparent": "00"})
    headers = envelope.wire_headers_carrying(id="7", key="k")
    assert carried(headers) == {"id": "7", "key": "k"}
    assert (headers["a"], headers["traceparent"]) == ("1", "00")


def test_an_arrival_needs_an_id_and_a_body():
    """The rest has defaults; arrivals are compared by identity."""
    one, two = Arrival(id=None, body=b""), Arrival(id=None, body=b"")
    assert one != two
    assert len({one, two}) == 2
    assert (one.key, one.headers, one.attempt, one.sent_at) == (None, {}, 1, None)
    assert (one.receipt, one.lease, one.attributes, one.raw) == (None, None, {}, None)


def test_content_is_not_shown():
    """Printed forms have ids, sizes and outcomes only."""
    one = Arrival(id="7", body=b"secret", attempt=2)
    assert repr(one) == "<Arrival 7, 6 bytes, attempt 2>"
    assert repr(Envelope("7", b"secret")) == "<Envelope 7, 6 bytes>"
    settlement = Settlement(one, Outcome.RELEASE, 1.5)
    assert repr(settlement) == "<Settlement release of <Arrival 7, 6 bytes, attempt 2>>"
    assert (settlement.arrival, settlement.delay) == (one, 1.5)
    assert Settlement(one, Outcome.ACK).delay == 0.0


def test_an_author_implements_seven_methods():
    """Without one of them a transport cannot be made; extend is the optional eighth."""
    assert Transport.__abstractmethods__ == {"open", "send", "subscribe", "aclose"}
    assert Receiver.__abstractmethods__ == {"receive", "settle", "aclose"}
    with pytest.raises(TypeError, match="abstract"):
        Transport()


async def test_extend_is_refused_unless_it_is_overridden():
    """The default says what the capabilities lack."""
    receiver = ScriptedReceiver(ScriptedTransport(), 1, lambda *_: None)
    with pytest.raises(CapabilityError, match="extendable_lease"):
        await Receiver.extend(receiver, [], 1.0)


async def test_abstract_methods_do_nothing_by_themselves():
    """A subclass may call them: they hold prose, and no code."""
    transport = ScriptedTransport()
    receiver = ScriptedReceiver(transport, 1, lambda *_: None)
    calls = [
        Transport.open(transport),
        Transport.send(transport, "orders", []),
        Transport.subscribe(transport, "orders", "g", prefetch=1, lost=lambda *_: None),
        Transport.aclose(transport),
        Receiver.receive(receiver, 1, 0.0),
        Receiver.settle(receiver, []),
        Receiver.aclose(receiver),
    ]
    assert [await call for call in calls] == [None] * 7


def test_the_contract_is_prose():
    """Every name of it has a docstring, and each method says what it guarantees."""
    for name in linkbus.abc.__all__:
        thing = getattr(linkbus.abc, name)
        assert name == "Lost" or inspect.getdoc(thing)
    for cls in (Transport, Receiver):
        for name, method in vars(cls).items():
            if inspect.isfunction(method):
                assert len(inspect.getdoc(method) or "") > 80, name


def test_an_arrival_has_stable_text():
    """A key in bytes and headers as a mapping become what the application reads."""
    it = Arrival(id="7", body=b"x", key=b"\xffk", headers={"a": b"\xff"})  # type: ignore[arg-type]
    assert (it.key, it.headers) == ("\udcffk", Headers({"a": b"\xff"}))


def test_the_header_of_linkbus_has_a_place_of_its_own():
    """It does not count against the most headers, nor take the place of the context."""
    headers = Headers([("a", "1"), ("linkbus", "{}")])
    it = Envelope("7", b"x", None, headers, {"traceparent": "t", "baggage": "b"}, max_headers=2)
    assert list(it.wire_headers) == ["a", "linkbus", "traceparent"]
