"""Methods of aiokafka without the spans that other instrumentation put around them.

`opentelemetry-instrumentation-aiokafka` replaces methods of aiokafka's classes. On a
client of linkbus's own it would add a second span and a second `traceparent` for each
message, and it has no switch for one client. Only its wrappers are passed by; the
application's own use of aiokafka stays instrumented, and any other wrapper is called. A
function that was put in the place of a method, around theirs, cannot be looked into: put
it there before theirs.
https://github.com/open-telemetry/opentelemetry-python-contrib/tree/main/instrumentation/opentelemetry-instrumentation-aiokafka
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import MethodType
from typing import TypeVar

Result = TypeVar("Result")

_INSTRUMENTATION = "opentelemetry.instrumentation."


def unwrapped(method: Callable[..., Awaitable[Result]]) -> Callable[..., Awaitable[Result]]:
    """Return a bound method of a client as it was before it was instrumented."""
    if type(method) is MethodType:  # as a rule; looking for what it has not costs more
        return method
    wrapper = getattr(method, "_self_wrapper", None)
    if wrapper is None:
        return method
    below: Callable[..., Awaitable[Result]] = method.__wrapped__  # type: ignore[attr-defined] # of every wrapt wrapper
    inner = unwrapped(below)
    if str(getattr(wrapper, "__module__", "")).startswith(_INSTRUMENTATION):
        return inner
    return method if inner is below else _rewrapped(method, wrapper, inner)


def _rewrapped(
    method: Callable[..., Awaitable[Result]],
    wrapper: Callable[..., Awaitable[Result]],
    inner: Callable[..., Awaitable[Result]],
) -> Callable[..., Awaitable[Result]]:
    """Return somebody's wrapper of a method around what is left of the method."""
    client = method._self_instance  # type: ignore[attr-defined] # of every bound wrapt wrapper

    def call(*args: object, **kwargs: object) -> Awaitable[Result]:
        return wrapper(inner, client, args, kwargs)

    return call
