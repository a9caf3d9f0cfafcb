"""Sampling: of 1,000 orders one in ten is kept, with everything that three services did for it.

"Whole" are the orders of which the traces of the request and of all services are kept. The
first row is of a sampler that decides for each trace by itself, the second of `LinkedSampler`
around the same one; both keep as many traces.

Run:

    python examples/10_sampling_whole_flows.py

Output:

    traces kept    take  bill  pack  ship whole
    by themselves   100    97   106   106     0
    as flows        100   100   100   100   100
"""

import asyncio
import random

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

import linkbus
from linkbus.sampling import LinkedSampler
from linkbus.testing import SpanRecorder


class SameIds(RandomIdGenerator):
    """Gives the same trace ids in each run, for this program to print the same."""

    def __init__(self) -> None:
        self._random = random.Random(10)  # noqa: S311 - ids, and no secrets

    def generate_trace_id(self) -> int:
        """Return the next trace id."""
        return self._random.getrandbits(128)


async def kept(sampler: Sampler) -> list[set[object]]:
    """Return the orders whose traces are kept, of the request and of each service."""
    provider = TracerProvider(sampler=ParentBased(sampler), id_generator=SameIds())
    tracer, tracing = provider.get_tracer("shop"), linkbus.Tracing(tracer_provider=provider)
    with SpanRecorder(provider) as spans:
        async with linkbus.connect("memory://", tracing=tracing) as bus:
            for order in range(1000):
                with tracer.start_as_current_span("take", attributes={"order": order}):
                    await bus.producer("bill").send(b"%d" % order)
            for service, following in [("bill", "pack"), ("pack", "ship"), ("ship", "done")]:
                async with bus.consumer(service) as consumer:
                    for _ in range(1000):
                        async with await anext(consumer) as delivery:
                            trace.get_current_span().set_attribute("order", int(delivery.body))
                            await bus.producer(following).send(delivery.body)
    names = ("take", "process bill", "process pack", "process ship")
    return [{(span.attributes or {})["order"] for span in spans.named(name)} for name in names]


async def main() -> None:
    """Sample both ways, and print how many traces are kept, and how many orders whole."""
    tenth = TraceIdRatioBased(0.1)
    print("traces kept    take  bill  pack  ship whole")
    for name, sampler in (("by themselves", tenth), ("as flows", LinkedSampler(tenth))):
        orders = await kept(sampler)
        counts = [*map(len, orders), len(set.intersection(*orders))]
        print(f"{name:<13}" + "".join(f"{count:>6}" for count in counts))


asyncio.run(main())
