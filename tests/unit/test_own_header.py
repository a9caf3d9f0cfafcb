"""The header `linkbus`: fields that a broker has no place for, and nothing else."""

from __future__ import annotations

import json

import pytest

from linkbus import Headers
from linkbus._own_header import MAX_BYTES, carried, carrying


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "7"},
        {"id": 'a "quoted" \\ ü \udcff \x00 text'},
        {"id": "7", "key": "k"},
        {"n": 7},
        {"origin": {"source": "orders"}},
    ],
    ids=str,
)
def test_what_is_carried_comes_back(fields):
    """Compact, ASCII, valid JSON, in one header."""
    headers = carrying(Headers({"a": "1"}), fields)
    assert carried(headers) == fields
    assert json.loads(headers["linkbus"]) == fields
    assert headers["linkbus"].isascii()
    assert ": " not in headers["linkbus"].replace('"quoted"', "")
    assert (headers["a"], len(headers)) == ("1", 2)


def test_fields_are_added_to_those_that_are_there():
    """The new ones win, and there is one header still."""
    headers = carrying(carrying(Headers(), {"id": "7", "key": "k"}), {"id": "8"})
    assert carried(headers) == {"id": "8", "key": "k"}
    assert len(headers) == 1


@pytest.mark.parametrize(
    "value",
    ["", "nonsense", "[]", "7", "null", '"text"', "{", "[" * 5000, '{"id": ' + "9" * 5000 + "}"],
    ids=lambda value: value[:10],
)
def test_what_is_malformed_is_nothing(value: str):
    """Data from outside cannot raise; carrying replaces it."""
    headers = Headers({"linkbus": value})
    assert carried(headers) == {}
    assert carried(carrying(headers, {"id": "7"})) == {"id": "7"}


def test_what_is_too_long_is_not_read():
    """Nothing that linkbus writes is so long."""
    long = json.dumps({"id": "x" * MAX_BYTES})
    assert carried(Headers({"linkbus": long})) == {}


def test_the_first_of_several_counts():
    """Also when the first is malformed."""
    twice = Headers([("linkbus", '{"id":"7"}'), ("linkbus", '{"id":"8"}')])
    assert carried(twice) == {"id": "7"}
    assert carried(Headers([("linkbus", "x"), ("linkbus", '{"id":"8"}')])) == {}
    assert carried(Headers()) == {}
