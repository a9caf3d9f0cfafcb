"""Where a dead letter comes from: the context in which its message was first made.

It stands in the header `linkbus`, in the form of the W3C headers whatever the propagator,
and is data from outside as any other: malformed, it is counted and steers nothing.
"""

from __future__ import annotations

from linkbus._headers import Headers
from linkbus._own_header import NAME, carried
from linkbus._tracing._propagation import INVALID, MISSING, W3C, Creation

_KNOWN = ("traceparent", "tracestate", "source")


def origin_in(headers: Headers) -> Creation:
    """Return the original creation context that the header `linkbus`, which is there, tells of."""
    fields = carried(headers) if len(headers.get_all(NAME)) == 1 else {}
    if fields and "origin" not in fields:
        return MISSING
    origin = fields.get("origin")
    if not isinstance(origin, dict):
        return INVALID
    known = {name: origin[name] for name in _KNOWN if name in origin}
    if not known or not all(isinstance(value, str) for value in known.values()):
        return INVALID
    known.pop("source", None)
    return W3C.read(known.items())


def lineage_in(headers: Headers) -> dict[str, object] | None:
    """Return the lineage in the header `linkbus`, if there is a valid one."""
    lineage = carried(headers).get("origin")
    return lineage if isinstance(lineage, dict) and not origin_in(headers).invalid else None
