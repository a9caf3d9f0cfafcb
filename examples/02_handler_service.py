"""A service: orders are billed side by side, each customer's in turn, until SIGTERM; it drains.

What is being billed is finished; the rest goes back, in order, and waits for the next start.

Run:

    python examples/02_handler_service.py

Output:

    SIGTERM while billing ann 2 and bob 2
    billed: {'ann': ['1', '2'], 'bob': ['1', '2']}
    left: ann 3, ann 4, bob 3, bob 4
"""

import asyncio
import signal

import linkbus

billed: dict[str, list[str]] = {"ann": [], "bob": []}
together = asyncio.Barrier(2)


async def bill(delivery: linkbus.Delivery) -> None:
    """Bill one order, which takes a while, beside one of the other customer."""
    await together.wait()
    if (delivery.key, delivery.body) == ("bob", b"2"):
        print("SIGTERM while billing ann 2 and bob 2")
        signal.raise_signal(signal.SIGTERM)  # what stops a service
    await asyncio.sleep(0.2)
    billed[delivery.key or ""].append(delivery.body.decode())


async def main() -> None:
    """Serve until SIGTERM, then look at what is left."""
    async with linkbus.connect("memory://") as bus:
        orders = [linkbus.Message(b"%d" % n, key=name) for n in (1, 2, 3, 4) for name in billed]
        await bus.producer("orders").send_batch(orders)
        service = bus.consumer("orders", group="billing", concurrency=8, drain_timeout=10.0)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(service.run(bill))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        print("billed:", billed)
        async with bus.consumer("orders", group="billing") as consumer:
            left = await anext(consumer.batches(max_messages=4, max_wait=5.0))
            print("left:", ", ".join(f"{one.key} {one.body.decode()}" for one in left))


asyncio.run(main())
