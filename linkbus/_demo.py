"""The demonstration: orders are published, billed and reported on, in traces that are linked.

It is an application like any other: it uses the public names and makes spans of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
from opentelemetry.trace import SpanKind, Tracer

import linkbus
from linkbus.testing import SpanRecorder

ORDERS = {"17": b"two books", "18": b"a lamp", "19": b"three chairs"}

_READING = (
    ("A B C", "A letter is a trace; indented spans ran within the span above them."),
    ("⇢", "A link to a span of another trace. `process orders` has a trace of its"),
    ("", "own and links to the `send orders` of its message; the report links to"),
    ("", "each request whose row it read. So each leads back to what caused it."),
)


class Shop:
    """Takes orders, bills them, and reports on them at night.

    Args:
        bus: Open.
        tracer: For the spans that are the application's own.
        say: Called with who does what, whenever something is done.
    """

    def __init__(self, bus: linkbus.Bus, tracer: Tracer, say: Callable[[str, str], None]) -> None:
        self._bus = bus
        self._tracer = tracer
        self._say = say
        self._rows: list[dict[str, str]] = []

    async def take_orders(self) -> None:
        """Serve three requests; each publishes a message and stores its trace context."""
        orders = self._bus.producer("orders")
        for number, body in ORDERS.items():
            with self._tracer.start_as_current_span("POST /order", kind=SpanKind.SERVER):
                await orders.send(body, key=number)
                self._rows.append(linkbus.capture_context())
                self._say("POST /order", f"publishes order {number}: {body.decode()}")

    async def bill(self) -> None:
        """Handle the messages, as a service does, until all of them are billed."""
        billed: set[str | None] = set()
        all_billed = anyio.Event()

        async def handle(delivery: linkbus.Delivery) -> None:
            with self._tracer.start_as_current_span("charge card"):
                self._say("process orders", f"bills order {delivery.key}")
            billed.add(delivery.key)
            if len(billed) == len(ORDERS):
                all_billed.set()

        consumer = self._bus.consumer("orders", group="billing")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consumer.run, handle)
            await all_billed.wait()
            tasks.cancel_scope.cancel()  # the consumer drains, and leaves its group

    def report(self) -> None:
        """Read the rows in a job that no request waits for."""
        with linkbus.linked_span("nightly report", self._rows):
            self._say("nightly report", f"reads the rows of {len(self._rows)} requests")


async def perform(say: Callable[[str, str], None]) -> SpanRecorder:
    """Let a day pass in the shop; return what was traced."""
    with SpanRecorder() as spans:
        tracer = spans.tracer_provider.get_tracer("shop")
        async with linkbus.connect("memory://") as bus:
            shop = Shop(bus, tracer, say)
            await shop.take_orders()
            await shop.bill()
            shop.report()
    return spans


async def show(write: Callable[[str], object], *, color: bool, width: int) -> bool:
    """Perform the demonstration and write what happens, its traces, and how to read them.

    Args:
        write: Called with text.
        color: For a terminal.
        width: Columns for the traces.

    Returns:
        Whether anything was traced.
    """
    bold, plain = ("\x1b[1m", "\x1b[0m") if color else ("", "")

    def say(who: str, what: str) -> None:
        write(f"  {who:<16}{what}\n")

    write(f"{bold}A shop, on the transport memory://{plain}\n\n")
    spans = await perform(say)
    write(f"\n{bold}Its traces{plain}\n\n")
    traces = spans.tree(attributes=(), link_attributes=(), width=width - 2, color=color)
    lines = traces.splitlines() or ["none: is OTEL_SDK_DISABLED set?"]
    write("".join(f"  {line}\n" for line in lines))
    write(f"\n{bold}How to read them{plain}\n\n")
    write("".join(f"  {sign:<7}{text}\n" for sign, text in _READING))
    return bool(traces)
