"""Sending: calls share requests, which go side by side, or in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from linkbus._errors import ConnectError
from linkbus.abc import Envelope, SendResult, SendStatus
from linkbus.transports.sqs._call import Call
from linkbus.transports.sqs._errors import (
    FAILURES,
    is_missing,
    is_too_much,
    is_unknown,
    not_confirmed,
)
from linkbus.transports.sqs._gathering import Gathering, Untold
from linkbus.transports.sqs._options import Options
from linkbus.transports.sqs._parts import shared_out
from linkbus.transports.sqs._queues import Queue, Queues
from linkbus.transports.sqs._service import Entry, Refusal, Service

_PAUSES = (0.2, 0.8, 2.0)
"""Seconds before each repetition of a request to a FIFO queue that was not answered."""

Part = Sequence[Entry]
"""What one call has in one request; calls may share it."""

Answer = Mapping[int, Refusal] | Exception
"""What SQS refused of a part, by place; an exception: the whole request failed."""

_ALL_TAKEN: Mapping[int, Refusal] = {}


class Sending:
    """Sends to the queues of one transport, in `senders` requests at once.

    A request is made at once while there are fewer. What comes while there are not, or in
    one turn of the event loop, goes together. On FIFO queues, too: there each call waits
    for the answer to one part before it gives the next one of the same groups.
    """

    def __init__(self, service: Service, queues: Queues, options: Options) -> None:
        self._service = service
        self._queues = queues
        self._options = options
        self._parts: Gathering[Part, Answer] = Gathering(
            self._request,
            at_once=options.senders,
            beside=1,
            most_bytes=options.limit_bytes,
            patience=options.request_timeout,
        )

    async def aclose(self) -> None:
        """Give up what is on its way, and what waits."""
        await self._parts.finish(0)

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
        """Send parts one after another."""
        for part in lane:
            wanted = call.still_wanted(part)
            if wanted:
                await self._send_part(call, wanted)

    async def _send_part(self, call: Call, numbers: Sequence[int]) -> None:
        part = [call.entry(number) for number in numbers]
        answer = await self._answer(call.queue, part, call.size(numbers))
        if isinstance(answer, Mapping):
            call.note_answer(numbers, answer)
        elif isinstance(answer, Untold):
            call.note_failure(numbers, self._untold(call.queue, answer))
        elif len(numbers) > 1 and is_too_much(answer):  # perhaps of them one, perhaps their sum
            await self._send_lane(call, [[number] for number in numbers])
        else:
            call.note_failure(numbers, self._failure(call.queue, answer))

    async def _answer(self, queue: Queue, part: Part, size: int) -> Answer | Untold:
        """Send a part, and again if nobody knows what became of it and that is safe.

        A FIFO queue knows the messages again by their deduplication ids; on any other they
        would be doubled.
        """
        answer = await self._parts.add(queue, part, entries=len(part), size=size)
        if not (queue.is_fifo and isinstance(answer, Exception) and is_unknown(answer)):
            return answer
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            again = await self._parts.add(queue, part, entries=len(part), size=size)
            if isinstance(again, Mapping):
                return again
        return answer

    async def _request(self, queue: Queue, parts: Sequence[Part]) -> Sequence[Answer]:
        """Make one request; what SQS refuses for one part, others do not pay for."""
        try:
            refusals = await self._service.send(queue.url, [it for part in parts for it in part])
        except FAILURES as error:
            if len(parts) > 1 and is_too_much(error):
                return [(await self._request(queue, [part]))[0] for part in parts]
            return [error] * len(parts)
        if not refusals:
            return [_ALL_TAKEN] * len(parts)
        return shared_out(refusals, [len(part) for part in parts])

    def _untold(self, queue: Queue, why: Untold) -> SendResult:
        name = queue.name
        if why is Untold.LATE:
            msg = (
                f"a message for queue {name!r} did not leave within "
                f"{self._options.request_timeout:g} seconds (request_timeout): as many requests "
                "as may be at once (senders) wait for an answer"
            )
            error = ConnectError(msg, retryable=True)
            return SendResult(SendStatus.FAILED, error=error, retryable=True)
        msg = f"the transport was closed while a message for queue {name!r} was being sent: "
        error = ConnectError(msg + why.value)
        left = why is Untold.UNANSWERED
        return SendResult(SendStatus.UNKNOWN if left else SendStatus.FAILED, error=error)

    def _failure(self, queue: Queue, error: Exception) -> SendResult:
        result = not_confirmed(error, queue.name)
        if is_missing(error):
            self._queues.forget(queue)
            if self._queues.makes(queue.asked):  # with the next attempt
                return SendResult(result.status, error=result.error, retryable=True)
        return result
