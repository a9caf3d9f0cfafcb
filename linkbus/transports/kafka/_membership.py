"""Membership: one consumer's stay in a group, from joining to leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from linkbus._errors import ConnectError, TransportError
from linkbus.transports.kafka._errors import unusable
from linkbus.transports.kafka._internals import close, has_died, is_expelled, start
from linkbus.transports.kafka._mapping import Record
from linkbus.transports.kafka._options import Options, ms
from linkbus.transports.kafka._unwrapped import unwrapped

_NEVER_MS = 2**31 - 1
"""aiokafka's `max_poll_interval_ms`, which no broker sees, as long as it can be."""

_NOWHERE = TopicPartition("", 0)

Revoked = Callable[[bool], Awaitable[None]]


class Membership(ConsumerRebalanceListener):
    """A consumer that is a member of a group, and tells when its partitions are revoked.

    The member stays in the group while nobody receives, however long: its heartbeats come
    from a task of aiokafka, and it never leaves because of `max_poll_interval_ms`, behind
    which a slow message would be given to one member after the other.

    Args:
        options: The transport's.
        topic: What to consume.
        group: The group to join.
        revoked: Called when the partitions are going; they go when it returns. It is told
            whether they are gone already.

    Attributes:
        is_stable: Whether partitions are assigned, so that `fetch` with no wait does not wait.
        is_broken: Whether it must be replaced.
    """

    def __init__(self, options: Options, topic: str, group: str, revoked: Revoked) -> None:
        self.is_stable = False
        self.is_broken = False
        self._is_started = False
        self._options = options
        self._topic = topic
        self._revoked = revoked
        self._assigned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._consumer = AIOKafkaConsumer(
            **options.connection,
            group_id=group,
            # a join waits at the broker until every other member has let go of its partitions
            request_timeout_ms=ms(max(options.request_timeout, options.rebalance_timeout + 5.0)),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=options.isolation_level,
            session_timeout_ms=ms(options.session_timeout),
            heartbeat_interval_ms=ms(options.heartbeat_interval),
            rebalance_timeout_ms=ms(options.rebalance_timeout),
            max_poll_interval_ms=_NEVER_MS,
            fetch_max_wait_ms=ms(options.fetch_max_wait),
            fetch_min_bytes=options.fetch_min_bytes,
            fetch_max_bytes=options.fetch_max_bytes,
            max_partition_fetch_bytes=options.fetch_max_partition_bytes,
        )

    @property
    def consumer(self) -> AIOKafkaConsumer:
        """The client, for what linkbus does not offer."""
        return self._consumer

    async def join(self) -> None:
        """Connect and join; returns when partitions are assigned, though none may be.

        Raises:
            TransportError: The broker did not answer, or refused. `leave` is still needed.
        """
        doing = f"joining a group of topic {self._topic!r}"
        options = self._options
        try:
            await start(self._consumer, options.connect_timeout)
            self._is_started = True
            self._consumer.subscribe([self._topic], listener=self)
            waiting = asyncio.ensure_future(self._refusal())
            try:
                async with asyncio.timeout(options.rebalance_timeout + options.session_timeout):
                    await asyncio.wait(
                        [waiting, self._assigned], return_when=asyncio.FIRST_COMPLETED
                    )
                if waiting.done():
                    waiting.result()
            finally:
                waiting.cancel()
                with suppress(asyncio.CancelledError, KafkaError):
                    await waiting
        except TimeoutError as error:
            msg = f"{doing}: it took too long"
            raise ConnectError(msg, retryable=True) from error
        except KafkaError as error:
            raise unusable(error, doing) from error

    async def fetch(
        self, full: Collection[TopicPartition], limit: int, wait: float
    ) -> dict[TopicPartition, list[Record]]:
        """Return the next records, waiting for the first; none from partitions that are full.

        May wait longer than `wait` while partitions are being reassigned.

        Raises:
            TransportError: The group or the broker refused. Unless it may pass, the
                membership is broken then.
        """
        wanted = () if not full else self._consumer.assignment() - set(full)
        getmany = unwrapped(self._consumer.getmany)
        try:
            return await getmany(*wanted, timeout_ms=ms(wait), max_records=limit)
        except Exception as error:
            self.is_broken = True
            raise unusable(error, f"receiving from topic {self._topic!r}") from error

    def is_full(self, full: Collection[TopicPartition]) -> bool:
        """Whether these are all partitions that are assigned, and there are some."""
        return bool(full) and self._consumer.assignment() <= set(full)

    def check(self) -> None:
        """Notice a consumer that has died in silence.

        Raises:
            TransportError: It has; the membership is broken.
        """
        if not self.is_broken and has_died(self._consumer):
            self.is_broken = True
            msg = f"the consumer of topic {self._topic!r} has ended by itself; another takes over"
            raise TransportError(msg, retryable=True)

    async def commit(self, offsets: dict[TopicPartition, int], timeout: float) -> bool:
        """Tell the group what is done, and say whether it has taken note.

        A commit may fail for many reasons of which none matters: the messages come again.
        """
        if is_expelled(self._consumer):
            return False
        try:
            async with asyncio.timeout(timeout):
                await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError):
            return False
        return True

    async def leave(self, timeout: float) -> None:
        """Leave the group and disconnect, in little more than `timeout` seconds."""
        if self._is_started:
            await close(self._consumer, timeout)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let go of all partitions; aiokafka waits for this before it joins again."""
        self.is_stable = False
        await self._revoked(is_expelled(self._consumer))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Receive again."""
        self.is_stable = True
        if not self._assigned.done():
            self._assigned.set_result(None)

    async def _refusal(self) -> None:
        """Wait for the error that ends a join; only `getmany` tells, and it waits with it."""
        await unwrapped(self._consumer.getmany)(_NOWHERE, timeout_ms=0)
