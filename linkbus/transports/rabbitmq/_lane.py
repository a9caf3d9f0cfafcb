"""One channel for publishing: a message goes out, and what became of it comes back."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from aiormq import Channel
from aiormq.exceptions import ChannelClosed, DeliveryError, PublishError

from linkbus._errors import MessageError
from linkbus.abc import Envelope, SendResult
from linkbus.transports.rabbitmq._addresses import Address
from linkbus.transports.rabbitmq._cancelling import Cancelling
from linkbus.transports.rabbitmq._errors import SENT, closed, failed, not_sent
from linkbus.transports.rabbitmq._mapping import fits, properties
from linkbus.transports.rabbitmq._message_ids import MessageIds

_BESIDE_HEADERS = 512
"""What a frame holds besides the headers: the other properties, at their longest."""
_NO_LIMIT = 2**32


class Lane:
    """A channel that confirms, and returns what it cannot route.

    Publishes may run beside each other, and leave in the order in which they began.

    Args:
        channel: With publisher confirms, and returns that raise.
        frame_max: The most bytes of a frame on its connection; 0 for no limit.
    """

    def __init__(self, channel: Channel, frame_max: int) -> None:
        self._channel = channel
        self._room = (frame_max or _NO_LIMIT) - _BESIDE_HEADERS
        self._ids = MessageIds()
        self._ended_alone: bool | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be used: the broker has not closed it."""
        channel = self._channel
        return not channel.is_closed and channel.connection.channels.get(channel.number) is channel

    async def publish(self, address: Address, envelope: Envelope) -> SendResult:
        """Send a message, and return what became of it when the broker has said so.

        It is on its way before the call waits for the first time. If the call is cancelled,
        the message may or may not have been sent.
        """
        ids, message_id = self._ids, envelope.id
        if not ids.is_free(message_id) or not fits(message_id):
            message_id = uuid4().hex
        try:
            described = properties(envelope, message_id, self._room)
        except MessageError as error:
            return failed(error)
        if not self.is_open:
            return closed(address)
        cancelling = Cancelling()
        number = ids.begin(message_id)
        try:
            await self._channel.basic_publish(
                envelope.body,
                exchange=address.exchange,
                routing_key=address.routing_key,
                properties=described,
                mandatory=True,
                wait=False,
            )
        except asyncio.CancelledError as error:
            ids.abandon(number, message_id)
            if cancelling.is_real:
                raise
            return not_sent(error, address, is_alone=False)
        except (PublishError, DeliveryError) as error:
            ids.end(number, message_id)
            return not_sent(error, address, is_alone=False)
        except Exception as error:  # noqa: BLE001 - aiormq raises even bare ones when a channel ends
            return not_sent(error, address, is_alone=self._was_alone(error, message_id))
        ids.end(number, message_id)
        return SENT

    def _was_alone(self, error: Exception, message_id: str) -> bool:
        """Whether a channel that was closed had nothing else on its way, as the first finds it."""
        if isinstance(error, ChannelClosed) and self._ended_alone is None:
            self._ended_alone = len(self._ids) == 1
        self._ids.drop(message_id)
        return bool(self._ended_alone)
