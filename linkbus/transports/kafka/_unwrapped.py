"""Methods of aiokafka without the spans that other instrumentation put around them.

`opentelemetry-instrumentation-aiokafka` replaces methods of aiokafka's classes. On a
client of linkbus's own it would add a second span and a second `traceparent` for each
message, and it has no switch for one client. Only its wrappers are passed by; the
application's own use of aiokafka stays instrumented, and any other wrapper is called.
https://github.com/open-telemetry/opentelemetry-python-contrib/tree/main/instrumentation/opentelemetry-instrumentation-aiokafka
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

Result = TypeVar("Result")

_INSTRUMENTATION = "opentelemetry.instrumentation."


def unwrapped(
    client: AIOKafkaConsumer | AIOKafkaProducer, method: Callable[..., Awaitable[Result]]
) -> Callable[..., Awaitable[Result]]:
    """Return a bound method of a client as it was before it was instrumented."""
    function = method
    while (wrapper := getattr(function, "_self_wrapper", None)) is not None:
        if not str(getattr(wrapper, "__module__", "")).startswith(_INSTRUMENTATION):
            break
        function = function.__wrapped__  # type: ignore[attr-defined] # of every wrapt wrapper
    return function
