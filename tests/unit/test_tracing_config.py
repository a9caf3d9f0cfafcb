"""What a user sets is checked where it is set."""

import pytest

from linkbus import Bus, Tracing, UsageError
from linkbus.transports.memory import MemoryTransport


def test_the_defaults():
    """By default spans are linked, contexts are trusted, and no extra span is made."""
    tracing = Tracing()
    assert (tracing.relation, tracing.inbound, tracing.max_links) == ("link", "trust", 100)
    assert tracing.spans == frozenset()


def test_the_spans_may_be_any_collection():
    """The names of extra spans are kept as a frozen set, whatever they come in."""
    assert Tracing(spans=["settle", "receive"]).spans == frozenset({"settle", "receive"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"relation": "child"}, "relation='child' is none of 'link', 'parent', 'both', 'auto'"),
        ({"inbound": "no"}, "inbound='no' is none of 'trust', 'untrusted', 'ignore'"),
        ({"max_links": 0}, "at least 1"),
        ({"spans": {"process"}}, "spans='process' is none of 'receive', 'settle'"),
        ({"spans": "settle"}, "is none of 'receive', 'settle'"),
    ],
)
def test_a_wrong_value(options, words):
    """A value that is none is refused, in words that name those there are."""
    with pytest.raises(UsageError, match=words):
        Tracing(**options)


def test_a_wrong_relation_of_a_consumer():
    """A consumer's relation is checked when it is made."""
    with pytest.raises(UsageError, match="relation"):
        Bus(MemoryTransport()).consumer("orders", relation="child")
