"""Bus and connect: opening and closing a transport, and finding one by its URL."""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import EntryPoint

import anyio
import pytest

from linkbus import (
    Bus,
    CapabilityError,
    ConnectError,
    Consumer,
    Producer,
    UsageError,
    connect,
)
from linkbus.abc import Capabilities, Transport
from linkbus.transports.memory import MemoryBroker, MemoryTransport
from tests.unit.scripted import ScriptedTransport, scripted


async def test_a_block_opens_and_closes_the_transport():
    """Once each, and `transport` is at hand."""
    transport = ScriptedTransport()
    bus = Bus(transport)
    assert bus.transport is transport
    assert (transport.opens, transport.closes) == (0, 0)
    async with bus as entered:
        assert entered is bus
        assert (transport.opens, transport.closes) == (1, 0)
    assert (transport.opens, transport.closes) == (1, 1)


async def test_a_bus_is_opened_once():
    """Neither again while it is open, nor after."""
    bus = Bus(ScriptedTransport())
    async with bus:
        with pytest.raises(UsageError, match="the bus is open"):
            await bus.__aenter__()
    with pytest.raises(UsageError, match="the bus is closed"):
        await bus.__aenter__()


async def test_a_transport_that_does_not_open_is_not_closed():
    """Its error is raised, and `aclose` is not called."""
    transport = ScriptedTransport()
    transport.failing = ConnectError("refused")
    with pytest.raises(ConnectError, match="refused"):
        await Bus(transport).__aenter__()
    assert transport.closes == 0


async def test_consumers_that_are_open_are_closed_with_the_bus():
    """Each receiver is closed before the transport; what it held is released."""
    transport = ScriptedTransport()
    async with Bus(transport) as bus:
        first = await bus.consumer("orders").__aenter__()
        second = await bus.consumer("orders").__aenter__()
        transport.receivers[1].give("1")
        assert (await anext(second)).id == "1"
    assert [receiver.is_closed for receiver in transport.receivers] == [True, True]
    assert transport.receivers[1].outcomes == [("1", "release")]
    await second.__aexit__(None, None, None)
    await first.__aexit__(None, None, None)


async def test_closing_goes_on_though_it_is_cancelled():
    """Cancelled while one consumer closes, the others and the transport are closed too."""
    transport = ScriptedTransport()
    bus = await Bus(transport).__aenter__()
    consumers = [bus.consumer("orders") for _ in range(2)]
    for consumer in consumers:
        await consumer.__aenter__()
    transport.receivers[1].closing = anyio.Event()
    closing = asyncio.create_task(bus.__aexit__(None, None, None))
    await transport.watch.until(lambda: transport.receivers[1].is_closed)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    assert transport.receivers[0].is_closed
    assert transport.closes == 1
    for consumer in reversed(consumers):
        await consumer.__aexit__(None, None, None)


async def test_a_long_lived_bus_forgets_closed_consumers():
    """A consumer a job, for years, is no leak."""
    async with scripted() as (bus, _):
        for _ in range(3):
            async with bus.consumer("orders"):
                pass
        async with bus.consumer("orders"):
            assert len(bus._subscriptions) == 1


def test_producers_and_consumers_are_made_before_opening():
    """Making them does no I/O."""
    bus = Bus(MemoryTransport())
    assert isinstance(bus.producer("orders", create_spans=False), Producer)
    consumer = bus.consumer("orders", relation="parent")
    assert isinstance(consumer, Consumer)
    assert (consumer.source, consumer.group) == ("orders", "default")
    assert bus.consumer("orders", group="g").group == "g"


async def test_an_unopened_bus_says_how_to_open_it():
    """Before the block and after it the advice differs."""
    bus = Bus(ScriptedTransport())
    producer = bus.producer("orders")
    with pytest.raises(UsageError, match="not open yet: use it inside `async with bus`"):
        await producer.send(b"x")
    async with bus:
        pass
    with pytest.raises(UsageError, match="closed: make a new one"):
        await producer.send(b"x")


def test_a_negative_send_timeout_is_refused():
    """0 is one attempt, less is a UsageError."""
    Bus(MemoryTransport(), send_timeout=0)
    with pytest.raises(UsageError, match="send_timeout=-1"):
        Bus(MemoryTransport(), send_timeout=-1)


def test_groups_need_the_capability():
    """A group of one's own is refused where there are none; the default is not."""
    bus = Bus(ScriptedTransport(Capabilities(groups=False)))
    assert bus.consumer("orders", group="default").group == "default"
    with pytest.raises(CapabilityError, match="scripted has no groups here"):
        bus.consumer("orders", group="billing")


