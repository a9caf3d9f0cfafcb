"""The kit on transports that are right: everything passes."""

from tiny_transport import PlainTransport, TinyHarness

from linkbus.testing import TransportConformance


class TestTiny(TransportConformance):
    harness = TinyHarness()


class TestPlain(TransportConformance):
    harness = TinyHarness(PlainTransport)
