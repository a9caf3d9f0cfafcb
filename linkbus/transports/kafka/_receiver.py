"""The receiver: gives messages to the core and tells the group what was settled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from linkbus._errors import TransportError
from linkbus.abc import Arrival, Lost, Receiver, Settlement, SettleResult
from linkbus.transports.kafka._assignment import Assignment, LogRestarted
from linkbus.transports.kafka._committing import Committing
from linkbus.transports.kafka._membership import Membership
from linkbus.transports.kafka._options import Options

_COMMIT_TIMEOUT = 2.0
_LEAVE_TIMEOUT = 4.0
_FULL_WAIT = 0.1
"""Seconds to wait for other partitions before one that was full is looked at again."""


class KafkaReceiver(Receiver):
    """A member of a consumer group; made by `KafkaTransport.subscribe`."""

    def __init__(self, options: Options, topic: str, group: str, lost: Lost) -> None:
        self._options = options
        self._topic = topic
        self._group = group
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._assignment = Assignment()
        self._membership = self._new_membership()
        self._committing = Committing(self._commit, options.commit_interval)
        self._work: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._settled: asyncio.Future[None] | None = None
        self._is_full = False
        self._is_closed = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def raw(self) -> object:
        """The `AIOKafkaConsumer`, for what linkbus does not offer; another after a failure."""
        return self._membership.consumer

    async def join(self) -> None:
        """Join the group; if that fails or is cancelled, nothing is left behind."""
        try:
            await self._membership.join()
        except BaseException:  # cancelled, too: nothing stays behind
            await self.aclose()
            raise

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        """Return messages: released ones first, then new ones."""
        deadline = self._loop.time() + wait
        while not self._is_closed:
            found = self._assignment.take(max_messages, self._loop.time())
            if not found and self._may_fetch():
                await self._fetch(max_messages, 0.0)
                found = self._assignment.take(max_messages, self._loop.time())
            if found:
                return found
            self._check()
            left = deadline - self._loop.time()
            self._work_on(max_messages, left)
            if left <= 0:
                break
            await self._wait(left)
        return []

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        """Note the outcomes; watermarks are committed later, many at once."""
        assignment, now = self._assignment, self._loop.time()
        results = [assignment.settle(settlement, now) for settlement in settlements]
        if not self._is_closed:
            self._committing.note(len(results))
        if self._wake is not None and (assignment.released or self._is_full):
            assignment.released = False
            _set(self._wake)
        if self._settled is not None and not assignment.given:
            _set(self._settled)
        return results

    async def aclose(self) -> None:
        """Commit what was settled and leave the group, within a few seconds."""
        if self._closing is None:
            self._is_closed = True
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    def _new_membership(self) -> Membership:
        return Membership(self._options, self._topic, self._group, self._let_go)

    def _may_fetch(self) -> bool:
        """Whether a fetch without waiting would neither wait nor find a broken consumer."""
        return self._work is None and self._membership.is_stable and not self._membership.is_broken

    async def _fetch(self, limit: int, wait: float) -> None:
        full = self._assignment.full(self._options.max_gap)
        self._is_full = self._membership.is_full(full)
        if self._is_full:
            return
        wait = min(wait, _FULL_WAIT) if full else wait
        fetched = await self._membership.fetch(full, limit, wait)
        try:
            self._assignment.add(fetched)
        except LogRestarted:
            self._membership.is_broken = True

    def _check(self) -> None:
        """Raise what went wrong in the background."""
        if self._work is not None and self._work.done():
            work, self._work = self._work, None
            work.result()
        try:
            self._membership.check()
        except TransportError:
            if self._work is not None:  # what it waits for will not come
                self._work.cancel()
                self._work = None
            raise

    def _work_on(self, limit: int, seconds: float) -> None:
        """Fetch, in a task of its own: a rebalance may hold it up beyond any `receive`."""
        is_broken = self._membership.is_broken
        if self._work is None and (is_broken or (seconds > 0 and not self._is_full)):
            self._work = asyncio.create_task(self._bring(limit, seconds))

    async def _wait(self, seconds: float) -> None:
        """Wait until there may be something to give, or something failed."""
        due = self._assignment.next_due
        if due is not None:
            seconds = min(seconds, max(0.0, due - self._loop.time()))
        self._wake = self._loop.create_future()
        waiting = {self._wake} if self._work is None else {self._wake, self._work}
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wake = None

    async def _bring(self, limit: int, seconds: float) -> None:
        if self._membership.is_broken:
            await self._join_again()
        await self._fetch(limit, seconds)

    async def _join_again(self) -> None:
        self._lose()
        await self._membership.leave(_LEAVE_TIMEOUT)
        self._membership = self._new_membership()
        try:
            await self._membership.join()
        except BaseException:  # cancelled, too: nobody knows how far it came
            self._membership.is_broken = True
            raise

    async def _let_go(self, gone: bool) -> None:
        """Let the core finish what it works on, then commit; the partitions go after that."""
        if gone:
            self._lose()
            return
        arrivals = self._assignment.stop_giving()
        if arrivals and not self._is_closed:
            self._settled = self._loop.create_future()
            self._lost(arrivals, self._options.rebalance_grace)
            if self._assignment.given:
                await asyncio.wait([self._settled], timeout=self._options.rebalance_grace)
            self._settled = None
        await self._committing.finish(_COMMIT_TIMEOUT)
        self._replace_assignment()

    def _lose(self) -> None:
        self._committing.cancel()
        arrivals = self._assignment.stop_giving()
        self._replace_assignment()
        if arrivals and not self._is_closed:
            self._lost(arrivals, 0.0)

    def _replace_assignment(self) -> None:
        self._assignment.end()
        self._assignment = Assignment()
        self._is_full = False

    async def _commit(self, timeout: float) -> bool:
        assignment = self._assignment
        offsets = assignment.uncommitted()
        if offsets and not await self._membership.commit(offsets, timeout):
            return False
        assignment.commit(offsets)
        return True

    async def _close(self) -> None:
        for waiting in (self._wake, self._settled):
            _set(waiting)
        self._assignment.stop_giving()
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        await self._committing.finish(_COMMIT_TIMEOUT)
        self._assignment.end()
        await self._membership.leave(_LEAVE_TIMEOUT)


def _set(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
