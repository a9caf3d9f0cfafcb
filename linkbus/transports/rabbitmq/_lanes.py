"""Channels for publishing, one for each exchange, so that what closes one fails no other."""

from __future__ import annotations

import asyncio
from typing import cast

from aiormq import Channel, Connection

from linkbus.transports.rabbitmq._addresses import Address
from linkbus.transports.rabbitmq._cancelling import shared
from linkbus.transports.rabbitmq._lane import Lane
from linkbus.transports.rabbitmq._link import Link, is_flowing
from linkbus.transports.rabbitmq._options import Options
from linkbus.transports.rabbitmq._topology import Topology, answered

MAX_LANES = 500
"""A broker allows some 2,000 channels in a connection; exchanges beyond this share the last."""


class Lanes:
    """Opens lanes when they are needed, and again when they, or the connection, were lost."""

    def __init__(self, options: Options, link: Link, topology: Topology) -> None:
        self._options = options
        self._link = link
        self._topology = topology
        self._connection: Connection | None = None
        self._lanes: dict[str, Lane] = {}
        self._known: set[str] = set()
        self._opening: dict[str, asyncio.Task[None]] = {}

    def ready(self, address: Address) -> Lane | None:
        """Return the lane for an address, if it can be sent to at once."""
        connection = self._connection
        if connection is None or address.exchange not in self._known:
            return None
        lane = self._lanes.get(self._name(address.exchange))
        if lane is None or not lane.is_open or not is_flowing(connection):
            return None
        return lane

    async def lane(self, address: Address) -> Lane:
        """Return the lane for an address, waiting for as long as the broker takes no messages.

        If the call is cancelled, an opening that has begun goes on.

        Raises:
            DestinationNotFound: The exchange does not exist, and is not ours to declare.
            TransportError: The broker was not reached, or refused.
        """
        while (lane := self.ready(address)) is None:
            connection = await self._link.connected()
            if connection is not self._connection:
                self._connection = connection
                self._lanes.clear()
                self._known.clear()
            await self._link.flowing(connection)
            if connection.is_opened:
                await self._open(connection, address)
        return lane

    def forget(self, address: Address) -> None:
        """Look for an exchange again before the next message goes there."""
        self._known.discard(address.exchange)

    async def aclose(self) -> None:
        """End what is being opened; the connection closes the rest."""
        for opening in self._opening.values():
            opening.cancel()
        if self._opening:
            await asyncio.wait(self._opening.values())

    def _name(self, exchange: str) -> str:
        if exchange in self._lanes or len(self._lanes) < MAX_LANES:
            return exchange
        return next(reversed(self._lanes))

    async def _open(self, connection: Connection, address: Address) -> None:
        exchange = address.exchange
        opening = self._opening.get(exchange)
        if opening is None:
            opening = asyncio.create_task(self._opened(connection, address))
            self._opening[exchange] = opening
            opening.add_done_callback(lambda _: self._end_opening(exchange, opening))
        await shared(opening)

    async def _opened(self, connection: Connection, address: Address) -> None:
        if address.exchange not in self._known:
            await self._topology.ensure_exchange(connection, address)
        name = self._name(address.exchange)
        lane = self._lanes.get(name)
        if lane is None or not lane.is_open:
            async with answered(self._options.answer_timeout, "opening a channel"):
                channel = await connection.channel()
            if connection is self._connection:
                self._lanes[name] = Lane(
                    cast("Channel", channel),  # whose base does not know of `wait`
                    connection.connection_tune.frame_max,
                )
        if connection is self._connection:
            self._known.add(address.exchange)

    def _end_opening(self, exchange: str, opening: asyncio.Task[None]) -> None:
        del self._opening[exchange]
        if not opening.cancelled():
            opening.exception()  # whoever waits has it; the next one tries again
