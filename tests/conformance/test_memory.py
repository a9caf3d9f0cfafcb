"""The memory transport keeps the contract of a transport, on asyncio and on trio."""

from itertools import count

from linkbus.testing import TransportConformance, TransportHarness
from linkbus.transports.memory import MemoryBroker, MemoryTransport


class MemoryHarness(TransportHarness):
    """One broker for all transports; short leases, so that the checks need not wait."""

    quiet = 0.05

    def __init__(self) -> None:
        self._broker = MemoryBroker(lease=1.0)
        self._numbers = count()

    def transport(self) -> MemoryTransport:
        return MemoryTransport(self._broker)

    def new_destination(self) -> str:
        return f"topic-{next(self._numbers)}"


class TestMemory(TransportConformance):
    harness = MemoryHarness()


class TestMemoryOnTrio(TransportConformance):
    harness = MemoryHarness()
    backend = "trio"
