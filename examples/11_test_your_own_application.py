"""An application and its tests: every message must lead back to what caused it.

pytest finds the fixture `linkbus_spans` where linkbus is installed. It records what is traced,
and fails a test that leaves a span open or a context attached. The first test is one as you
would write it; the second shows what it says when something on the way loses headers.

Run, with pytest-asyncio:

    python examples/11_test_your_own_application.py

Output:

    A  send orders     PRODUCER
    B  process orders  CONSUMER  ⇢ A/send orders
         send bills    PRODUCER
    C  process bills   CONSUMER  ⇢ B/send bills
    not every message is linked:
    - 'process orders': message '17' came without a trace context: were headers lost on the way?
    - 'process bills': message 'bill-17' came without a trace context: were headers lost on the way?
"""

import asyncio
import subprocess
import sys
from collections.abc import Sequence

import pytest

import linkbus
from linkbus.abc import Envelope, SendResult
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryTransport


async def send_bills(bus: linkbus.Bus) -> None:
    """Send a bill for each order, until cancelled: this is the application."""
    bills = bus.producer("bills")

    async def bill(order: linkbus.Delivery) -> None:
        await bills.send(b"bill for " + order.body, id=f"bill-{order.id}")

    await bus.consumer("orders", group="billing", concurrency=4).run(bill)


class HeaderlessTransport(MemoryTransport):
    """What may go wrong: bodies arrive, and headers do not."""

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        """Send bodies."""
        return await super().send(destination, [Envelope(one.id, one.body) for one in batch])


async def order(transport: MemoryTransport) -> None:
    """Order two books, and wait for the bill."""
    async with linkbus.Bus(transport) as bus, asyncio.TaskGroup() as tasks:
        application = tasks.create_task(send_bills(bus))
        await bus.producer("orders").send(b"two books", id="17")
        async with bus.consumer("bills") as bills, await anext(bills) as bill:
            assert bill.body == b"bill for two books"
        application.cancel()


async def test_an_order_is_billed(linkbus_spans: SpanRecorder) -> None:
    """The bill leads back to the order."""
    await order(MemoryTransport())
    linkbus_spans.assert_linked("process bills", "send orders", transitive=True)
    linkbus_spans.assert_every_message_linked()
    print(linkbus_spans.tree(link_attributes=()))


async def test_what_is_said_of_lost_headers(linkbus_spans: SpanRecorder) -> None:
    """The application works, and its traces are in pieces."""
    await order(HeaderlessTransport())
    with pytest.raises(AssertionError) as failure:
        linkbus_spans.assert_every_message_linked()
    print(failure.value)


def main() -> None:
    """Run the tests of this file, and print only what they print."""
    quietly = ["--capture=no", "--override-ini=addopts=", "-p", "no:terminal"]
    command = [sys.executable, "-m", "pytest", "--asyncio-mode=auto", *quietly, __file__]
    subprocess.run(command, check=True)  # noqa: S603 - this very file


if __name__ == "__main__":
    main()
