"""A connection to the broker that is replaced, on its next use, when it was lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiormq import Connection
from aiormq.exceptions import ConnectionClosed
from yarl import URL

from linkbus._errors import ConnectError
from linkbus.transports.rabbitmq._cancelling import shared
from linkbus.transports.rabbitmq._errors import unreachable
from linkbus.transports.rabbitmq._options import Options

_CLOSE_TIMEOUT = 3.0


class Roomy(Connection):
    """A connection that takes every frame at once, instead of waiting for room.

    With room for few, aiormq can forget to answer the broker that closes a channel, publish
    on it after the answer, which costs the whole connection, and leave whoever waits for
    room on a lost connection waiting for ever.
    https://github.com/mosquito/aiormq/blob/7.2.4/aiormq/channel.py
    """

    FRAME_BUFFER_SIZE = 0


class Link:
    """One connection at a time, for publishing or for consuming.

    It is made with aiormq itself: `aio_pika.connect`, cancelled at a certain await, leaves a
    connection open that nobody can close.

    Args:
        options: The transport's.
        purpose: For the connection's name in the broker's tools.
    """

    def __init__(self, options: Options, purpose: str) -> None:
        self._options = options
        self._purpose = purpose
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._is_open = False

    @property
    def connection(self) -> Connection | None:
        """The connection, while it lasts."""
        connection = self._connection
        return connection if connection is not None and connection.is_opened else None

    def permit(self) -> None:
        """Allow to connect, when a connection is needed."""
        self._is_open = True

    async def open(self) -> None:
        """Connect; if that fails or is cancelled, nothing is left open.

        Raises:
            ConnectError: The broker was not reached, or refused us.
        """
        self.permit()
        try:
            await self.connected()
        except BaseException:  # cancelled, too: nothing stays open
            await self.aclose()
            raise

    async def connected(self) -> Connection:
        """Return a connection, a new one if the last was lost; many callers share one attempt.

        If the call is cancelled, the attempt goes on.

        Raises:
            ConnectError: The broker was not reached within `connect_timeout`, or refused us.
        """
        if (connection := self.connection) is not None:
            return connection
        if not self._is_open:
            msg = "the RabbitMQ transport is not open"
            raise ConnectError(msg)
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(_retrieve)
        return await shared(self._connecting)

    async def flowing(self, connection: Connection) -> None:
        """Return when the broker takes messages from a connection again, or has lost it."""
        if is_flowing(connection):
            return
        gone = connection.closing
        ready = asyncio.ensure_future(connection.ready())
        try:
            await asyncio.wait([gone, ready], return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            ready.cancel()

    async def aclose(self) -> None:
        """Disconnect, within a few seconds though the broker is gone."""
        self._is_open = False
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)

    async def _connect(self) -> Connection:
        options, server = self._options, self._options.server
        url = URL.build(
            scheme="amqps" if server.has_tls else "amqp",
            host=server.host,
            port=server.port,
            user=server.username,
            password=server.password,
            path="/",
            query={"heartbeat": options.heartbeat},
        )
        name = f"{options.client_name} {self._purpose}"
        connection = Roomy(
            url, context=options.ssl_context, client_properties={"connection_name": name}
        )
        connection.vhost = server.vhost
        try:
            async with asyncio.timeout(options.connect_timeout):
                await connection.connect()
                await connection.ready()
        except Exception as error:  # whatever it is, we are not connected
            await close(connection)
            raise unreachable(server, error) from error
        except BaseException:  # cancelled, too: nothing stays open
            await close(connection)
            raise
        self._connection = connection
        return connection


def is_flowing(connection: Connection) -> bool:
    """Whether the broker takes messages from a connection: no alarm blocks it.

    Asked for every message, so without a task: `ready` ends at once, or waits.
    """
    waiting = connection.ready()
    try:
        waiting.send(None)
    except StopIteration:
        return True
    waiting.close()
    return False


async def close(connection: Connection) -> None:
    """Close a connection; one that hangs is torn down after a few seconds."""
    reason = ConnectionClosed(200, "closed by linkbus")  # what whoever waits for it is told
    closing = asyncio.ensure_future(connection.close(reason))
    try:
        await asyncio.wait([closing], timeout=_CLOSE_TIMEOUT)
    finally:
        closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing


def _retrieve(task: asyncio.Task[Connection]) -> None:
    """Take note of an error that nobody may be waiting for: the next caller tries again."""
    if not task.cancelled():
        task.exception()
