"""Message: what an application sends, checked when it is made."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from linkbus import Headers, Message, MessageError
from linkbus._message import new_id


def test_a_message_has_what_it_was_made_of():
    """Headers become `Headers`, text becomes stable, and the rest is None."""
    message = Message(b"x", key=b"\xff", headers={"a": 1}, id="ü", context={"traceparent": "00"})
    assert (message.body, message.key, message.key_bytes) == (b"x", "\udcff", b"\xff")
    assert (message.headers, message.id) == (Headers({"a": "1"}), "ü")
    assert message.context == {"traceparent": "00"}
    bare = Message(b"")
    assert (bare.key, bare.key_bytes, bare.id, bare.context) == (None, None, None, None)
    assert bare.headers == {}


def test_given_headers_are_not_copied():
    """They cannot change."""
    headers = Headers({"a": "1"})
    assert Message(b"", headers=headers).headers is headers


def test_a_context_is_copied():
    """Later changes of the caller's mapping change nothing."""
    context = {"traceparent": "00"}
    message = Message(b"", context=context)
    context.clear()
    assert message.context == {"traceparent": "00"}


@pytest.mark.parametrize("body", [bytearray(b"ab"), memoryview(b"ab")])
def test_bytes_of_any_kind_become_bytes(body):
    """A buffer that may change is copied."""
    assert Message(body).body == b"ab"
    assert type(Message(body).body) is bytes


@pytest.mark.parametrize("body", ["text", None, 7, {"a": 1}])
def test_other_bodies_are_refused(body):
    """Encoding is the application's, and the error says so."""
    with pytest.raises(MessageError, match=f"not {type(body).__name__}: encode it first"):
        Message(body)


@pytest.mark.parametrize("mid", ["", 7, b"7"])
def test_other_ids_are_refused(mid):
    """An id is text that is not empty."""
    with pytest.raises(MessageError, match="message id"):
        Message(b"", id=mid)


def test_text_that_no_broker_can_carry_is_refused():
    """In the key, the id and the headers."""
    for options in ({"key": "\ud800"}, {"id": "\ud800"}, {"headers": {"a": "\ud800"}}):
        with pytest.raises(MessageError, match="lone surrogate"):
            Message(b"", **options)
    with pytest.raises(ValueError, match="lone surrogate"):
        Message(b"", key="\ud800")


def test_a_message_is_a_value():
    """Equal, hashable, frozen, replaceable; its context does not count for the hash."""
    one, two = Message(b"x", id="7", context={"a": "1"}), Message(b"x", id="7", context={"a": "1"})
    assert one == two
    assert hash(one) == hash(two)
    assert dataclasses.replace(one, id="8").id == "8"
    assert dataclasses.replace(one, id="8").context == {"a": "1"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.body = b"y"
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own bytes


def test_content_is_not_shown():
    """The printed form has the id and the size only."""
    assert repr(Message(b"secret", id="7", key="hidden")) == "<Message 7, 6 bytes>"
    assert repr(Message(b"")) == "<Message (no id yet), 0 bytes>"


def test_new_ids_are_unique():
    """32 hexadecimal digits each."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in ids)


def test_a_context_is_a_mapping_of_text():
    """Its names and values become stable text; anything else than a mapping is refused."""
    assert Message(b"", context={"a": b"1", "b": None}).context == {"a": "1", "b": ""}
    assert Message(b"", context={}).context == {}
    with pytest.raises(MessageError, match="must be a mapping or None, not str"):
        Message(b"", context="00-a")
