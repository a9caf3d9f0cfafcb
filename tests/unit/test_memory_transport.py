"""The memory transport under asyncio and trio: waiting, cancelling, closing, settling."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

import anyio
import pytest

from linkbus._errors import CapabilityError, SettleError, UsageError
from linkbus._headers import Headers
from linkbus.abc import (
    Arrival,
    Envelope,
    Outcome,
    Receiver,
    SendStatus,
    Settlement,
    SettleStatus,
)
from linkbus.transports.memory import MemoryBroker, MemoryTransport, from_url

Test = Callable[[], Awaitable[None]]


def on_both_loops(test: Test) -> Callable[[str], None]:
    """Run a test on asyncio, in debug mode, and on trio."""

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def run(backend: str) -> None:
        options = {"debug": True} if backend == "asyncio" else {}
        anyio.run(test, backend=backend, backend_options=options)

    run.__doc__ = test.__doc__
    return run


class Opened:
    """An open transport and its receiver of the topic "orders"."""

    def __init__(self, broker: MemoryBroker | None = None) -> None:
        self.transport = MemoryTransport(broker)
        self.receiver: Receiver

    async def __aenter__(self) -> Self:
        await self.transport.open()
        self.receiver = await self.join()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.transport.aclose()

    async def join(self) -> Receiver:
        return await self.transport.subscribe("orders", "g", prefetch=10, lost=lambda *_: None)

    async def send(self, *bodies: bytes, key: str | None = None) -> None:
        batch = [Envelope(f"id-{body!r}", body, key) for body in bodies]
        results = await self.transport.send("orders", batch)
        assert [result.status for result in results] == [SendStatus.SENT] * len(bodies)

    async def settle(
        self, arrival: Arrival, outcome: Outcome = Outcome.ACK, delay: float = 0.0
    ) -> SettleStatus:
        (result,) = await self.receiver.settle([Settlement(arrival, outcome, delay)])
        return result.status


def bodies(arrivals: Sequence[Arrival]) -> list[bytes]:
    return [arrival.body for arrival in arrivals]


@on_both_loops
async def test_what_is_sent_arrives_whole():
    """Id, body, key, headers and context arrive, with the time, the attempt and the lease."""
    async with Opened() as it:
        headers = Headers([("a", "1"), ("a", b"\xff")])
        context = {"traceparent": "00-x"}
        await it.transport.send("orders", [Envelope("7", b"\x00", "k", headers, context)])
        (arrival,) = await it.receiver.receive(10, 0)
    assert (arrival.id, arrival.body, arrival.key) == ("7", b"\x00", "k")
    assert list(arrival.headers.items()) == [*headers.items(), ("traceparent", "00-x")]
    assert (arrival.attempt, arrival.lease) == (1, 30.0)
    assert arrival.sent_at is not None
    assert arrival.sent_at > 1e9


@on_both_loops
async def test_receive_without_a_wait_returns_at_once():
    """A wait of 0 looks, and returns empty where there is nothing."""
    async with Opened() as it:
        assert list(await it.receiver.receive(10, 0)) == []
        await it.send(b"1")
        assert bodies(await it.receiver.receive(10, 0)) == [b"1"]


@on_both_loops
async def test_receive_waits_no_longer_than_told():
    """Without a message it returns empty when the wait is over."""
    async with Opened() as it:
        assert list(await it.receiver.receive(10, 0.01)) == []


@on_both_loops
async def test_a_waiting_receive_returns_with_the_first_message():
    """It does not wait for more than is sent, nor to the end of its wait."""
    async with Opened() as it, anyio.create_task_group() as tasks:
        tasks.start_soon(it.send, b"1")
        with anyio.fail_after(2):
            assert bodies(await it.receiver.receive(10, 5)) == [b"1"]


@on_both_loops
async def test_a_waiting_receive_returns_when_a_lease_is_over():
    """A message whose lease ends while a receive waits comes with that receive."""
    async with Opened(MemoryBroker(lease=0.02)) as it:
        await it.send(b"1")
        (first,) = await it.receiver.receive(10, 0)
        with anyio.fail_after(2):
            (again,) = await it.receiver.receive(10, 5)
        assert (first.attempt, again.attempt) == (1, 2)
        assert await it.settle(first) is SettleStatus.STALE


@on_both_loops
async def test_a_waiting_receive_returns_when_a_delay_is_over():
    """A delay that is shorter than the wait is not overslept, though set during it."""
    async with Opened() as it, anyio.create_task_group() as tasks:
        await it.send(b"1")
        (arrival,) = await it.receiver.receive(10, 0)
        tasks.start_soon(it.settle, arrival, Outcome.RELEASE, 0.02)
        with anyio.fail_after(2):
            (again,) = await it.receiver.receive(10, 5)
        assert again.attempt == 2


@on_both_loops
async def test_a_cancelled_receive_loses_nothing():
    """A message that is sent after, or just before, the cancellation is given to the next call."""
    async with Opened() as it:
        for sent_before in (False, True):
            got: list[Arrival] = []

            async def wait(got: list[Arrival] = got) -> None:
                got.extend(await it.receiver.receive(10, 5))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                if sent_before:
                    await it.send(b"1")
                tasks.cancel_scope.cancel()
            if not sent_before:
                await it.send(b"1")
            got.extend(await it.receiver.receive(10, 0))
            assert [(arrival.body, arrival.attempt) for arrival in got] == [(b"1", 1)]
            await it.settle(got[0])


async def test_a_cancelled_receive_lets_another_have_its_message():
    """What woke a receive that is cancelled by asyncio wakes the next one that waits."""
    async with Opened() as it, asyncio.TaskGroup() as tasks:
        other = await it.join()
        first = tasks.create_task(it.receiver.receive(10, 5))
        await anyio.wait_all_tasks_blocked()
        second = tasks.create_task(other.receive(10, 5))
        await anyio.wait_all_tasks_blocked()
        await it.send(b"1")
        first.cancel()
        async with asyncio.timeout(2):
            assert bodies(await second) == [b"1"]
        assert first.cancelled()


@on_both_loops
async def test_busy_calls_let_other_tasks_run():
    """Sending and receiving without ever waiting does not starve the event loop."""
    ran = anyio.Event()

    async def run() -> None:
        ran.set()

    async with Opened() as it, anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for number in range(200):
            await it.send(b"%d" % number)
        assert ran.is_set()
        ran = anyio.Event()
        tasks.start_soon(run)
        for _ in range(200):
            assert await it.receiver.receive(1, 5)
        assert ran.is_set()


@on_both_loops
async def test_a_cancelled_send_sends_nothing():
    """When a cancellation reaches a send, nothing of its batch is held."""
    async with Opened() as it:
        await it.send(*[b"x"] * 64)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await it.send(b"never")
        assert b"never" not in bodies(await it.receiver.receive(100, 0))


@on_both_loops
async def test_each_settlement_has_its_result():
    """ACK and RELEASE are OK once and STALE after that; REJECT fails and settles nothing."""
    async with Opened() as it:
        await it.send(b"1", b"2", b"3")
        one, two, three = await it.receiver.receive(10, 0)
        results = await it.receiver.settle(
            [
                Settlement(one, Outcome.ACK),
                Settlement(one, Outcome.RELEASE),
                Settlement(two, Outcome.RELEASE),
                Settlement(two, Outcome.ACK),
                Settlement(three, Outcome.REJECT),
                Settlement(three, Outcome.ACK),
            ]
        )
        ok, stale = SettleStatus.OK, SettleStatus.STALE
        assert [r.status for r in results] == [ok, stale, ok, stale, SettleStatus.FAILED, ok]
        assert isinstance(results[1].error, SettleError)
        assert isinstance(results[4].error, CapabilityError)
        assert bodies(await it.receiver.receive(10, 0)) == [b"2"]


@on_both_loops
async def test_only_its_own_receiver_settles_an_arrival():
    """An arrival of another receiver, or of nobody, is STALE."""
    async with Opened() as it:
        other = await it.join()
        await it.send(b"1")
        (arrival,) = await other.receive(10, 0)
        assert await it.settle(arrival) is SettleStatus.STALE
        assert await it.settle(Arrival(id=None, body=b"")) is SettleStatus.STALE
        (result,) = await other.settle([Settlement(arrival, Outcome.ACK)])
        assert result.status is SettleStatus.OK


@on_both_loops
async def test_extending_keeps_a_message_and_is_stale_once_it_is_lost():
    """Each arrival has its result, and a lease can be extended only before it ends."""
    now = 0.0
    async with Opened(MemoryBroker(lease=10.0, clock=lambda: now)) as it:
        await it.send(b"1", b"2")
        kept, lost = await it.receiver.receive(10, 0)
        now = 5.0
        assert [r.status for r in await it.receiver.extend([kept], 10.0)] == [SettleStatus.OK]
        now = 10.0
        results = await it.receiver.extend([lost, kept], 10.0)
        assert [r.status for r in results] == [SettleStatus.STALE, SettleStatus.OK]
        assert bodies(await it.receiver.receive(10, 0)) == [b"2"]
        assert await it.settle(kept) is SettleStatus.OK


@on_both_loops
async def test_closing_a_receiver_ends_its_wait_and_gives_back():
    """A waiting receive returns empty; unsettled arrivals come to the next, counted."""
    async with Opened() as it, anyio.create_task_group() as tasks:
        await it.send(b"1")
        (held,) = await it.receiver.receive(10, 0)
        got: list[Sequence[Arrival]] = []

        async def wait() -> None:
            got.append(await it.receiver.receive(10, 5))

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(2):
            await it.receiver.aclose()
            await it.receiver.aclose()
            await anyio.wait_all_tasks_blocked()
        assert [list(arrivals) for arrivals in got] == [[]]
        assert await it.settle(held) is SettleStatus.STALE
        (again,) = await (await it.join()).receive(10, 0)
        assert again.attempt == 2


@on_both_loops
async def test_a_receive_that_is_closed_before_it_waits_returns_empty():
    """Closing while a busy receive lets others run is noticed before it waits."""
    async with Opened() as it, anyio.create_task_group() as tasks:
        await it.send(*[b"x"] * 64)
        await it.receiver.receive(100, 0)
        tasks.start_soon(it.receiver.aclose)
        assert list(await it.receiver.receive(10, 5)) == []


@on_both_loops
async def test_receiving_from_a_closed_receiver_is_refused():
    """It raises, so that a loop around it ends."""
    async with Opened() as it:
        await it.receiver.aclose()
        with pytest.raises(UsageError, match="'orders' is closed"):
            await it.receiver.receive(10, 0)


@on_both_loops
async def test_closing_a_transport_closes_its_receivers_and_not_the_broker():
    """A waiting receive returns, and another transport finds the group as it was left."""
    broker = MemoryBroker()
    async with Opened(broker) as it:
        await it.send(b"1", b"2")
        (held,) = await it.receiver.receive(1, 0)
        await it.settle(held)
    async with Opened(broker) as it:
        assert bodies(await it.receiver.receive(10, 0)) == [b"2"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.receiver.receive, 10, 5)
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(2):
                await it.transport.aclose()
                await it.transport.aclose()


@on_both_loops
async def test_a_transport_that_is_not_open_is_refused():
    """Sending and subscribing before opening, or after closing, says what to do."""
    transport = MemoryTransport()
    for _ in range(2):
        with pytest.raises(UsageError, match="not open"):
            await transport.send("orders", [Envelope("1", b"")])
        with pytest.raises(UsageError, match="not open"):
            await transport.subscribe("orders", "g", prefetch=1, lost=lambda *_: None)
        await transport.open()
        await transport.aclose()


def test_transports_without_a_broker_do_not_reach_each_other():
    """Each makes its own broker; sharing is asked for by giving one."""
    one = MemoryTransport()
    assert one.broker is not MemoryTransport().broker
    assert MemoryTransport(one.broker).broker is one.broker


def test_the_largest_message_is_what_an_empty_topic_may_hold():
    """The bound on bytes is declared, so that the core refuses what is beyond it."""
    assert MemoryTransport(MemoryBroker(max_bytes=7)).capabilities.max_message_bytes == 7


def test_a_url_makes_a_transport_with_a_broker_of_its_own():
    """Options come as text, as numbers or in the query; arguments win."""
    assert from_url("memory://").broker.max_bytes == 64 * 2**20
    broker = from_url("memory://?lease=5&max_bytes=1", max_bytes="100", max_messages=3).broker
    assert (broker.lease, broker.max_bytes) == (5.0, 100)


def test_a_url_may_share_a_broker():
    """The option broker is a broker object, and stands alone."""
    broker = MemoryBroker()
    assert from_url("memory://", broker=broker).broker is broker
    with pytest.raises(UsageError, match="no other option"):
        from_url("memory://", broker=broker, lease=1)
    with pytest.raises(UsageError, match="must be a MemoryBroker"):
        from_url("memory://", broker="mine")


@pytest.mark.parametrize("url", ["memory://host", "memory:///path"])
def test_a_url_that_names_a_place_is_refused(url):
    """There is no registry of brokers by name."""
    with pytest.raises(UsageError, match="names a place"):
        from_url(url)


def test_an_unknown_option_is_refused_with_a_list_of_those_that_exist():
    """A misspelt option is not ignored."""
    with pytest.raises(UsageError, match="no option leese: there are broker, lease, max_bytes"):
        from_url("memory://", leese=3)


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [("lease", "long", "a number"), ("max_bytes", "1.5", "a whole number")],
)
def test_an_option_that_is_not_a_number_is_refused(option, value, kind):
    """The error names the option, what it takes and what was given."""
    with pytest.raises(UsageError, match=f"{option} of memory:// must be {kind}, not '{value}'"):
        from_url("memory://", **{option: value})
