"""The header `linkbus`: what linkbus itself must carry with a message, as compact JSON.

A broker has no field for everything. What has none, an id, a key, the coding of a
body, the lineage of a dead letter, travels in this one header, so that it costs one of
a broker's few slots. What arrives in it is data from outside: malformed, it is nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _quoted

from linkbus._headers import Headers

NAME = "linkbus"
MAX_BYTES = 8192
"""A header longer than this was not written by linkbus, and is not parsed."""


def carried(headers: Headers) -> Mapping[str, object]:
    """Return the fields in the header `linkbus`; empty when absent or malformed."""
    for name, value in headers.items():
        if name == NAME:
            return _parsed(value)
    return {}


def carrying(headers: Headers, fields: Mapping[str, object]) -> Headers:
    """Return the headers with `fields` added to what the header `linkbus` carries."""
    before = carried(headers)
    value = _encoded({**before, **fields})
    others = [pair for pair in headers.items() if pair[0] != NAME]
    return Headers.stable([*others, (NAME, value)])


def _encoded(fields: Mapping[str, object]) -> str:
    if len(fields) == 1:  # the usual case, an id, many times cheaper than a dump
        ((name, value),) = fields.items()
        if isinstance(value, str):
            return f"{{{_quoted(name)}:{_quoted(value)}}}"
    return json.dumps(fields, separators=(",", ":"))


def _parsed(value: str) -> Mapping[str, object]:
    if len(value) > MAX_BYTES:
        return {}
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
