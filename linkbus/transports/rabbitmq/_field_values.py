"""Values of AMQP headers, which have many types, as the text that linkbus's headers are."""

from __future__ import annotations

import json


def text_of(value: object) -> str:
    """Return the stable text of a value that arrived.

    Text stays as it is, and bytes become text that gives them back. A table or an array,
    such as `x-death`, becomes compact JSON with its keys in order. None is empty, and any
    other type is its `str()`.
    """
    if isinstance(value, str):
        return value  # decoded from UTF-8, hence stable
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict | list):
        return json.dumps(
            value, default=text_of, ensure_ascii=False, separators=(",", ":"), sort_keys=True
        )
    return "" if value is None else str(value)