@pytest.mark.parametrize("name", ["", None, 7])
def test_names_must_be_names(name):
    """An empty destination, source, group or dead letter is a UsageError."""
    bus = Bus(MemoryTransport())
    with pytest.raises(UsageError, match="is no name"):
        bus.producer(name)
    with pytest.raises(UsageError, match="is no name"):
        bus.consumer(name)
    if name is not None:
        with pytest.raises(UsageError, match="is no name"):
            bus.consumer("orders", group=name)
        with pytest.raises(UsageError, match="is no name"):
            bus.consumer("orders", dead_letter=name)


def test_a_source_is_not_its_own_dead_letter():
    """Failed messages would circle."""
    with pytest.raises(UsageError, match="would circle"):
        Bus(MemoryTransport()).consumer("orders", dead_letter="orders")


def test_an_unknown_relation_is_refused():
    """When the consumer is made, not when it runs."""
    with pytest.raises(UsageError, match="sideways"):
        Bus(MemoryTransport()).consumer("orders", relation="sideways")


# connect


class Installed:
    """A third party's entry points, for one test."""

    def __init__(self, **entries: str) -> None:
        self.entries = [
            EntryPoint(name, value, "linkbus.transports") for name, value in entries.items()
        ]

    def __call__(self, *, group: str) -> list[EntryPoint]:
        assert group == "linkbus.transports"
        return self.entries


def factory(url: str, **options: object) -> Transport:
    """Make a transport that tells how it was asked for."""
    transport = ScriptedTransport()
    transport.attributes = {"url": url, **{name: str(value) for name, value in options.items()}}
    return transport


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch):
    """Return what a third party's factory is called with for a URL."""
    name = f"{__name__}:factory"
    monkeypatch.setitem(sys.modules, __name__, sys.modules[factory.__module__])
    monkeypatch.setattr("linkbus._bus.entry_points", Installed(mine=name, other="nowhere:x"))
    return lambda url, **options: dict(connect(url, **options).transport.attributes)


def test_a_scheme_picks_an_entry_point(asked):
    """The factory is called with the URL and the options."""
    assert asked("mine://host:1/path", size=3) == {"url": "mine://host:1/path", "size": "3"}


def test_query_parameters_are_options(asked):
    """As strings, empty ones too; the URL that the factory gets is without them."""
    assert asked("mine://host?a=1&b=", c="d") == {
        "url": "mine://host",
        "a": "1",
        "b": "",
        "c": "d",
    }


@pytest.mark.parametrize("url", ["mine://host?a=1", "mine://host?b=1&b=2"])
def test_an_option_given_twice_is_refused(asked, url: str):
    """In the URL and beside it, or twice in the URL."""
    with pytest.raises(UsageError, match="given twice"):
        asked(url, a="2")


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("mine://", "mine://"),
        ("MINE://Host", "mine://Host"),
        ("mine:///path", "mine:///path"),
        ("mine://user:p%40ss@[::1]:9,b:9", "mine://user:p%40ss@[::1]:9,b:9"),
        ("mine:", "mine://"),
    ],
)
def test_the_rest_of_a_url_stays_as_it_is(asked, url: str, bare: str):
    """Hosts, ports, credentials and paths are the factory's to read."""
    assert asked(url)["url"] == bare


@pytest.mark.parametrize("url", ["nothing://x", "localhost", ""])
def test_an_unknown_scheme_names_those_there_are(url: str):
    """So that a spelling mistake is seen at once."""
    with pytest.raises(UsageError, match=r"there are .*kafka://.*memory://"):
        connect(url)


def test_a_client_that_is_not_installed_says_what_to_install(asked):
    """ConnectError names the missing module, and the extra, called as the transport's module."""
    with pytest.raises(ConnectError, match=r"needs nowhere: .*linkbus\[nowhere\]") as raised:
        asked("other://host")
    assert isinstance(raised.value.__cause__, ImportError)


async def test_memory_is_built_in():
    """The embedded transport is found like any other, with its options."""
    broker = MemoryBroker()
    async with connect("memory://", broker=broker) as bus:
        assert isinstance(bus.transport, MemoryTransport)
        assert bus.transport.broker is broker
    assert connect("memory://?lease=7").transport.broker.lease == 7.0


def test_a_bus_from_a_url_is_configured_like_others():
    """`send_timeout` and `tracing` are the bus's, not the transport's."""
    assert connect("memory://", send_timeout=1.5)._send_timeout == 1.5
