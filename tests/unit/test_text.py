"""Text that survives every broker."""

from __future__ import annotations

import pytest

from linkbus import MessageError
from linkbus._text import to_bytes, to_text


class Name(str):
    """A text of another class."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("übung €", "übung €"),
        (b"plain", "plain"),
        ("ü".encode(), "ü"),
        (b"\xff\x00", "\udcff\x00"),
        (bytearray(b"a"), "a"),
        (memoryview(b"a"), "a"),
        ("\udcff", "\udcff"),
        ("\udcc3\udcbc", "ü"),
        (None, ""),
        (7, "7"),
        (1.5, "1.5"),
        (True, "True"),
        (Name("a"), "a"),
    ],
)
def test_any_value_becomes_stable_text(value, text):
    """Its bytes are the same after any number of round trips."""
    assert to_text(value) == text
    assert type(to_text(value)) is str
    assert to_text(to_bytes(to_text(value))) == text


def test_all_bytes_survive():
    """Whatever they are, they come back."""
    every = bytes(range(256))
    assert to_bytes(to_text(every)) == every


def test_a_surrogate_that_stands_for_no_byte_is_refused():
    """No broker could carry it, and no reader would understand it."""
    for spoil in (to_text, to_bytes):
        with pytest.raises(MessageError, match="lone surrogate"):
            spoil("\ud800")
