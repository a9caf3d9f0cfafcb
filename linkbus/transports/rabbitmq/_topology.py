"""Exchanges and queues: declared where they are linkbus's own, else looked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from aiormq import Connection
from aiormq.abc import AbstractChannel
from pamqp.common import FieldTable

from linkbus._errors import DestinationNotFound
from linkbus.transports.rabbitmq._addresses import Address, Queue
from linkbus.transports.rabbitmq._cancelling import Cancelling
from linkbus.transports.rabbitmq._errors import refused
from linkbus.transports.rabbitmq._options import Options

logger = logging.getLogger("linkbus")

_LIMITS_BY_DEFAULT = 4
"""The major version since which a quorum queue has a delivery limit that nobody asked for."""


class Topology:
    """Makes sure that what is sent to, or received from, exists.

    What cannot be declared, or is not there, costs the channel on which it was asked for, so
    every question has a channel of its own.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._has_warned = False

    async def ensure_exchange(self, connection: Connection, address: Address) -> None:
        """Return when the exchange of an address exists.

        Raises:
            DestinationNotFound: It does not, and is not ours to declare.
            TransportError: The broker did not answer, or refused.
        """
        if address.exchange:
            async with self._channel(connection) as channel:
                await self._ensure_exchange(channel, address)

    async def ensure_queue(self, connection: Connection, queue: Queue) -> None:
        """Return when a queue exists, bound to what it shall be bound to.

        Raises:
            DestinationNotFound: It does not, or its exchange, and is not ours to declare.
            TransportError: The broker did not answer, or refused.
        """
        name, address = queue
        if address is None or not self._options.declare:
            looking = self._answered(f"looking for queue {name!r}")
            async with self._channel(connection) as channel, looking:
                await channel.queue_declare(name, passive=True)
            return
        await self._ensure_dead_letters(connection)
        self.warn_of_a_limit(connection, name)
        arguments: FieldTable = {**self._options.queue_arguments}
        async with self._channel(connection) as channel:
            await self._ensure_exchange(channel, address)
            async with self._answered(f"declaring queue {name!r}"):
                await channel.queue_declare(name, durable=True, arguments=arguments)
            async with self._answered(f"binding queue {name!r}"):
                await channel.queue_bind(name, address.exchange, address.routing_key)

    def warn_of_a_limit(self, connection: Connection, name: str) -> None:
        """Say once what becomes of messages that nobody settles, since version 4."""
        options = self._options
        if not options.is_quorum or options.rejects or options.delivery_limit is not None:
            return
        version = version_of(connection)
        major = version.partition(".")[0]
        if self._has_warned or not major.isdigit() or int(major) < _LIMITS_BY_DEFAULT:
            return
        self._has_warned = True
        logger.warning(
            "RabbitMQ %s drops a message of quorum queue %r after 20 deliveries that were not "
            "acknowledged: set delivery_limit, or a dead_letter_exchange to keep such messages",
            version,
            name,
        )

    async def _ensure_dead_letters(self, connection: Connection) -> None:
        """Declare the exchange for dead letters, unless there is one, of whatever type."""
        name = self._options.dead_letter_exchange
        if name is None:
            return
        try:
            await self.ensure_exchange(connection, Address(name, "", is_own=False))
        except DestinationNotFound:
            await self.ensure_exchange(connection, Address(name, "", is_own=True))

    async def _ensure_exchange(self, channel: AbstractChannel, address: Address) -> None:
        name = address.exchange
        if address.is_own and self._options.declare:
            async with self._answered(f"declaring exchange {name!r}"):
                await channel.exchange_declare(name, exchange_type="fanout", durable=True)
        else:
            async with self._answered(f"looking for exchange {name!r}"):
                await channel.exchange_declare(name, passive=True)

    def _answered(self, doing: str) -> AbstractAsyncContextManager[None]:
        return answered(self._options.answer_timeout, doing)

    @asynccontextmanager
    async def _channel(self, connection: Connection) -> AsyncIterator[AbstractChannel]:
        async with self._answered("opening a channel"):
            channel = await connection.channel(publisher_confirms=False)
        try:
            yield channel
        finally:
            await close_channel(channel, self._options.answer_timeout)


@asynccontextmanager
async def answered(seconds: float, doing: str) -> AsyncIterator[None]:
    """Limit what the broker is asked for, and say what became of it.

    Raises:
        DestinationNotFound: It does not exist.
        TransportError: The broker did not answer, or refused.
    """
    cancelling = Cancelling()
    try:
        async with asyncio.timeout(seconds):
            yield
    except asyncio.CancelledError as error:
        if cancelling.is_real:
            raise
        raise refused(error, doing) from error
    except Exception as error:  # aiormq raises even bare ones when a channel ends
        raise refused(error, doing) from error


async def close_channel(channel: AbstractChannel, seconds: float) -> None:
    """Close a channel, and wait for the broker's answer so long; a lost one is closed.

    In a task, for aiormq may let out a `CancelledError` that nobody asked for.
    """
    closing = asyncio.ensure_future(channel.close())
    try:
        await asyncio.wait([closing], timeout=seconds)
    finally:
        closing.cancel()


def version_of(connection: Connection) -> str:
    """Return the version of the broker, or nothing if it does not say."""
    version = connection.server_properties.get("version")
    return version if isinstance(version, str) else ""
