"""Process a batch: one span, linked to every message in it, whoever sent it.

Run:

    python examples/03_batch.py

Output:

    storing 3 orders
    A  POST /order     INTERNAL
         send orders   PRODUCER
    B  POST /order     INTERNAL
         send orders   PRODUCER
    C  POST /order     INTERNAL
         send orders   PRODUCER
    D  process orders  CONSUMER  {linkbus.link.count=3}  ⇢ A/send orders  ⇢ B/send orders
                                 ⇢ C/send orders
"""

import asyncio

import linkbus
from linkbus.testing import SpanRecorder


async def main() -> None:
    """Send from three requests, process in one batch, and print what was traced."""
    with SpanRecorder() as spans:
        tracer = spans.tracer_provider.get_tracer("shop")
        async with linkbus.connect("memory://") as bus:
            orders = bus.producer("orders")
            for body in (b"two books", b"a lamp", b"three chairs"):
                with tracer.start_as_current_span("POST /order"):
                    await orders.send(body)

            async with bus.consumer("orders", group="archive", prefetch=500) as consumer:
                async for batch in consumer.batches(max_messages=500, max_wait=0.1):
                    async with batch:  # acknowledges all of them at its end
                        print(f"storing {len(batch)} orders")
                    break
    print(spans.tree(attributes=["linkbus.link.count"], link_attributes=()))


asyncio.run(main())
