"""MemoryTransport: a broker in this process, behind the contract."""

from __future__ import annotations

from collections.abc import Sequence

from anyio.lowlevel import checkpoint

from linkbus._errors import UsageError
from linkbus.abc import Capabilities, Envelope, Lost, Receiver, SendResult, Transport
from linkbus.transports.memory._broker import MemoryBroker
from linkbus.transports.memory._receiver import YIELD_EVERY, MemoryReceiver


class MemoryTransport(Transport):
    """Sends to, and receives from, a broker inside this process.

    Runs on asyncio and on trio. A call waits only where it says so, but one in 64
    messages lets other tasks run first.

    Args:
        broker: Where the messages are. Transports with the same broker reach each
            other; None makes a new one, which only this transport reaches.

    Attributes:
        broker: The broker, to be shared with another transport.
    """

    system = "memory"

    def __init__(self, broker: MemoryBroker | None = None) -> None:
        self.broker = MemoryBroker() if broker is None else broker
        self.capabilities = Capabilities(
            groups=True,
            ordering="key",
            delayed_release=True,
            extendable_lease=True,
            counts_deliveries=True,
            repeated_headers=True,
            max_message_bytes=self.broker.max_bytes,
            receive_cancel_safe=True,
        )
        self._is_open = False
        self._receivers: set[Receiver] = set()
        self._since_yield = 0

    async def open(self) -> None:
        """Make the transport usable; there is nothing to connect to."""
        self._is_open = True

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        """Hold the envelopes for every group of a topic.

        What does not fit is FAILED and may be sent again; a smaller message of another
        key may still fit. If the call is cancelled, nothing of the batch was sent.

        Raises:
            UsageError: The transport is not open.
        """
        self._check_open()
        if self._since_yield >= YIELD_EVERY:
            self._since_yield = 0
            await checkpoint()
        self._since_yield += len(batch)
        return self.broker.append(destination, batch)

    async def subscribe(self, source: str, group: str, *, prefetch: int, lost: Lost) -> Receiver:
        """Join a group, which is made with every message that the topic still holds.

        `lost` is never called: the core finds the end of a lease by itself, and nothing
        else takes a message away.

        Raises:
            UsageError: The transport is not open.
        """
        self._check_open()
        receiver = MemoryReceiver(source, self.broker.join(source, group), self._receivers.discard)
        self._receivers.add(receiver)
        return receiver

    async def aclose(self) -> None:
        """Close the receivers that are still open; the broker and its messages stay."""
        self._is_open = False
        for receiver in list(self._receivers):
            await receiver.aclose()

    def _check_open(self) -> None:
        if not self._is_open:
            msg = "the memory transport is not open: use its bus inside `async with`"
            raise UsageError(msg)
