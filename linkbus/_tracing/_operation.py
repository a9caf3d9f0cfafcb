"""One client operation under way: its span, if any, and its clock, if anybody measures."""

from __future__ import annotations

from time import perf_counter

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from linkbus._tracing import _names as n
from linkbus._tracing._links import Attributes
from linkbus._tracing._metrics import Meters
from linkbus._tracing._quiet import quiet


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

    def _nothing(self, reason: str | None, *, sent: int = 0) -> None:  # as end
        return None

    @quiet(_nothing)
    def end(self, reason: str | None, *, sent: int = 0) -> None:
        """End it.

        Args:
            reason: The `error.type` where it failed, else None.
            sent: How many messages it attempted to send.
        """
        meters = self._meters
        if meters is not None:  # first: what a span processor raises must not cost a number
            attributes = self._attributes
            if reason is not None:
                attributes = {**attributes, n.ERROR_TYPE: reason}
            meters.operation.record(perf_counter() - self._started, attributes)
            if sent:
                meters.sent.add(sent, attributes)
        span = self._span
        if span is not None:
            if reason is not None:
                span.set_attribute(n.ERROR_TYPE, reason)
                span.set_status(Status(StatusCode.ERROR))
            span.end()


class _Unseen(Operation):
    """An operation that nobody looks at."""

    __slots__ = ()

    def end(self, reason: str | None, *, sent: int = 0) -> None:
        """Do nothing."""


UNSEEN: Operation = _Unseen(None, None, {})


def error_type(error: BaseException) -> str:
    """Return the conventions' `error.type` of an exception: its full class name."""
    cls = type(error)
    module = cls.__module__
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"
