"""The system attribute `AWSTraceHeader`: room for a `traceparent` beside the ten attributes.

SQS counts it neither as an attribute nor as bytes. Its form is X-Ray's, which has the ids
and whether the trace is sampled, and nothing of `tracestate`.
https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

from __future__ import annotations

import re

NAME = "AWSTraceHeader"
TRACEPARENT = "traceparent"

_W3C = re.compile(r"[0-9a-f]{2}-([0-9a-f]{8})([0-9a-f]{24})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT = re.compile(r"[0-9a-f]{16}")
_MAX_CHARS = 512


def to_xray(traceparent: str) -> str | None:
    """Return the value of an `AWSTraceHeader`; None if it cannot be one."""
    found = _W3C.fullmatch(traceparent)
    if found is None:
        return None
    time, unique, parent, flags = found.group(1, 2, 3, 4)
    return f"Root=1-{time}-{unique};Parent={parent};Sampled={int(flags, 16) & 1}"


def to_w3c(header: str) -> str | None:
    """Return the `traceparent` that an `AWSTraceHeader` stands for; None if it is malformed."""
    if len(header) > _MAX_CHARS:
        return None
    fields = dict([part.strip().partition("=")[::2] for part in header.split(";")])
    root = _ROOT.fullmatch(fields.get("Root", "").lower())
    parent = _PARENT.fullmatch(fields.get("Parent", "").lower())
    if root is None or parent is None:
        return None
    ids = f"{root.group(1)}{root.group(2)}-{parent.group()}"
    if set(ids[:32]) == {"0"} or set(ids[33:]) == {"0"}:
        return None
    return f"00-{ids}-{'01' if fields.get('Sampled') == '1' else '00'}"
