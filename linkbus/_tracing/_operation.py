"""One client operation under way: its span, if any, and its clock, if anybody measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from time import perf_counter

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from linkbus._tracing import _names as n
from linkbus._tracing._links import Attributes
from linkbus._tracing._metrics import Meters
from linkbus._tracing._quiet import quiet

Reasons = Sequence[str | None]


class Operation:
    """A send, receive or settle that ends once, well or with a reason.

    Args:
        span: None where nothing records.
        meters: None where nobody measures.
        attributes: Of the metrics.
    """

    __slots__ = ("_attributes", "_meters", "_span", "_started")

    def __init__(
        self, span: trace.Span | None, meters: Meters | None, attributes: Attributes
    ) -> None:
        self._span = span
        self._meters = meters
        self._attributes = attributes
        self._started = perf_counter()

    def _nothing(self, reason: str | None, *, sent: Reasons = ()) -> None:  # as end
        return None

    @quiet(_nothing)
    def end(self, reason: str | None, *, sent: Reasons = ()) -> None:
        """End it.

        Args:
            reason: The `error.type` where it failed, else None.
            sent: For each message that it attempted to send, the `error.type`, or None.
        """
        meters = self._meters
        if meters is not None:  # first: what a span processor raises must not cost a number
            attributes = self._attributes
            if reason is not None:
                attributes = {**attributes, n.ERROR_TYPE: reason}
            meters.operation.record(perf_counter() - self._started, attributes)
            if sent:
                _count(meters, sent, self._attributes)
        span = self._span
        if span is not None:
            if reason is not None:
                span.set_attribute(n.ERROR_TYPE, reason)
                span.set_status(Status(StatusCode.ERROR))
            span.end()


class _Unseen(Operation):
    """An operation that nobody looks at."""

    __slots__ = ()

    def end(self, reason: str | None, *, sent: Reasons = ()) -> None:
        """Do nothing."""


UNSEEN: Operation = _Unseen(None, None, {})


def _count(meters: Meters, sent: Reasons, attributes: Attributes) -> None:
    """Count the messages that were attempted, apart by what became of them."""
    common = {name: value for name, value in attributes.items() if name != n.OPERATION_TYPE}
    for reason, count in Counter(sent).items():
        meters.sent.add(count, common if reason is None else {**common, n.ERROR_TYPE: reason})


def error_type(error: BaseException) -> str:
    """Return the conventions' `error.type` of an exception: its full class name.

    A class that is private to linkbus is told by the one that it derives from.
    """
    cls = next(one for one in type(error).__mro__ if not one.__module__.startswith("linkbus._"))
    module = cls.__module__
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"
