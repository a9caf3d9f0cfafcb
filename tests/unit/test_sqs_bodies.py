"""Bodies as text, and back."""

from __future__ import annotations

from base64 import b64encode

import pytest

from linkbus.transports.sqs._bodies import ATTRIBUTE, BASE64, BODY, EMPTY, to_body, to_text


@pytest.mark.parametrize(
    "body", [b"{}", "é\n🧾".encode(), b64encode(b"\0"), b"-", b"\xef\xbb\xbfa"]
)
def test_text_goes_as_it_is(body):
    """Others can read it, and what looks encoded is not."""
    text, coding = to_text(body)
    assert (text, coding) == (body.decode(), None)
    assert to_body(text, coding, {}) == body


@pytest.mark.parametrize("body", [b"\xff", b"\0", "\ufffe".encode(), b"a\x0b", bytes(range(256))])
def test_the_rest_is_base64(body):
    """No UTF-8, or characters that SQS refuses."""
    text, coding = to_text(body)
    assert (text, coding) == (b64encode(body).decode(), BASE64)
    assert to_body(text, coding, {}) == body


def test_an_empty_body_has_a_placeholder():
    """SQS wants at least one character."""
    assert to_text(b"") == ("-", EMPTY)
    assert to_body("-", EMPTY, {}) == b""


def test_a_body_in_an_attribute():
    """The text is only a placeholder then."""
    attributes = {BODY: {"DataType": "Binary", "BinaryValue": b"\xff"}}
    assert to_body("-", ATTRIBUTE, attributes) == b"\xff"


@pytest.mark.parametrize(
    ("text", "coding"),
    [("a body", BASE64), ("ü", BASE64), ("a body", EMPTY), ("-", ATTRIBUTE), ("-", ["base64"])],
)
def test_what_is_not_as_its_coding_says_is_left_alone(text, coding):
    """Whoever wrote that, the body is what is there."""
    assert to_body(text, coding, {}) == text.encode()
