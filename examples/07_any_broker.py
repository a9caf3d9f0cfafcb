"""One program, unchanged, on every broker: only the URL says which.

Run, with the URL of any of them (and a name, if not "orders"; on Kafka a topic, on SQS a queue
that exists):

    python examples/07_any_broker.py memory://

Output:

    ann of tenant a: two books
    a batch of 3: bob, cid, dan
    A  POST /order     SERVER
         send orders   PRODUCER
    B  process orders  CONSUMER  ⇢ A/send orders
    C  create orders   PRODUCER
    D  create orders   PRODUCER
    E  create orders   PRODUCER
    F  send orders     CLIENT    {linkbus.link.count=3,
                                  messaging.batch.message_count=3}
                                 ⇢ C/create orders  ⇢ D/create orders
                                 ⇢ E/create orders
    G  process orders  CONSUMER  {linkbus.link.count=3, linkbus.link.invalid=0,
                                  linkbus.link.missing=0,
                                  messaging.batch.message_count=3}
                                 ⇢ C/create orders  ⇢ D/create orders
                                 ⇢ E/create orders
"""

import asyncio
import sys

from opentelemetry.trace import SpanKind, get_tracer

import linkbus
from linkbus.testing import SpanRecorder


async def main(url: str, name: str = "orders") -> None:
    """Send and process one message, then a batch; print what came, and the traces."""
    with SpanRecorder() as spans:
        async with linkbus.connect(url) as bus, bus.consumer(name) as consumer:
            orders = bus.producer(name)
            with get_tracer("shop").start_as_current_span("POST /order", kind=SpanKind.SERVER):
                await orders.send(b"two books", key="ann", headers={"tenant": "a"})
            async for delivery in consumer:
                async with delivery:
                    tenant = delivery.headers["tenant"]
                    print(f"{delivery.key} of tenant {tenant}: {delivery.body.decode()}")
                break
            await orders.send_batch(linkbus.Message(b"a lamp", key=key) for key in KEYS)
            async for batch in consumer.batches(max_messages=len(KEYS), max_wait=10.0):
                async with batch:
                    keys = sorted(str(delivery.key) for delivery in batch)
                    print(f"a batch of {len(batch)}: {', '.join(keys)}")
                break
    print(spans.tree(link_attributes=(), width=80))


KEYS = ("bob", "cid", "dan")

if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
