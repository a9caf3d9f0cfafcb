"""An outbox: a message is made with the order, in one transaction, and sent later.

What the database keeps is never lost and never sent without its order. The trace context is
kept with it, so the bill links to the request, not to the relay that happened to send it.

Run:

    python examples/09_outbox.py

Output:

    2 waited, 2 were sent
    billed two books
    billed a lamp
    A  POST /order       INTERNAL
         create orders   PRODUCER
    B  POST /order       INTERNAL
         create orders   PRODUCER
    C  relay the outbox  INTERNAL
         send orders     CLIENT    ⇢ A/create orders  ⇢ B/create orders
    D  receive orders    CLIENT    ⇢ A/create orders  ⇢ B/create orders
    E  process orders    CONSUMER  ⇢ A/create orders
    F  process orders    CONSUMER  ⇢ B/create orders
"""

import asyncio
import json
import sqlite3

import linkbus
from linkbus.testing import SpanRecorder

Database = sqlite3.Connection


def order(database: Database, producer: linkbus.Producer, item: str) -> None:
    """Take an order: it and its message are stored together, or neither is."""
    message = producer.create(item.encode())
    with database:
        database.execute("INSERT INTO orders VALUES (?)", (item,))
        row = (message.id, message.body, json.dumps(message.context))
        database.execute("INSERT INTO outbox VALUES (?, ?, ?)", row)


async def relay(database: Database, producer: linkbus.Producer) -> None:
    """Send what waits, and forget what the broker confirmed; the rest is sent next time."""
    rows = database.execute("SELECT id, body, trace FROM outbox").fetchall()
    messages = [linkbus.Message(body, id=i, context=json.loads(trace)) for i, body, trace in rows]
    results = await producer.send_batch(messages)
    sent = [result.id for result in results if result.status is linkbus.SendStatus.SENT]
    with database:
        database.executemany("DELETE FROM outbox WHERE id = ?", [(i,) for i in sent])
    print(f"{len(rows)} waited, {len(sent)} were sent")


async def main() -> None:
    """Take two orders, relay their messages, bill them, and print what was traced."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE orders (item TEXT)")
    database.execute("CREATE TABLE outbox (id TEXT PRIMARY KEY, body BLOB, trace TEXT)")
    with SpanRecorder() as spans:
        tracer = spans.tracer_provider.get_tracer("shop")
        async with linkbus.connect("memory://") as bus, bus.consumer("orders") as consumer:
            for item in ("two books", "a lamp"):
                with tracer.start_as_current_span("POST /order"):
                    order(database, bus.producer("orders"), item)
            with tracer.start_as_current_span("relay the outbox"):
                await relay(database, bus.producer("orders"))
            for delivery in await consumer.receive(2, timeout=5.0):
                async with delivery:
                    print(f"billed {delivery.body.decode()}")
    database.close()
    print(spans.tree(attributes=(), link_attributes=()))


asyncio.run(main())
