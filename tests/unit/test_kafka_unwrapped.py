"""Wrappers of other instrumentation are passed by; no other wrapper is."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

import pytest
import wrapt

from linkbus.transports.kafka._unwrapped import unwrapped

THEIRS = "opentelemetry.instrumentation.aiokafka.utils"

Wrapped = Callable[..., Awaitable[str]]


class Client:
    name = "client"

    async def send(self, topic: str, *, key: str) -> str:
        return f"sent {key} to {topic} by {self.name}"


def wrapper(module: str, says: str) -> Callable[..., Awaitable[str]]:
    async def wrap(wrapped: Wrapped, instance: Client, args: object, kwargs: object) -> str:
        assert instance.name == "client"
        return f"{says} {await wrapped(*args, **kwargs)}"

    wrap.__module__ = module
    return wrap


def wrapped_in(*layers: str) -> Client:
    """Return a client whose method is wrapped: by "traced" as by instrumentation, else as by us."""
    kind = type("Wrapped", (Client,), {})
    for layer in layers:
        module = THEIRS if layer == "traced" else "application"
        wrapt.wrap_function_wrapper(kind, "send", wrapper(module, layer))
    return kind()


@pytest.mark.parametrize(
    "layers",
    [
        (),
        ("traced",),
        ("traced", "traced"),
        ("counted",),
        ("counted", "traced"),
        ("traced", "counted"),
        ("counted", "traced", "timed"),
        ("traced", "counted", "traced", "timed", "traced"),
        ("counted", "timed"),
    ],
    ids=" ".join,
)
async def test_instrumentation_is_passed_by(layers: tuple[str, ...]):
    """However many there are, in any order; other wrappers stay, and all is bound to its client."""
    client = wrapped_in(*layers)
    said = " ".join(reversed(layers))
    assert await client.send("orders", key="1") == f"{said} sent 1 to orders by client".strip()
    ours = " ".join(layer for layer in reversed(layers) if layer != "traced")
    called = unwrapped(client.send)("orders", key="1")
    assert await called == f"{ours} sent 1 to orders by client".strip()


async def test_wrapped_by_hand():
    """A function in the place of the method is called, also below an instrumentation."""

    class ByHand(Client):
        @functools.wraps(Client.send)
        async def send(self, topic: str, *, key: str) -> str:
            return f"counted {await super().send(topic, key=key)}"

    wrapt.wrap_function_wrapper(ByHand, "send", wrapper(THEIRS, "traced"))
    assert await unwrapped(ByHand().send)("orders", key="1") == "counted sent 1 to orders by client"


def test_nothing_is_made_where_nothing_is_passed_by():
    """A method that nobody instrumented is returned as it is."""
    for method in (Client().send, wrapped_in("counted").send, functools.partial(Client().send)):
        assert unwrapped(method) is method
