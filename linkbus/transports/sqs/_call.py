"""One call of `send`: what became of each envelope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4

from linkbus._errors import ConnectError, MessageError, TransportError
from linkbus.abc import Envelope, SendResult, SendStatus
from linkbus.transports.sqs._errors import refused
from linkbus.transports.sqs._packing import Parcel, packed
from linkbus.transports.sqs._parts import lanes_of, parts_of
from linkbus.transports.sqs._queues import Queue
from linkbus.transports.sqs._service import Entry, Refusal
from linkbus.transports.sqs._texts import group_of

SENT = SendResult(SendStatus.SENT)


class Call:
    """Envelopes on their way to one queue.

    On a FIFO queue, what comes after a failed one of its group is not sent: it is FAILED,
    and may be sent again after it. Within one request SQS goes on after a failure. What it
    then took is SENT; the one that failed before it may not be sent again, for it would
    come too late.

    Attributes:
        queue: Where to.
        results: One for each envelope, as far as known: SENT until something is wrong.
    """

    def __init__(self, queue: Queue, batch: Sequence[Envelope], limit_bytes: int) -> None:
        self.queue = queue
        self.results = [SENT] * len(batch)
        self._limit_bytes = limit_bytes
        self._parcels: dict[int, Parcel] = {}
        self._groups: dict[int, str] = {}
        self._failed_groups: set[str] = set()
        self._unreached: SendResult | None = None
        for number, envelope in enumerate(batch):
            self._pack(number, envelope)

    def lanes(self, at_once: int) -> list[list[list[int]]]:
        """Return requests, as the numbers of their envelopes, in lanes that may go at once.

        The requests of a lane go one after another.
        """
        sizes = {number: parcel.size for number, parcel in self._parcels.items()}
        if self.queue.is_fifo:
            groups = {number: self._groups[number] for number in self._parcels}
            lanes = lanes_of(groups, at_once)
            return [parts_of(lane, sizes, self._limit_bytes) for lane in lanes]
        parts = parts_of(self._parcels, sizes, self._limit_bytes)
        return [parts[at::at_once] for at in range(min(at_once, len(parts)))]

    def still_wanted(self, part: Sequence[int]) -> list[int]:
        """Return which of a request are to be sent, after what failed before."""
        if self._unreached is not None:
            self._note(part, self._unreached)
            return []
        if not self._failed_groups:
            return list(part)
        wanted = []
        for number in part:
            if self._groups[number] in self._failed_groups:
                self.results[number] = self._behind()
            else:
                wanted.append(number)
        return wanted

    def entry(self, number: int) -> Entry:
        """Return an envelope for a request; a FIFO queue knows each attempt by a new id."""
        entry = self._parcels[number].entry
        if self.queue.is_fifo:
            group = self._groups[number]
            return {**entry, "MessageGroupId": group, "MessageDeduplicationId": uuid4().hex}
        return entry

    def size(self, part: Sequence[int]) -> int:
        """Return the bytes that SQS counts of a request."""
        return sum(self._parcels[number].size for number in part)

    def note_answer(self, part: Sequence[int], refusals: Mapping[int, Refusal]) -> None:
        """Note what SQS refused of a request."""
        if not refusals:
            return
        taken: set[str | None] = set()
        for place in reversed(range(len(part))):
            number = part[place]
            group = self._groups.get(number)
            if place not in refusals:
                taken.add(group)
                continue
            error = refused(refusals[place], f"a message for queue {self.queue.name!r}")
            again = error.retryable and (group is None or group not in taken)
            self._note([number], _failed(error, retryable=again))

    def note_failure(self, part: Sequence[int], result: SendResult) -> None:
        """Note the result of a whole request; if SQS was not reached, no other is tried."""
        self._note(part, result)
        if isinstance(result.error, ConnectError) and self._unreached is None:
            self._unreached = _failed(result.error, retryable=result.error.retryable)

    def _pack(self, number: int, envelope: Envelope) -> None:
        if self.queue.is_fifo:
            key = envelope.key
            group = self._groups[number] = uuid4().hex if key is None else group_of(key)
            if group in self._failed_groups:
                self.results[number] = self._behind()
                return
        try:
            self._parcels[number] = packed(envelope, self._limit_bytes)
        except MessageError as error:
            self._note([number], _failed(error))

    def _note(self, part: Sequence[int], result: SendResult) -> None:
        for number in part:
            self.results[number] = result
            if number in self._groups:
                self._failed_groups.add(self._groups[number])

    def _behind(self) -> SendResult:
        name = self.queue.name
        msg = f"a message for queue {name!r} waits for an earlier one of its group that failed"
        return _failed(TransportError(msg, retryable=True), retryable=True)


def _failed(error: Exception, *, retryable: bool = False) -> SendResult:
    return SendResult(SendStatus.FAILED, error=error, retryable=retryable)
