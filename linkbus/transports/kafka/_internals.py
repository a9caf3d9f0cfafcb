"""All that is used of aiokafka beyond its public interface, and why.

- Its `start` methods leave a connection behind when they are cancelled, so they never are.
- Its `stop` methods may fail half-way, or never return, while the broker is away: an
  idempotent batch never expires, and a member that is joining waits for the others. So a
  client that does not stop in time is abandoned: its tasks are cancelled and its
  connections dropped.
  https://github.com/aio-libs/aiokafka/issues/647
- The callback with which a sender fails what is pending fails itself, with an error that
  reaches only the event loop, where there is no transaction. So an abandoned producer is
  relieved of it.
- A member whose coordinator is unknown leaves without a word, and the group waits for it
  until its session ends. So the coordinator is looked for first.
- A background task of a consumer may end without a word, and `getmany` then waits for ever.
  https://github.com/aio-libs/aiokafka/issues/983
- Only the generation says whether the group has expelled a member: a partition that is
  revoked and one that was lost reach the listener by the same call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

_PATIENCE = 1.0
_STEP = 0.02
_ROUNDS = 50


class Client(Protocol):
    """A producer or a consumer."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""


async def start(client: Client, timeout: float) -> None:
    """Start a client.

    If this fails, nothing is left open. If it is cancelled, what is left open is closed
    at once by a task that ends by itself.

    Args:
        client: A client that was not started.
        timeout: Seconds that it may take.

    Raises:
        KafkaError: No broker was reached, or it refused.
        TimeoutError: It took too long.
    """
    starting = asyncio.ensure_future(client.start())
    try:
        async with asyncio.timeout(timeout):
            await asyncio.shield(starting)
    except asyncio.CancelledError:
        _goes_on(_undo(client, starting))
        raise
    except Exception:  # whatever it was, nothing may stay open
        await _goes_on(_undo(client, starting))
        raise


async def close(client: Client, timeout: float) -> None:
    """Stop a client, whatever happens, in little more than `timeout` seconds.

    If cancelled, a task that ends by itself goes on with it.
    """
    await _goes_on(_close(client, timeout))


def has_died(consumer: AIOKafkaConsumer) -> bool:
    """Whether a task without which a consumer receives nothing has ended."""
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    if coordinator is None or fetcher is None:
        return False  # it has not begun
    return bool(coordinator._coordination_task.done() or fetcher._fetch_task.done())


def is_expelled(consumer: AIOKafkaConsumer) -> bool:
    """Whether the group no longer knows this member, so that others have its partitions."""
    return consumer._coordinator is None or bool(consumer._coordinator.generation < 0)


def _goes_on(coroutine: Coroutine[object, object, None]) -> asyncio.Future[None]:
    """Run something to its end, though whoever waits for it is cancelled."""
    return asyncio.shield(asyncio.ensure_future(coroutine))


async def _undo(client: Client, starting: asyncio.Future[None]) -> None:
    await asyncio.wait([starting], timeout=_PATIENCE)
    await _cancel([starting])
    await _close(client, _PATIENCE)


async def _close(client: Client, timeout: float) -> None:
    stopping = asyncio.ensure_future(_stop(client, timeout / 2))
    await asyncio.wait([stopping], timeout=timeout)
    if stopping.done() and not stopping.cancelled() and stopping.exception() is None:
        return
    if isinstance(client, AIOKafkaProducer):
        await _abandon_producer(client, stopping)
    elif isinstance(client, AIOKafkaConsumer):
        await _abandon_consumer(client, stopping)


async def _stop(client: Client, timeout: float) -> None:
    coordinator = client._coordinator if isinstance(client, AIOKafkaConsumer) else None
    if coordinator is not None and coordinator.generation > 0:
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(timeout):
                await coordinator.ensure_coordinator_known()
    await client.stop()


async def _abandon_producer(producer: AIOKafkaProducer, stopping: asyncio.Future[None]) -> None:
    accumulator = producer._message_accumulator
    batches = [batch for waiting in accumulator._batches.values() for batch in waiting]
    # a batch that waits for its next try takes itself out of this set when it fails
    accumulator._pending_batches.update(batches)
    for batch in accumulator._pending_batches:
        batch._drain_waiter.add_done_callback(_retrieve)
    accumulator.fail_all(ProducerClosed())
    sender = producer._sender.sender_task
    if sender is not None:
        sender.remove_done_callback(producer._sender._fail_all)
        await _cancel([sender])
    await _cancel([stopping])
    await _within_a_second(producer.client.close())


async def _abandon_consumer(consumer: AIOKafkaConsumer, stopping: asyncio.Future[None]) -> None:
    await _cancel([stopping])
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    tasks: list[asyncio.Future[None] | None] = []
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


async def _cancel(tasks: Sequence[asyncio.Future[None]]) -> None:
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
    task = asyncio.ensure_future(closing)
    await asyncio.wait([task], timeout=_PATIENCE)
    await _cancel([task])


def _retrieve(done: asyncio.Future[None]) -> None:
    if done.done() and not done.cancelled():
        done.exception()
