"""Groups on a real Kafka: rebalances, watermarks, and members that are slow, lost or closed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from linkbus import TransportError
from linkbus.abc import Arrival, Envelope, Outcome, Settlement
from linkbus.transports.kafka import KafkaTransport
from linkbus.transports.kafka._receiver import KafkaReceiver
from tests.brokers.fixtures import Kafka
from tests.integration.conftest import Members, Opening, received, settled

pytestmark = pytest.mark.broker


async def send(transport: KafkaTransport, topic: str, count: int, *, keys: int = 0) -> None:
    batch = [
        Envelope(str(number), b"", str(number % keys) if keys else None) for number in range(count)
    ]
    results = await transport.send(topic, batch)
    assert {result.status for result in results} == {"sent"}


async def committed(kafka: Kafka, topic: str, group: str = "group") -> dict[int, int]:
    """Return what the broker knows of a group, by partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return {it.partition: at.offset for it, at in offsets.items() if it.topic == topic}


async def after(before: dict[int, int], kafka: Kafka, topic: str) -> dict[int, int]:
    """Return what the broker knows when it is no more what it was before."""
    for _ in range(100):
        now = await committed(kafka, topic)
        if now != before:
            return now
        await asyncio.sleep(0.02)  # a broker tells nobody that an offset was committed
    pytest.fail(f"nothing more was committed than {before}")


