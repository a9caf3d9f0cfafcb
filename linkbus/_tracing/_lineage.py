"""Where a dead letter comes from: the context in which its message was first made.

It stands in the header `linkbus`, in the form of the W3C headers whatever the propagator,
and is data from outside as any other: malformed, it is counted and steers nothing.
"""

from __future__ import annotations

from linkbus._headers import Headers
from linkbus._own_header import carried
from linkbus._tracing._propagation import INVALID, MISSING, W3C, Creation


def origin_in(headers: Headers) -> Creation:
    """Return the original creation context that the header `linkbus`, which is there, tells of."""
    fields = carried(headers)
    if not fields:
        return INVALID
    if "origin" not in fields:
        return MISSING
    origin = fields["origin"]
    if not isinstance(origin, dict):
        return INVALID
    pairs = [(name, origin[name]) for name in ("traceparent", "tracestate") if name in origin]
    if not all(isinstance(context, str) for _, context in pairs):
        return INVALID
    return W3C.read(pairs)
