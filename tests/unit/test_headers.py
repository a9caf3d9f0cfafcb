"""Headers: an immutable multi-mapping whose text is stable."""

from __future__ import annotations

import copy
import pickle

import pytest

from linkbus import Headers, MessageError

REPEATED = Headers([("a", "1"), ("b", "2"), ("a", "3")])


def test_a_name_gives_its_first_value():
    """`get_all` has the others, in order; another name has none."""
    assert REPEATED["a"] == "1"
    assert REPEATED.get("z", "none") == "none"
    assert REPEATED.get_all("a") == ["1", "3"]
    assert REPEATED.get_all("z") == []
    with pytest.raises(KeyError):
        REPEATED["z"]
    assert "a" in REPEATED
    assert "A" not in REPEATED


def test_every_pair_counts():
    """`len`, iteration, items, keys and values have repeated names too."""
    assert len(REPEATED) == 3
    assert list(REPEATED) == list(REPEATED.keys()) == ["a", "b", "a"]
    assert list(REPEATED.items()) == [("a", "1"), ("b", "2"), ("a", "3")]
    assert list(REPEATED.values()) == ["1", "2", "3"]
    assert len(REPEATED.items()) == len(REPEATED.values()) == 3
    assert ("a", "3") in REPEATED.items()
    assert ("a", "9") not in REPEATED.items()
    assert "3" in REPEATED.values()
    assert "9" not in REPEATED.values()
    assert not Headers()


def test_values_become_text():
    """Bytes, None and other types; the bytes can be read back."""
    headers = Headers({"a": b"\xff", "b": None, "c": 7})
    assert (headers["a"], headers["b"], headers["c"]) == ("\udcff", "", "7")
    assert headers.get_bytes("a") == b"\xff"
    with pytest.raises(KeyError):
        headers.get_bytes("z")


def test_headers_are_made_of_anything_with_pairs():
    """A mapping, pairs, other headers, or nothing."""
    assert list(Headers(pair for pair in [("a", "1")])) == ["a"]
    assert Headers(REPEATED) == REPEATED
    assert Headers({}) == Headers(()) == Headers()


@pytest.mark.parametrize("name", ["a" * 128, "ü" * 64, "x y", "\t"])
def test_names_up_to_128_bytes_may_be_sent(name: str):
    """Any text, counted as UTF-8."""
    assert list(Headers({name: ""})) == [name]


@pytest.mark.parametrize("name", ["", "a" * 129, "ü" * 65, b"a", 7, None])
def test_other_names_are_refused(name):
    """Empty, too long, or no text."""
    with pytest.raises(MessageError, match="header name"):
        Headers([(name, "")])


def test_what_arrives_is_never_refused():
    """Names may be bytes, long or empty: a receiver takes what there is."""
    headers = Headers.received([(b"\xff", b"x"), ("a" * 500, 7), ("", None)])
    assert list(headers.items()) == [("\udcff", "x"), ("a" * 500, "7"), ("", "")]


def test_equality_is_per_name():
    """The same values in the same order for each name; the order of names does not count."""
    assert Headers([("b", "2"), ("a", "1"), ("a", "3")]) == REPEATED
    assert hash(Headers([("b", "2"), ("a", "1"), ("a", "3")])) == hash(REPEATED)
    assert Headers([("a", "3"), ("a", "1"), ("b", "2")]) != REPEATED
    assert Headers({"a": "1"}) == {"a": "1"}
    assert Headers({"a": "1"}) != {"a": "2"}
    assert REPEATED != {"a": "1", "b": "2"}
    assert Headers() != 7


def test_values_are_not_shown():
    """The printed form has the names only."""
    assert repr(REPEATED) == "<Headers 'a', 'b', 'a'>"
    assert repr(Headers()) == "<Headers, empty>"


def test_headers_cannot_be_changed():
    """There is no way to set or delete."""
    with pytest.raises(TypeError):
        REPEATED["a"] = "9"
    with pytest.raises(AttributeError):
        REPEATED.new = 1


def test_headers_can_be_copied_and_pickled():
    """They are values."""
    assert copy.deepcopy(REPEATED) == REPEATED
    assert pickle.loads(pickle.dumps(REPEATED)) == REPEATED  # noqa: S301 - our own bytes
