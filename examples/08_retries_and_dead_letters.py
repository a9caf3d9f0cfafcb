"""Retries, dead letters and redrive: one order is paid at the second attempt, one much later.

Bob's order fails for good, and becomes a dead letter. When the service is mended it is sent
back, with all of its headers, so that both are linked to the order's origin. On a broker, and
with many of them, that is done by `linkbus redrive kafka://localhost:9092 orders.dead orders`.

Run:

    python examples/08_retries_and_dead_letters.py

Output:

    ann pays 5, at attempt 2
    bob pays 7, at attempt 1
    A  send orders          PRODUCER
    B  send orders          PRODUCER
    C  process orders       CONSUMER  ERROR  {linkbus.outcome=retry}
                                      ⇢ A/send orders {linkbus.link.relation=producer}
    D  process orders       CONSUMER  ERROR  {linkbus.outcome=dead_letter}
                                      ⇢ B/send orders {linkbus.link.relation=producer}
         send orders.dead   PRODUCER
    E  process orders       CONSUMER  {linkbus.outcome=ack}
                                      ⇢ A/send orders {linkbus.link.relation=producer}
                                      ⇢ C/process orders {linkbus.link.relation=retry}
    F  process orders.dead  CONSUMER  {linkbus.outcome=ack}
                                      ⇢ D/send orders.dead {linkbus.link.relation=producer}
                                      ⇢ B/send orders {linkbus.link.relation=origin}
         send orders        PRODUCER
    G  process orders       CONSUMER  {linkbus.outcome=ack}
                                      ⇢ F/send orders {linkbus.link.relation=producer}
                                      ⇢ B/send orders {linkbus.link.relation=origin}
"""

import asyncio
import logging

import linkbus
from linkbus.testing import SpanRecorder

prices = {"ann": 5}
paid = {"ann": asyncio.Event(), "bob": asyncio.Event()}


async def bill(delivery: linkbus.Delivery) -> None:
    """Charge a customer; the card reader is busy at first, and Bob has no price."""
    name = str(delivery.key)
    if name == "ann" and delivery.attempt == 1:
        raise TimeoutError
    print(f"{name} pays {prices[name]}, at attempt {delivery.attempt}")
    paid[name].set()


async def main() -> None:
    """Bill two orders, mend what was wrong with one, send it back, and print the traces."""
    logging.disable()  # what fails here is meant to
    retry = linkbus.RetryPolicy(max_attempts=3, initial_delay=0.1, retry_on=(TimeoutError,))
    with SpanRecorder() as spans:
        async with linkbus.connect("memory://") as bus, asyncio.TaskGroup() as tasks:
            orders = bus.producer("orders")
            for name in paid:
                await orders.send(b"two books", key=name)
            service = bus.consumer("orders", retry=retry, dead_letter="orders.dead")
            running = tasks.create_task(service.run(bill))
            await paid["ann"].wait()
            async with bus.consumer("orders.dead") as letters, await anext(letters) as letter:
                prices["bob"] = 7
                await orders.send(letter.body, key=letter.key, headers=letter.headers)
            await paid["bob"].wait()
            running.cancel()
    print(spans.tree(attributes=["linkbus.outcome"], link_attributes=["linkbus.link.relation"]))


asyncio.run(main())
