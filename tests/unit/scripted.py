"""A transport whose broker is the test: it answers what it was told to, and notes every call.

It keeps the contract of `linkbus.abc` as far as it is not told otherwise, so it is for
what the memory transport cannot be made to do: errors, revoked deliveries, leases that
fail, wrong answers, calls that take as long as the test likes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import anyio
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider

from linkbus import Bus, Delivery, SendResult, SendStatus, Tracing
from linkbus.abc import (
    Arrival,
    Capabilities,
    Envelope,
    Lost,
    Outcome,
    Receiver,
    Settlement,
    SettleResult,
    SettleStatus,
    Transport,
)

Sends: TypeAlias = BaseException | Sequence[SendResult] | anyio.Event
Settles: TypeAlias = BaseException | Sequence[SettleResult] | anyio.Event
Note: TypeAlias = tuple[str | None, Outcome, float]

OK = SettleResult(SettleStatus.OK)
STALE = SettleResult(SettleStatus.STALE)
EMPTY: Sequence[Arrival] = ()
UNTRACED = Tracing(tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider())


class Watch:
    """Lets a test wait until something is so, instead of sleeping."""

    def __init__(self) -> None:
        self._changed = anyio.Event()

    def changed(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, is_so: Callable[[], object]) -> None:
        with anyio.fail_after(5):
            while not is_so():
                await self._changed.wait()


class ScriptedTransport(Transport):
    """Answers each `send` with the next of `sends`, and with SENT when there is none.

    An exception is raised, an event is waited for and then the next answer counts.

    Attributes:
        sent: The ids of each call, with its destination.
        receivers: Those it made, the newest last.
        redelivers: What is released comes again, before everything else.
        subscribes: As `sends`, for `subscribe`.
    """

    system = "scripted"

    def __init__(self, capabilities: Capabilities | None = None, *, redelivers: bool = False):
        self.capabilities = Capabilities() if capabilities is None else capabilities
        self.sends: deque[Sends] = deque()
        self.subscribes: deque[BaseException | anyio.Event] = deque()
        self.sent: list[tuple[str, list[str]]] = []
        self.envelopes: list[Envelope] = []
        self.receivers: list[ScriptedReceiver] = []
        self.redelivers = redelivers
        self.opens = self.closes = 0
        self.failing: BaseException | None = None
        self.watch = Watch()

    @property
    def receiver(self) -> ScriptedReceiver:
        return self.receivers[-1]

    async def open(self) -> None:
        self.opens += 1
        if self.failing is not None:
            raise self.failing

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        self.sent.append((destination, [envelope.id for envelope in batch]))
        self.envelopes += batch
        self.watch.changed()
        while self.sends:
            answer = self.sends.popleft()
            if isinstance(answer, anyio.Event):
                await answer.wait()
            elif isinstance(answer, BaseException):
                raise answer
            else:
                return answer
        return [SendResult(SendStatus.SENT)] * len(batch)

    async def subscribe(self, source: str, group: str, *, prefetch: int, lost: Lost) -> Receiver:
        receiver = ScriptedReceiver(self, prefetch, lost)
        while self.subscribes:
            answer = self.subscribes.popleft()
            if isinstance(answer, BaseException):
                raise answer
            await answer.wait()
        self.receivers.append(receiver)
        self.watch.changed()
        return receiver

    async def aclose(self) -> None:
        self.closes += 1


class ScriptedReceiver(Receiver):
    """Receives what a test gives it, and notes what becomes of that.

    Attributes:
        lost: The core's callback.
        asked: `max_messages` of each receive.
        settled: Id, outcome and delay of each settlement.
        extended: The ids of each extension.
        settles: Answers to `settle`, as in `ScriptedTransport.sends`.
        extends: Answers to `extend`, likewise.
        gate: Set: arrivals are returned. A receive waits for it, whatever was given.
        is_hasty: An empty receive returns at once.
        too_late: The calls that were made after `aclose`.
    """

    def __init__(self, transport: ScriptedTransport, prefetch: int, lost: Lost) -> None:
        self._transport = transport
        self._given: deque[Arrival | BaseException] = deque()
        self._some = anyio.Event()
        self.prefetch = prefetch
        self.lost = lost
        self.asked: list[int] = []
        self.settled: list[Note] = []
        self.settle_calls = 0
        self.extended: list[list[str | None]] = []
        self.settles: deque[Settles] = deque()
        self.extends: deque[Settles] = deque()
        self.gate = anyio.Event()
        self.gate.set()
        self.closing: BaseException | anyio.Event | None = None
        self.is_hasty = False
        self.is_closed = False
        self.is_receiving = False
        self.too_late: list[str] = []

    def give(self, *what: Arrival | BaseException | str) -> None:
        """Have arrivals received, or a receive raise; a `str` is an arrival's id and key."""
        self._given.extend(arrival(one) if isinstance(one, str) else one for one in what)
        self._some.set()

    def give_nothing(self) -> None:
        """Have the receive under way return empty."""
        self._some.set()

    @property
    def outcomes(self) -> list[tuple[str | None, str]]:
        """The id and the outcome of each settlement, in order."""
        return [(mid, outcome.value) for mid, outcome, _ in self.settled]

    async def until(self, is_so: Callable[[], object]) -> None:
        await self._transport.watch.until(is_so)

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        self._note("receive")
        assert not self.is_receiving, "two receives at once"
        self.asked.append(max_messages)
        self._transport.watch.changed()
        if self.is_hasty and not self._given:
            return EMPTY
        self.is_receiving = True
        try:
            with anyio.move_on_after(wait):
                await self._some.wait()
                await self.gate.wait()
        finally:
            self.is_receiving = False
            self._transport.watch.changed()
        return self._next(max_messages)

    def _next(self, most: int) -> Sequence[Arrival]:
        got: list[Arrival] = []
        while self._given and len(got) < most:
            one = self._given[0]
            if isinstance(one, BaseException):
                if got:
                    break
                self._given.popleft()
                raise one
            self._given.popleft()
            got.append(one)
        if not self._given and not self.is_closed:
            self._some = anyio.Event()
        return got

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        self._note("settle")
        self.settle_calls += 1
        self._transport.watch.changed()
        answer = await self._answer(self.settles)
        self.settled += [(s.arrival.id, s.outcome, s.delay) for s in settlements]
        if self._transport.redelivers:
            self._redeliver([s.arrival for s in settlements if s.outcome is Outcome.RELEASE])
        self._transport.watch.changed()
        return [OK] * len(settlements) if answer is None else answer

    async def extend(self, arrivals: Sequence[Arrival], seconds: float) -> Sequence[SettleResult]:
        self._note("extend")
        self.extended.append([one.id for one in arrivals])
        self._transport.watch.changed()
        answer = await self._answer(self.extends)
        return [OK] * len(arrivals) if answer is None else answer

    async def aclose(self) -> None:
        self.is_closed = True
        self._some.set()
        self.gate.set()
        self._transport.watch.changed()
        if isinstance(self.closing, anyio.Event):
            await self.closing.wait()
        elif self.closing is not None:
            raise self.closing

    def _note(self, call: str) -> None:
        if self.is_closed:
            self.too_late.append(call)

    async def _answer(self, answers: deque[Settles]) -> Sequence[SettleResult] | None:
        while answers:
            answer = answers.popleft()
            if isinstance(answer, anyio.Event):
                await answer.wait()
            elif isinstance(answer, BaseException):
                raise answer
            else:
                return answer
        return None

    def _redeliver(self, arrivals: Sequence[Arrival]) -> None:
        """Give arrivals again, before later ones: their ids are in the order of sending."""
        waiting = [one for one in self._given if isinstance(one, Arrival)]
        for one in arrivals:
            waiting.append(arrival(one.id, key=one.key, attempt=one.attempt + 1, lease=one.lease))
            self._some.set()
        self._given = deque(sorted(waiting, key=lambda one: one.id or ""))


