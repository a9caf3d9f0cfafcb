"""assert_every_message_linked: no message lost its way back to where it was made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from opentelemetry.sdk.trace import ReadableSpan

from linkbus.testing._linkage import Linkage
from linkbus.testing._traffic import Traffic

_LISTED = 8
"""The most faults that a failure names; the others are counted."""


def assert_every_message_linked(
    spans: Iterable[ReadableSpan], *, in_flight: str | Collection[str] = ()
) -> None:
    """Check that each message that linkbus sent or processed is linked.

    Both ways: a process span links to the creation context of each of its messages, and
    to no other message's; and each creation context that was sent is linked by a span that
    processed its message, or settled it where none did. Links on the children
    `{name} links` count. A message whose send failed need not have arrived.

    Only what was recorded can be checked: let the provider sample everything, and let the
    consumers come to their end before.

    Args:
        spans: A `SpanRecorder`, or the spans that an `InMemorySpanExporter` has.
        in_flight: Destinations, as spans name them, whose messages need not have been
            processed, nor sent if they were only created; patterns such as `audit.*` too.

    Raises:
        AssertionError: Says which messages lack what, or that there were none.
    """
    __tracebackhide__ = True
    traffic = Traffic(Linkage(spans))
    patterns = [in_flight] if isinstance(in_flight, str) else list(in_flight)
    not_arrived = dict.fromkeys(traffic.not_arrived(patterns))
    faults = [*dict.fromkeys(traffic.badly_linked()), *(said for _, said in not_arrived)]
    if faults:
        destinations = sorted({destination for destination, _ in not_arrived})
        raise AssertionError(_listed(faults, destinations))
    if traffic.is_empty:
        msg = (
            "no message was processed, so there is nothing to check: does the bus use this"
            " tracer provider, and does it record?"
        )
        raise AssertionError(msg)


def _listed(faults: Sequence[str], destinations: Sequence[str]) -> str:
    lines = ["not every message is linked:", *(f"- {fault}" for fault in faults[:_LISTED])]
    if len(faults) > _LISTED:
        lines.append(f"- … and {len(faults) - _LISTED} more")
    if destinations:
        lines.append(f"Messages that may be on their way are allowed by in_flight={destinations}.")
    return "\n".join(lines)
