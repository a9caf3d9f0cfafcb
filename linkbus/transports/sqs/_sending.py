"""Sending: batches over requests, side by side or in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from linkbus._errors import ConnectError
from linkbus.abc import Envelope, SendResult, SendStatus
from linkbus.transports._deadlines import Deadlines
from linkbus.transports.sqs._call import Call
from linkbus.transports.sqs._errors import (
    FAILURES,
    is_missing,
    is_too_much,
    is_unknown,
    not_confirmed,
)
from linkbus.transports.sqs._options import Options
from linkbus.transports.sqs._queues import Queue, Queues
from linkbus.transports.sqs._service import Entry, Refusal, Service

_PAUSES = (0.2, 0.8, 2.0)
"""Seconds before each repetition of a request to a FIFO queue that was not answered."""


class Sending:
    """Sends to the queues of one transport, in `senders` requests at once."""

    def __init__(self, service: Service, queues: Queues, options: Options) -> None:
        self._service = service
        self._queues = queues
        self._options = options
        self._room = asyncio.Semaphore(options.senders)
        self._deadlines = Deadlines(options.request_timeout)

    def close(self) -> None:
        """Stop the timer of the time limits."""
        self._deadlines.close()

    async def send(self, destination: str, batch: Sequence[Envelope]) -> list[SendResult]:
        """Send envelopes and say what became of each.

        Raises:
            TransportError: None of them was sent.
        """
        queue = await self._queues.find(destination)
        call = Call(queue, batch, self._options.limit_bytes)
        lanes = call.lanes(self._options.senders)
        if len(lanes) == 1:
            await self._send_lane(call, lanes[0])
        elif lanes:
            async with asyncio.TaskGroup() as tasks:
                for lane in lanes:
                    tasks.create_task(self._send_lane(call, lane))
        return call.results

    async def _send_lane(self, call: Call, lane: Iterable[Sequence[int]]) -> None:
        """Make requests one after another."""
        for part in lane:
            wanted = call.still_wanted(part)
            if wanted:
                await self._send_part(call, wanted)

    async def _send_part(self, call: Call, part: Sequence[int]) -> None:
        entries = [call.entry(number) for number in part]
        try:
            call.note_answer(part, await self._request(call.queue, entries))
        except ConnectError as error:
            failed = SendResult(SendStatus.FAILED, error=error, retryable=error.retryable)
            call.note_failure(part, failed)
        except FAILURES as error:
            if len(part) > 1 and is_too_much(error):  # perhaps of them one, perhaps their sum
                await self._send_lane(call, [[number] for number in part])
            else:
                call.note_failure(part, self._failure(call.queue, error))

    async def _request(self, queue: Queue, entries: Sequence[Entry]) -> dict[int, Refusal]:
        """Make one request, and another if nobody knows what became of it and that is safe.

        A FIFO queue knows the messages again by their deduplication ids; on any other they
        would be doubled.
        """
        try:
            return await self._request_once(queue, entries)
        except FAILURES as error:
            if not (queue.is_fifo and is_unknown(error)):
                raise
            unknown = error
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            with suppress(ConnectError, *FAILURES):
                return await self._request_once(queue, entries)
        raise unknown

    async def _request_once(self, queue: Queue, entries: Sequence[Entry]) -> dict[int, Refusal]:
        try:
            with self._deadlines.limit():
                await self._room.acquire()
        except TimeoutError as error:
            msg = (
                f"a message for queue {queue.name!r} did not leave within "
                f"{self._options.request_timeout:g} seconds (request_timeout): as many requests "
                "as may be at once (senders) wait for an answer"
            )
            raise ConnectError(msg, retryable=True) from error
        try:
            return await self._service.send(queue.url, entries)
        finally:
            self._room.release()

    def _failure(self, queue: Queue, error: Exception) -> SendResult:
        result = not_confirmed(error, queue.name)
        if is_missing(error):
            self._queues.forget(queue)
            if self._queues.makes(queue.asked):  # with the next attempt
                return SendResult(result.status, error=result.error, retryable=True)
        return result
