"""Send a message and process it: two traces, joined by a link.

Run:

    python examples/01_send_and_process.py

Output:

    two books
    A  send orders     PRODUCER
    B  process orders  CONSUMER  ⇢ A/send orders
"""

import asyncio

import linkbus
from linkbus.testing import SpanRecorder


async def main() -> None:
    """Send one message, process it, and print what was traced."""
    with SpanRecorder() as spans:
        async with linkbus.connect("memory://") as bus:
            await bus.producer("orders").send(b"two books")
            async with bus.consumer("orders", group="billing") as consumer:
                async for delivery in consumer:
                    async with delivery:
                        print(delivery.body.decode())
                    break
    print(spans.tree(link_attributes=()))


asyncio.run(main())
