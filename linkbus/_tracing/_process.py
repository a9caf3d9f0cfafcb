"""One processing under way: its span is current until it is finished."""

from __future__ import annotations

from contextvars import Token
from time import perf_counter

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, Status, StatusCode

from linkbus._tracing import _names as n
from linkbus._tracing._links import Attributes
from linkbus._tracing._metrics import Meters
from linkbus._tracing._operation import error_type
from linkbus._tracing._quiet import quiet


class Process:
    """The processing of a message or a batch, from its start to `finish`.

    Started and finished in one task.

    Args:
        span: None where nothing records.
        context: What is current meanwhile; None: nothing changes.
        meters: None where nobody measures.
        attributes: Of the metrics.
    """

    __slots__ = ("_attributes", "_meters", "_started", "_token", "span")

    def __init__(
        self,
        span: trace.Span | None,
        context: Context | None,
        meters: Meters | None,
        attributes: Attributes,
    ) -> None:
        self.span = span
        self._meters = meters
        self._attributes = attributes
        self._token: Token[Context] | None = None
        self._started = 0.0 if meters is None else perf_counter()
        if context is not None:
            self._token = otel_context.attach(context)

    @property
    def span_context(self) -> SpanContext | None:
        """The context of its span, for the link from a later attempt."""
        if self.span is None:
            return None
        context = self.span.get_span_context()
        return context if context.is_valid else None

    def _nothing(
        self, outcome: str, error: BaseException | None = None, *, event: bool = True
    ) -> None:
        return None

    @quiet(_nothing)
    def finish(
        self, outcome: str, error: BaseException | None = None, *, event: bool = True
    ) -> None:
        """End the span, and make current what was before it.

        Args:
            outcome: What linkbus decided.
            error: Why it failed; None: it did not.
            event: Record the error as an exception event too.
        """
        token, self._token = self._token, None
        if token is not None:
            otel_context.detach(token)
        reason = None if error is None else error_type(error)
        if self._meters is not None:  # first: what a span processor raises must not cost a number
            attributes = self._attributes
            if reason is not None:
                attributes = {**attributes, n.ERROR_TYPE: reason}
            self._meters.process.record(perf_counter() - self._started, attributes)
        span = self.span
        if span is not None and span.is_recording():
            span.set_attribute(n.OUTCOME, outcome)
            if error is not None and reason is not None:
                if event:
                    span.record_exception(error)
                span.set_attribute(n.ERROR_TYPE, reason)
                span.set_status(Status(StatusCode.ERROR))
            span.end()


class _Unseen(Process):
    """A processing that nobody looks at, as often as there is one."""

    __slots__ = ()

    def finish(
        self, outcome: str, error: BaseException | None = None, *, event: bool = True
    ) -> None:
        """Do nothing."""


UNPROCESSED: Process = _Unseen(None, None, None, {})
