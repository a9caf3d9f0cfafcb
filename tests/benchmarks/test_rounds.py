"""One round, in this process, without an SDK."""

from __future__ import annotations

from contenders import Failing, Hanging, Losing

from benchmarks.contender import Maker, Mode
from benchmarks.peers.linkbus_bus import Linkbus
from benchmarks.peers.memory_queue import MemoryQueue
from benchmarks.rounds import Outcome, Work, round_of
from benchmarks.telemetry import Telemetry


async def outcome_of(maker: Maker, work: Work, timeout: float = 10.0) -> Outcome:
    telemetry = Telemetry(Mode.NO_SDK)
    return await round_of(maker, "memory", "", telemetry, work, timeout=timeout)


async def test_a_round_has_two_halves():
    """Both are measured, and nothing makes spans where there is no SDK."""
    outcome = await outcome_of(MemoryQueue, Work(200))
    assert outcome.void is None
    assert outcome.send is not None
    assert outcome.receive is not None
    assert outcome.send.wall > 0
    assert outcome.receive.wall > 0
    assert outcome.send.spans == outcome.receive.links == 0


async def test_a_round_in_batches():
    """Linkbus sends and receives batches, and every message counts."""
    outcome = await outcome_of(Linkbus, Work(200, batch=20))
    assert outcome.void is None
    assert outcome.receive is not None
    assert outcome.receive.slices


async def test_a_round_that_loses_a_message():
    """It is void, and says how many are missing."""
    outcome = await outcome_of(Losing, Work(100))
    assert outcome == Outcome(void="1 of 100 messages were not handled")


async def test_a_round_that_fails():
    """It is void, with the error, though several tasks failed."""
    outcome = await outcome_of(Failing, Work(100, senders=3))
    assert outcome.send is None
    assert "OSError: the disk is full" in str(outcome.void)


async def test_a_round_that_hangs():
    """It is void when its time is over."""
    outcome = await outcome_of(Hanging, Work(100), timeout=0.1)
    assert outcome == Outcome(void="0 of 100 messages in 0.1 s")


async def test_a_round_that_is_too_short():
    """One batch has no beginning and no end that could be measured."""
    outcome = await outcome_of(MemoryQueue, Work(10, batch=10))
    assert "too few messages" in str(outcome.void)
