"""While a transport works, linkbus alone makes spans, and no context leaves but its own.

Instrumentation of client libraries asks OpenTelemetry's context whether it is wanted. So
what is current while a transport is called says no, and says nothing else: the
application's span and baggage are not for the transport, nor for the tasks and connections
that it makes meanwhile and keeps. Nor does the instrumentation of botocore then find a
span for its HTTP header, which SQS would put into the messages.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from contextvars import Token
from types import TracebackType

from opentelemetry import context as otel_context
from opentelemetry.context import Context

_PLAIN = "suppress_instrumentation"
# The API has the key that instrumentation looks at first under a private name.
# https://github.com/open-telemetry/opentelemetry-python/blob/main/opentelemetry-api/src/opentelemetry/context/__init__.py
_KEY: str = getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", _PLAIN)
_SILENT = Context({_KEY: True, _PLAIN: True})


class Alone:
    """A block in which no instrumentation makes spans; entered and left in one task."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token: Token[Context] = otel_context.attach(_SILENT)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        otel_context.detach(self._token)


AS_IT_IS: AbstractContextManager[None] = nullcontext()
"""A block like any other; for what is called for each message, where nothing records."""
