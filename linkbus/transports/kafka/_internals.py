"""All that is used of aiokafka beyond its public interface, and why.

- Its `stop` methods may never return while the broker is away: an idempotent batch never
  expires, and a member that is joining waits for the others. So a client that does not
  stop in time is abandoned: its tasks are cancelled and its connections dropped.
  https://github.com/aio-libs/aiokafka/issues/647
- A background task of a consumer may end without a word, and `getmany` then waits for ever.
  https://github.com/aio-libs/aiokafka/issues/983
- Only the generation says whether the group has expelled a member: a partition that is
  revoked and one that was lost reach the listener by the same call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import ProducerClosed

_STEP = 0.02
_ROUNDS = 50


async def close_producer(producer: AIOKafkaProducer, timeout: float) -> None:
    """Stop a producer, whatever happens, in little more than `timeout` seconds.

    If cancelled, it abandons at once what is left.
    """
    stopping = asyncio.ensure_future(_quietly(producer.stop()))
    try:
        await asyncio.wait([stopping], timeout=timeout)
    finally:
        if not stopping.done():
            await asyncio.shield(_abandon_producer(producer, stopping))


async def close_consumer(consumer: AIOKafkaConsumer, timeout: float) -> None:
    """Stop a consumer, whatever happens, in little more than `timeout` seconds.

    If cancelled, it abandons at once what is left.
    """
    stopping = asyncio.ensure_future(_quietly(consumer.stop()))
    try:
        await asyncio.wait([stopping], timeout=timeout)
    finally:
        if not stopping.done():
            await asyncio.shield(_abandon_consumer(consumer, stopping))


def has_died(consumer: AIOKafkaConsumer) -> bool:
    """Whether a task without which a consumer receives nothing has ended."""
    tasks = (consumer._coordinator._coordination_task, consumer._fetcher._fetch_task)
    return any(task.done() for task in tasks)


def is_expelled(consumer: AIOKafkaConsumer) -> bool:
    """Whether the group no longer knows this member, so that others have its partitions."""
    return consumer._coordinator.generation < 0


async def _quietly(stopping: Coroutine[object, object, None]) -> None:
    try:
        await stopping
    except Exception:  # noqa: BLE001, S110 - the client is given up; it has logged why
        pass


async def _abandon_producer(producer: AIOKafkaProducer, stopping: asyncio.Task[None]) -> None:
    accumulator = producer._message_accumulator
    batches = [batch for waiting in accumulator._batches.values() for batch in waiting]
    for batch in (*batches, *accumulator._pending_batches):
        batch._drain_waiter.add_done_callback(_retrieve)
    accumulator.fail_all(ProducerClosed())
    sender = producer._sender.sender_task
    await _cancel([] if sender is None else [sender])
    await _cancel([stopping])
    await _within_a_second(producer.client.close())


async def _abandon_consumer(consumer: AIOKafkaConsumer, stopping: asyncio.Task[None]) -> None:
    await _cancel([stopping])
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    tasks: list[asyncio.Task[object] | None] = []
    if coordinator is not None:
        tasks += [
            coordinator._coordination_task,
            coordinator._heartbeat_task,
            coordinator._commit_refresh_task,
        ]
    if fetcher is not None:
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]
    await _cancel([task for task in tasks if task is not None])
    await _within_a_second(consumer._client.close())


async def _cancel(tasks: list[asyncio.Task[None]] | list[asyncio.Task[object]]) -> None:
    """Cancel tasks until they are done: some of aiokafka's swallow the first time."""
    for _ in range(_ROUNDS):
        waiting = [task for task in tasks if not task.done()]
        if not waiting:
            break
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=_STEP)
    for task in tasks:
        _retrieve(task)


async def _within_a_second(closing: Coroutine[object, object, None]) -> None:
    task = asyncio.ensure_future(_quietly(closing))
    await asyncio.wait([task], timeout=1.0)
    await _cancel([task])


def _retrieve(done: asyncio.Future[object] | asyncio.Task[None]) -> None:
    if done.done() and not done.cancelled():
        done.exception()