def arrival(
    mid: str | None,
    *,
    body: bytes | None = None,
    key: str | None = None,
    attempt: int = 1,
    lease: float | None = None,
) -> Arrival:
    """Return an arrival whose body is its id; an id like `a1` has the key `a`."""
    if key is None and mid is not None and mid[0].isalpha():
        key = mid[0]
    content = (mid or "").encode() if body is None else body
    return Arrival(id=mid, body=content, key=key, attempt=attempt, lease=lease)


@asynccontextmanager
async def scripted(
    *,
    redelivers: bool = False,
    send_timeout: float = 30.0,
    tracing: Tracing = UNTRACED,
    **capabilities: object,
) -> AsyncIterator[tuple[Bus, ScriptedTransport]]:
    """Open a bus on a scripted transport; at the end nothing was called too late."""
    can = Capabilities(**capabilities)  # type: ignore[arg-type]
    transport = ScriptedTransport(can, redelivers=redelivers)
    async with Bus(transport, tracing=tracing, send_timeout=send_timeout) as bus:
        yield bus, transport
    for receiver in transport.receivers:
        assert receiver.is_closed
        assert not receiver.too_late, f"called after aclose: {receiver.too_late}"


class Work:
    """A handler that notes its calls, waits where the test wants it, and fails as told.

    Attributes:
        started: The id of every call, in order.
        ended: The ids of those that came to their end without an error.
        cancelled: The ids of those that were cancelled.
        most: How many ran at once, at most.
        gates: A call with this id waits for the event.
        fails: A call with this id raises the next of these.
    """

    def __init__(self) -> None:
        self.started: list[str | None] = []
        self.ended: list[str | None] = []
        self.cancelled: list[str | None] = []
        self.attempts: list[int] = []
        self.gates: dict[str, anyio.Event] = {}
        self.fails: dict[str, deque[BaseException]] = {}
        self.most = 0
        self.running = 0
        self.watch = Watch()

    def gate(self, *ids: str) -> None:
        self.gates.update({one: anyio.Event() for one in ids})

    def fail(self, mid: str, *errors: BaseException) -> None:
        self.fails[mid] = deque(errors)

    async def until(self, is_so: Callable[[], object]) -> None:
        await self.watch.until(is_so)

    async def __call__(self, delivery: Delivery) -> None:
        await self.work(delivery)

    async def work(self, delivery: Delivery) -> None:
        mid = delivery.id or ""
        self.started.append(mid)
        self.attempts.append(delivery.attempt)
        self.running += 1
        self.most = max(self.most, self.running)
        self.watch.changed()
        try:
            if mid in self.gates:
                await self.gates[mid].wait()
            if self.fails.get(mid):
                raise self.fails[mid].popleft()
            self.ended.append(mid)
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(mid)
            raise
        finally:
            self.running -= 1
            self.watch.changed()


@asynccontextmanager
async def running(service: Coroutine[object, object, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run a service in a task, which is cancelled at the end unless it has ended."""
    task = asyncio.create_task(service)
    try:
        yield task
    finally:
        task.cancel()  # drains; what a test has left waiting is cancelled by the second one
        await asyncio.wait([task], timeout=0.05)
        task.cancel()
        with anyio.fail_after(5):
            await asyncio.wait([task])


async def ended(task: asyncio.Task[None]) -> BaseException | None:
    """Wait until a service ends by itself, and return its error."""
    with anyio.fail_after(5):
        await asyncio.wait([task])
    return None if task.cancelled() else task.exception()
