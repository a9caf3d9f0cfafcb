"""Envelopes as entries of a request, whatever their bodies, keys and headers are."""

from __future__ import annotations

import json

import pytest

from linkbus import MessageError
from linkbus._message import Headers
from linkbus.abc import Envelope
from linkbus.transports.sqs._packing import packed

LIMIT = 10_000
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def envelope(
    body: bytes = b"body",
    *,
    key: str | None = None,
    headers: dict[str, object] | None = None,
    context: dict[str, str] | None = None,
    sent_id: str = "7",
) -> Envelope:
    return Envelope(sent_id, body, key, Headers(headers or {}), context or {}, max_headers=9)


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def own(one: Envelope) -> dict[str, object]:
    """Return what the header `linkbus` carries."""
    return json.loads(packed(one, LIMIT).entry["MessageAttributes"]["linkbus"]["StringValue"])


def test_a_plain_message():
    """Its body is the body, its headers are attributes, and the id has its place."""
    parcel = packed(envelope(headers={"tenant": "a"}), LIMIT)
    assert parcel.entry == {
        "MessageBody": "body",
        "MessageAttributes": {"tenant": text("a"), "linkbus": text('{"id":"7"}')},
    }
    assert parcel.size == 4 + len("tenantStringa") + len('linkbusString{"id":"7"}')


def test_what_has_no_field_is_carried():
    """The id whatever it is, the key, and the coding of the body."""
    assert own(envelope(b"\xff", key="k\udcff", sent_id='"')) == {
        "id": '"',
        "key": "k\udcff",
        "coding": "base64",
    }
    assert own(envelope(b"", key="")) == {"id": "7", "key": "", "coding": "empty"}


def test_values_that_are_no_text_are_binary():
    """And their bytes are those that the text stands for."""
    attributes = packed(envelope(headers={"a": b"\xff\0", "b": "\x0bé"}), LIMIT).entry
    assert attributes["MessageAttributes"]["a"] == {"DataType": "Binary", "BinaryValue": b"\xff\0"}
    assert attributes["MessageAttributes"]["b"]["BinaryValue"] == "\x0bé".encode()


@pytest.mark.parametrize(
    ("name", "value"), [("e", ""), ("ü/ ", "v"), ("AWS.x", "v"), ("linkbus-body", "v")]
)
def test_headers_that_sqs_refuses_are_carried(name, value):
    """Empty ones, and names that it does not allow or that are taken."""
    assert own(envelope(headers={name: value}))["headers"] == {name: value}


def test_what_linkbus_carries_is_kept():
    """A lineage stays; what an earlier sending wrote there does not."""
    before = '{"origin":{"source":"q"},"id":"6","key":"k","coding":"base64","headers":{"x":"1"}}'
    assert own(envelope(headers={"linkbus": before})) == {"origin": {"source": "q"}, "id": "7"}


def test_context_goes_to_attributes():
    """As long as there are some left."""
    parcel = packed(envelope(context={"traceparent": TRACEPARENT, "baggage": "a=b"}), LIMIT)
    names = set(parcel.entry["MessageAttributes"])
    assert names == {"traceparent", "baggage", "linkbus"}
    assert "MessageSystemAttributes" not in parcel.entry


def test_context_without_a_place_goes_to_the_trace_header():
    """The application's nine headers come first; only the traceparent has another place."""
    headers = {f"h{number}": "v" for number in range(9)}
    one = envelope(headers=headers, context={"traceparent": TRACEPARENT, "baggage": "a=b"})
    entry = packed(one, LIMIT).entry
    assert set(entry["MessageAttributes"]) == {*headers, "linkbus"}
    (name, value) = next(iter(entry["MessageSystemAttributes"].items()))
    assert (name, value["StringValue"][:15]) == ("AWSTraceHeader", "Root=1-0af76519")


@pytest.mark.parametrize("context", [{"traceparent": "garbage"}, {"b3": "0"}])
def test_context_of_another_form_has_no_other_place(context):
    """It stays behind, and the message goes."""
    headers = {f"h{number}": "v" for number in range(9)}
    entry = packed(envelope(headers=headers, context=context), LIMIT).entry
    assert "MessageSystemAttributes" not in entry


def test_context_makes_no_message_too_large():
    """It gives way to the trace header."""
    context = {"traceparent": TRACEPARENT, "baggage": "a=" + "b" * 900}
    entry = packed(envelope(b"x" * 9_500, context=context), LIMIT).entry
    assert set(entry["MessageAttributes"]) == {"linkbus"}
    assert "MessageSystemAttributes" in entry


def test_a_large_binary_body_is_an_attribute():
    """Base64 would be a third larger; the context keeps its place."""
    context = {"traceparent": TRACEPARENT}
    parcel = packed(envelope(b"\xff" * 9_000, headers={"a": "b"}, context=context), LIMIT)
    assert parcel.entry["MessageBody"] == "-"
    assert parcel.entry["MessageAttributes"]["linkbus-body"]["BinaryValue"] == b"\xff" * 9_000
    assert "traceparent" in parcel.entry["MessageAttributes"]
    assert parcel.size < 9_300


def test_a_large_binary_body_takes_the_place_of_context():
    """With eight headers there is one attribute left, and the trace header."""
    headers = {f"h{number}": "v" for number in range(8)}
    context = {"traceparent": TRACEPARENT}
    entry = packed(envelope(b"\xff" * 9_000, headers=headers, context=context), LIMIT).entry
    assert len(entry["MessageAttributes"]) == 10
    assert "MessageSystemAttributes" in entry


@pytest.mark.parametrize(
    "one",
    [
        envelope(b"x" * 10_000),
        envelope(b"\xff" * 10_000),
        envelope(b"\xff" * 9_000, headers={f"h{number}": "v" for number in range(9)}),
    ],
)
def test_what_is_too_large_is_refused(one):
    """By the bytes that SQS would count, before anything is sent."""
    with pytest.raises(MessageError, match="of at most 10000"):
        packed(one, LIMIT)


def test_what_the_header_cannot_carry_is_refused():
    """A longer one would not be read."""
    with pytest.raises(MessageError, match="of at most 8192"):
        packed(envelope(key="k" * 9_000), 100_000)


def test_bytes_are_counted_not_characters():
    """In bodies, values and binary values."""
    assert packed(envelope("é".encode()), LIMIT).size == 2 + len('linkbusString{"id":"7"}')
    plain = packed(envelope(headers={"a": "e"}), LIMIT).size
    assert packed(envelope(headers={"a": "é"}), LIMIT).size == plain + 1
    assert packed(envelope(headers={"a": b"\xff"}), LIMIT).size == plain
