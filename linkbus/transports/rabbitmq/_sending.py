"""Sending: messages to a destination, each confirmed, returned or refused by the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from linkbus._errors import TransportError
from linkbus.abc import Envelope, SendResult
from linkbus.transports._deadlines import Deadlines
from linkbus.transports.rabbitmq._addresses import Address, address_of
from linkbus.transports.rabbitmq._errors import SENT, failed, left_behind, unconfirmed
from linkbus.transports.rabbitmq._lane import Lane
from linkbus.transports.rabbitmq._lanes import Lanes
from linkbus.transports.rabbitmq._options import Options

WAVE = 100
"""Messages of a batch that are on their way at once: with more, aiormq is slower."""
WAVE_BYTES = 8_388_608
"""The bodies of these end earlier, for aiormq keeps all of it in memory."""


class Sending:
    """What a transport sends, each call within `delivery_timeout`."""

    def __init__(self, options: Options, lanes: Lanes) -> None:
        self._seconds = options.delivery_timeout
        self._deadlines = Deadlines(options.delivery_timeout)
        self._lanes = lanes

    async def send(self, destination: str, batch: Sequence[Envelope]) -> list[SendResult]:
        """Send envelopes and say what became of each.

        Raises:
            TransportError: None of them was sent.
        """
        address = address_of(destination)
        if len(batch) == 1:
            return [await self._send_one(address, batch[0])]
        return await self._send_many(address, batch)

    def close(self) -> None:
        """Stop the timer."""
        self._deadlines.close()

    async def _send_one(self, address: Address, envelope: Envelope) -> SendResult:
        """Send one message, which is what applications do most, at the least expense."""
        lane = self._lanes.ready(address)
        try:
            with self._deadlines.limit():
                if lane is None:
                    lane = await self._lanes.lane(address)
                result = await lane.publish(address, envelope)
        except TimeoutError:
            seconds = self._seconds
            return left_behind(address, seconds) if lane is None else unconfirmed(address, seconds)
        if result is not SENT:
            self._look_again(lane, address)
        return result

    async def _send_many(self, address: Address, batch: Sequence[Envelope]) -> list[SendResult]:
        results: list[SendResult] = []
        try:
            with self._deadlines.limit():
                while len(results) < len(batch):
                    lane = await self._lanes.lane(address)
                    wave = wave_of(batch, len(results))
                    await self._publish(lane, address, wave, results)
        except TimeoutError:
            error = left_behind(address, self._seconds)
        except TransportError as refused:
            if not results:
                raise
            error = failed(refused)
        else:
            return results
        return results + [error] * (len(batch) - len(results))

    async def _publish(
        self, lane: Lane, address: Address, wave: Sequence[Envelope], results: list[SendResult]
    ) -> None:
        """Begin to publish in order, wait for all, and add a result for each."""
        tasks = [asyncio.create_task(lane.publish(address, envelope)) for envelope in wave]
        try:
            await asyncio.wait(tasks)
        except BaseException:  # cancelled: so are the tasks that it owns
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        finally:
            late = unconfirmed(address, self._seconds)
            results += [
                late if task.cancelled() or not task.done() else task.result() for task in tasks
            ]
        self._look_again(lane, address)

    def _look_again(self, lane: Lane, address: Address) -> None:
        if not lane.is_open:
            self._lanes.forget(address)


def wave_of(batch: Sequence[Envelope], first: int) -> Sequence[Envelope]:
    """Return the messages of a batch that may be on their way together, one at least."""
    size = 0
    for end, envelope in enumerate(batch[first : first + WAVE], first):
        size += len(envelope.body)
        if size > WAVE_BYTES and end > first:
            return batch[first:end]
    return batch[first : first + WAVE]
