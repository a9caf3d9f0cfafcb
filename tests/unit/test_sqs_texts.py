"""What SQS takes as text, as names and as groups."""

from __future__ import annotations

import pytest

from linkbus.transports.sqs._texts import group_of, is_name, is_text


@pytest.mark.parametrize("text", ["a", "\t\n\r", "é\u2028\ud7ff\ue000\ufffd", "\U0001f9fe", "\x7f"])
def test_text(text):
    """XML may have it, so SQS takes it."""
    assert is_text(text)


@pytest.mark.parametrize("text", ["", "\0", "a\x0b", "\x1f", "\ufffe", "\uffff", "\udcff"])
def test_no_text(text):
    """Nothing at all, control characters, what is no character, and bytes in disguise."""
    assert not is_text(text)


@pytest.mark.parametrize("name", ["a", "A-b_c.d.e", "traceparent", "awsome", "aws", "x" * 256])
def test_names(name):
    """Letters, digits, hyphens, underscores, and dots between them."""
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *["", ".a", "a.", "a..b", "a b", "a/b", "a\n", "x" * 257],
        *["AWS.a", "aws.a", "Amazon.a", "aMaZoN.a"],
        *["ü", "\u017f", "\u212a"],
    ],
)
def test_no_names(name):
    """Other characters, dots at the wrong places, what Amazon keeps for itself, too long."""
    assert not is_name(name)


def test_a_key_is_its_group():
    """What SQS takes as a group is the group, so that others can read it."""
    assert group_of("order-42") == "order-42"
    assert group_of("!" + "~" * 127) == "!" + "~" * 127


@pytest.mark.parametrize("key", ["", "a b", "é", "\udcff", "x" * 129])
def test_other_keys_are_hashed(key):
    """Each has a group, always the same, that SQS takes."""
    assert group_of(key) == group_of(key)
    assert len(group_of(key)) == 64
    assert group_of(key) not in {group_of("other"), group_of(key + "-")}
