"""Wrappers of other instrumentation are passed by; no other wrapper is."""

from __future__ import annotations

from typing import cast

import wrapt
from aiokafka import AIOKafkaProducer

from linkbus.transports.kafka._unwrapped import unwrapped


class Client:
    async def send(self) -> str:
        return "sent"


def wrapper(module: str, says: str) -> object:
    async def wrap(wrapped: object, instance: object, args: object, kwargs: object) -> str:
        return f"{says} {await wrapped()}"

    wrap.__module__ = module
    return wrap


async def test_instrumentation_is_passed_by() -> None:
    """Once, or twice; the method stays bound to its client."""
    for times in (0, 1, 2):
        kind = type("Instrumented", (Client,), {})
        for _ in range(times):
            around = wrapper("opentelemetry.instrumentation.aiokafka.utils", "traced")
            wrapt.wrap_function_wrapper(kind, "send", around)
        client = kind()
        assert (await client.send()).count("traced") == times
        assert await unwrapped(cast("AIOKafkaProducer", client), client.send)() == "sent"


async def test_other_wrappers_are_called() -> None:
    """What the application put around the method is the application's."""
    kind = type("Wrapped", (Client,), {})
    wrapt.wrap_function_wrapper(kind, "send", wrapper("application", "counted"))
    client = kind()
    assert await unwrapped(cast("AIOKafkaProducer", client), client.send)() == "counted sent"
