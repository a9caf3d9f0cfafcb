"""Outgoing: which headers leave, and which messages a transport cannot take."""

from __future__ import annotations

import json

import pytest

from linkbus import Headers, Message
from linkbus._outgoing import Outgoing
from linkbus.abc import Capabilities, carried


def strip(headers: Headers) -> Headers:
    """Remove what a propagator would."""
    return Headers([pair for pair in headers.items() if pair[0] != "traceparent"])


def outgoing(**capabilities: object) -> Outgoing:
    return Outgoing("orders", Capabilities(**capabilities), strip)


def refused(message: Message, **capabilities: object) -> str | None:
    """Return why a message is refused."""
    error = outgoing(**capabilities).refused(message, message.headers)
    return None if error is None else str(error)


def test_headers_without_anything_old_leave_as_they_are():
    """Nothing is copied that need not be."""
    it = outgoing()
    none, some = Headers(), Headers({"a": "1"})
    assert it.headers(none) is none
    assert it.headers(some) == some


def test_old_context_and_old_ids_do_not_leave():
    """Neither the propagator's names nor the header of linkbus."""
    old = Headers({"traceparent": "00-a", "linkbus": '{"id":"7"}', "a": "1"})
    assert outgoing().headers(old) == {"a": "1"}


@pytest.mark.parametrize(
    ("source", "stays"), [("orders", True), ("invoices", False)], ids=["back", "elsewhere"]
)
def test_lineage_stays_on_the_way_back_to_its_source(source: str, stays: bool):
    """A redriven message keeps its origin, and nothing else; any other send drops it."""
    origin = {"source": source, "id": "7"}
    old = Headers({"linkbus": json.dumps({"origin": origin, "id": "8"}), "a": "1"})
    left = outgoing().headers(old)
    assert carried(left) == ({"origin": origin} if stays else {})
    assert left["a"] == "1"


@pytest.mark.parametrize("value", ["{}", "[]", "nonsense", '{"origin": "orders"}'])
def test_malformed_lineage_is_dropped(value: str):
    """What was not written by linkbus steers nothing."""
    assert outgoing().headers(Headers({"linkbus": value})) == {}


def test_a_transport_without_limits_takes_everything():
    """But for repeated headers, if it cannot carry them."""
    big = Message(b"x" * 10**6, key="k", headers=[(str(n), "v") for n in range(1000)])
    assert refused(big) is None
    assert refused(Message(b""), max_headers=0, max_message_bytes=0) is None


def test_too_many_headers_are_refused():
    """The error has both numbers and the destination."""
    message = Message(b"", headers={"a": "1", "b": "2"})
    assert refused(message, max_headers=2) is None
    why = refused(message, max_headers=1)
    assert why == "a message cannot be sent to 'orders': it has 2 headers, of at most 1"


def test_a_repeated_header_is_refused_where_it_cannot_be_carried():
    """Names that differ in case are different names."""
    assert "repeats a header" in str(refused(Message(b"", headers=[("a", "1"), ("a", "2")])))
    assert refused(Message(b"", headers=[("a", "1"), ("A", "2")])) is None
    twice = Message(b"", headers=[("a", "1"), ("a", "2")])
    assert refused(twice, repeated_headers=True) is None


def test_body_key_and_headers_count_in_bytes():
    """Text counts as the bytes that it stands for."""
    message = Message(b"12", key="é", headers={"n": b"\xff", "ü": "v"})
    assert refused(message, max_message_bytes=9) is None
    assert "have 9 bytes, of at most 8" in str(refused(message, max_message_bytes=8))
    assert refused(Message(b"12"), max_message_bytes=2) is None
    assert refused(Message(b"12", headers={"n": "v"}), max_message_bytes=4) is None
    assert "have 4 bytes" in str(refused(Message(b"12", headers={"n": "v"}), max_message_bytes=3))


def test_an_envelope_has_all_that_leaves():
    """The message's own, with the id and the context of this send."""
    message = Message(b"x", key="k")
    envelope = outgoing(max_headers=1).envelope(message, "7", Headers({"a": "1"}), {"tp": "c"})
    assert (envelope.id, envelope.body, envelope.key) == ("7", b"x", "k")
    assert (envelope.headers, envelope.context) == ({"a": "1"}, {"tp": "c"})
    assert envelope.wire_headers == {"a": "1"}
