"""AMQP's types of header values as text."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from linkbus.transports.rabbitmq._field_values import text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Grüße", "Grüße"),
        (b"abc", "abc"),
        (b"\xff", "\udcff"),
        (bytearray(b"\xc3\xbc\x80"), "ü\udc80"),
        (None, ""),
        (True, "True"),
        (-7, "-7"),
        (0.25, "0.25"),
        (Decimal("1.50"), "1.50"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        ({}, "{}"),
        ([], "[]"),
        ({"b": None, "a": [True, {"d": b"\xff"}]}, '{"a":[true,{"d":"\udcff"}],"b":null}'),
        ([Decimal("0.1"), float("inf")], '["0.1",Infinity]'),
    ],
)
def test_text_of(value: object, text: str) -> None:
    """Every type has a text, the same each time."""
    assert text_of(value) == text
