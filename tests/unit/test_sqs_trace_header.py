"""The system attribute `AWSTraceHeader`, written from a traceparent and read as one."""

from __future__ import annotations

import pytest

from linkbus.transports.sqs._trace_header import to_w3c, to_xray

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADER = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"


def test_there_and_back():
    """Trace id, span id and whether it is sampled survive."""
    assert to_xray(TRACEPARENT) == HEADER
    assert to_w3c(HEADER) == TRACEPARENT


def test_sampled():
    """Of the flags only that one has a place there; whatever is not 1 is not sampled."""
    assert to_xray(TRACEPARENT[:-2] + "03").endswith("Sampled=1")
    assert to_xray(TRACEPARENT[:-2] + "02").endswith("Sampled=0")
    for header in (HEADER[:-1] + "0", HEADER[:-1] + "?", HEADER[: -len(";Sampled=1")]):
        assert to_w3c(header) == TRACEPARENT[:-2] + "00"


def test_later_versions_are_read():
    """What a later version of traceparent adds at the end has no place there."""
    assert to_xray("01" + TRACEPARENT[2:] + "-more") == HEADER


@pytest.mark.parametrize("value", ["", "garbage", TRACEPARENT.upper(), TRACEPARENT + "0"])
def test_what_is_no_traceparent(value):
    """It has no place there."""
    assert to_xray(value) is None


@pytest.mark.parametrize(
    "header",
    [
        "Self=1-a-b; " + HEADER + "; Lineage=a:1",
        "Parent=b7ad6b7169203331;Sampled=1;Root=1-0AF76519-16cd43dd8448eb211c80319c",
    ],
)
def test_what_others_write(header):
    """More fields, spaces, another order and capitals are read."""
    assert to_w3c(header) == TRACEPARENT


@pytest.mark.parametrize(
    "header",
    [
        "",
        ";;=;",
        "Root=1-0af76519-16cd43dd8448eb211c80319c",
        "Parent=b7ad6b7169203331;Sampled=1",
        HEADER.replace("Root=1-", "Root=2-"),
        HEADER.replace("b7ad", "wxyz"),
        "Root=1-00000000-000000000000000000000000;Parent=b7ad6b7169203331",
        "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=0000000000000000",
        HEADER + ";" + "x" * 512,
    ],
)
def test_what_is_malformed(header):
    """It is no context."""
    assert to_w3c(header) is None