async def test_two_members_share_and_hand_over(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """A member that must share finishes what it works on, and nothing is given twice."""
    topic = kafka.create_topic(partitions=4)
    transport = await opening()
    await send(transport, topic, 40, keys=40)
    working: list[Arrival] = []
    told: list[float] = []
    tasks: list[asyncio.Task[object]] = []

    def lost(arrivals: Sequence[Arrival], grace: float) -> None:
        assert {one.id for one in arrivals} == {one.id for one in working}
        told.append(grace)
        tasks.append(asyncio.create_task(drain()))

    async def drain() -> None:
        done, unbegun = working[:6], working[6:]
        await settled(first, unbegun, Outcome.RELEASE)
        await asyncio.sleep(0)
        await settled(first, done)

    first = await members.join(transport, topic, lost=lost)
    working += await received(first, 10)
    second = await members.join(await opening(), topic)
    assert told == [15.0]
    await asyncio.gather(*tasks)
    rest: dict[str | None, int] = {}
    for _ in range(100):
        for member in (first, second):
            for one in await member.receive(10, 0.05):
                rest[one.id] = rest.get(one.id, 0) + 1
        if len(rest) == 34:
            break
    assert rest.keys() == {str(n) for n in range(40)} - {one.id for one in working[:6]}
    assert set(rest.values()) == {1}


async def test_what_was_lost_is_stale(kafka: Kafka, opening: Opening, members: Members) -> None:
    """After the grace settling is STALE and commits nothing, and the message comes again."""
    topic = kafka.create_topic()
    transport = await opening(rebalance_grace=0.2)
    await send(transport, topic, 5)
    first = await members.join(transport, topic)
    held = await received(first, 5)
    await settled(first, held[:2])
    second = await members.join(transport, topic)
    assert members.lost == [(held[2:], 0.2)]
    assert await settled(first, held[2:]) == ["stale"] * 3
    again: list[Arrival] = []
    for _ in range(100):
        for member in (first, second):
            again += await member.receive(10, 0.05)
        if len(again) == 3:
            break
    assert [one.id for one in again] == ["2", "3", "4"]
    assert await committed(kafka, topic) == {0: 2}


async def test_the_watermark_passes_nothing_unsettled(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """What is acknowledged out of order is committed up to the first that is not."""
    topic = kafka.create_topic()
    transport = await opening(commit_interval=0.05)
    await send(transport, topic, 10)
    receiver = await members.join(transport, topic)
    held = await received(receiver, 10)
    await settled(receiver, [held[n] for n in (5, 6, 9)])
    for order, expected in (([0], 1), ([2, 1], 3), ([4, 3], 7), ([8, 7], 10)):
        before = await committed(kafka, topic)
        await settled(receiver, [held[n] for n in order])
        assert await after(before, kafka, topic) == {0: expected}


async def test_nothing_is_lost_when_a_member_crashes(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """A member that acknowledged out of order and then vanished has lost nothing."""
    topic = kafka.create_topic()
    transport = await opening(session_timeout=1.0, commit_interval=0.05)
    await send(transport, topic, 10)
    receiver = await members.join(transport, topic)
    held = await received(receiver, 10)
    await settled(receiver, [held[n] for n in (0, 1, 5, 9)])
    assert await after({}, kafka, topic) == {0: 2}
    coordinator = receiver.raw._coordinator
    for task in (coordinator._heartbeat_task, coordinator._coordination_task):
        task.cancel()  # a crash tells nobody that it leaves
    following = await members.join(transport, topic)
    got = await received(following, 8)
    assert [one.id for one in got] == [str(n) for n in range(2, 10)]


async def test_a_released_message_comes_again_before_its_key_goes_on(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """The receiver gives it again itself, and later ones of its key wait for its delay."""
    topic = kafka.create_topic()
    transport = await opening(commit_interval=0.05)
    await send(transport, topic, 8, keys=2)
    receiver = await members.join(transport, topic)
    first, second = await received(receiver, 2)
    await receiver.settle([Settlement(first, Outcome.RELEASE, 0.3)])
    await settled(receiver, [second])
    others = await received(receiver, 3)
    assert [one.id for one in others] == ["3", "5", "7"]
    assert await receiver.receive(10, 0.05) == []
    again = await received(receiver, 4)
    assert [one.id for one in again] == ["0", "2", "4", "6"]
    assert await settled(receiver, [first]) == ["stale"]
    assert await settled(receiver, [*others, *again]) == ["ok"] * 7
    await receiver.aclose()
    assert await committed(kafka, topic) == {0: 8}


async def test_a_member_that_does_not_receive_stays(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """Nobody receives for three sessions: the member keeps its partitions and its place."""
    topic = kafka.create_topic()
    transport = await opening(session_timeout=1.0)
    await send(transport, topic, 3)
    receiver = await members.join(transport, topic)
    held = await received(receiver, 1)
    await asyncio.sleep(3.0)  # three sessions pass: that is the test
    assert members.lost == []
    held += await received(receiver, 2)
    assert await settled(receiver, held) == ["ok"] * 3
    await receiver.aclose()
    assert await committed(kafka, topic) == {0: 3}


async def test_a_member_that_does_not_receive_shares(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """A rebalance reaches a member of which nobody receives."""
    topic = kafka.create_topic(partitions=2)
    transport = await opening(rebalance_grace=0.3)
    await send(transport, topic, 10, keys=10)
    first = await members.join(transport, topic)
    held = await received(first, 10)
    second = await members.join(transport, topic)
    assert members.lost == [(held, 0.3)]
    assert await received(second, 1)


async def test_a_full_partition_waits_and_others_flow(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """No more than `max_gap` of a partition are held above what is not settled."""
    topic = kafka.create_topic(partitions=2)
    transport = await opening(max_gap=10)
    for partition in (0, 1):
        for number in range(30):
            await transport.raw.send(topic, b"%d" % number, partition=partition)
    await transport.raw.flush()
    receiver = await members.join(transport, topic)
    first = {0: None, 1: None}
    counts = {0: 0, 1: 0}
    for _ in range(40):
        for one in await receiver.receive(5, 0.05):
            partition = int(one.attributes["messaging.destination.partition.id"])
            counts[partition] += 1
            if partition == 0 and first[0] is None:
                first[0] = one
            else:
                await settled(receiver, [one])
    assert 10 <= counts[0] <= 15
    assert counts[1] == 30
    assert first[0] is not None
    await settled(receiver, [first[0]])
    assert len(await received(receiver, 30 - counts[0])) == 30 - counts[0]


async def test_a_member_that_was_expelled_loses_at_once(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """When the group has given the partitions to others, there is no time to finish."""
    topic = kafka.create_topic()
    transport = await opening(session_timeout=1.0)
    await send(transport, topic, 3)
    receiver = await members.join(transport, topic)
    held = await received(receiver, 3)
    receiver.raw._coordinator.reset_generation()
    again = await received(receiver, 3)
    assert members.lost == [(held, 0.0)]
    assert await settled(receiver, held) == ["stale"] * 3
    assert await settled(receiver, again) == ["ok"] * 3


@pytest.mark.parametrize("task", ["_coordinator._coordination_task", "_fetcher._fetch_task"])
async def test_a_consumer_that_died_is_replaced(
    kafka: Kafka, opening: Opening, members: Members, task: str
) -> None:
    """A background task that ended in silence is an error that may pass, then all goes on."""
    topic = kafka.create_topic()
    transport = await opening(session_timeout=2.0)
    await send(transport, topic, 2)
    receiver = await members.join(transport, topic)
    held = await received(receiver, 2)
    part, name = task.split(".")
    dying = getattr(getattr(receiver.raw, part), name)
    dying.cancel()
    await asyncio.wait([dying])
    again = await received_after_an_error(receiver, 2)
    assert [one.id for one in again] == ["0", "1"]
    assert members.lost == [(held, 0.0)]
    assert await settled(receiver, again) == ["ok"] * 2


async def test_a_closed_receiver_gives_nothing(
    kafka: Kafka, opening: Opening, members: Members
) -> None:
    """Closing ends a receive that waits; what was held goes to the next member."""
    topic = kafka.create_topic()
    transport = await opening()
    await send(transport, topic, 2)
    receiver = await members.join(transport, topic)
    held = await received(receiver, 2)
    await settled(receiver, held[:1])
    waiting = asyncio.create_task(receiver.receive(1, 5.0))
    await asyncio.sleep(0)
    await receiver.aclose()
    assert await waiting == []
    assert await receiver.receive(1, 0.0) == []
    assert await settled(receiver, held[1:]) == ["stale"]
    following = await members.join(transport, topic)
    assert [one.id for one in await received(following, 1)] == ["1"]


async def test_closing_amid_a_rebalance(kafka: Kafka, opening: Opening, members: Members) -> None:
    """A member that is told to let go, and closes instead, leaves at once."""
    topic = kafka.create_topic()
    transport = await opening(rebalance_grace=10.0)
    await send(transport, topic, 2)
    told = asyncio.Event()
    first = await members.join(transport, topic, lost=lambda *_: told.set())
    await received(first, 1)
    joining = asyncio.create_task(members.join(transport, topic))
    await told.wait()
    await asyncio.wait_for(first.aclose(), 3.0)
    assert len(await received(await joining, 2)) == 2


async def received_after_an_error(receiver: KafkaReceiver, count: int) -> list[Arrival]:
    """Receive, calling again after an error that may pass, as the core does."""
    with pytest.raises(TransportError) as raised:
        await received(receiver, count)
    assert raised.value.retryable
    return await received(receiver, count)
