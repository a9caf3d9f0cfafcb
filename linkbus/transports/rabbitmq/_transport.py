"""RabbitMQTransport: opens, sends, subscribes, closes."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Mapping, Sequence

from aiormq import Connection

from linkbus._errors import UsageError
from linkbus.abc import Capabilities, Envelope, Lost, SendResult, Transport
from linkbus.transports._text_options import options_of
from linkbus.transports.rabbitmq._addresses import name_of, queue_of
from linkbus.transports.rabbitmq._discretion import Discretion
from linkbus.transports.rabbitmq._lanes import Lanes
from linkbus.transports.rabbitmq._link import Link
from linkbus.transports.rabbitmq._options import Options
from linkbus.transports.rabbitmq._receiver import RabbitMQReceiver
from linkbus.transports.rabbitmq._sending import Sending
from linkbus.transports.rabbitmq._server_url import server_of
from linkbus.transports.rabbitmq._topology import Topology

_MAX_BATCH = 1_000


class RabbitMQTransport(Transport):
    """A RabbitMQ, reached through aiormq; see the module for what it does.

    All durations are in seconds.

    Args:
        url: `amqp://user:password@host:port/vhost`; `amqps://` for TLS.
        username: In place of the URL's; without either, "guest".
        password: In place of the URL's; in no repr, no error and no log.
        ssl_context: For `amqps://`; None: the system's certificates, and host names checked.
        allow_login_without_tls: A password may cross the network in the clear. Nobody asks
            that of the user "guest" with its own password, or of a broker on this machine.
        client_name: What the broker's tools show for our connections.
        declare: Exchanges and queues are declared on use. Without it they must exist.
        queue_type: "quorum" or "classic", of queues that are declared here. Of others it
            says whether they count deliveries, which quorum queues do.
        dead_letter_exchange: Where rejected messages go, from queues that are declared here.
            Declared on use, as a durable fanout, if there is none.
        native_dead_letter: Queues have a dead letter exchange, by a policy or otherwise:
            which cannot be seen from here. A rejected message is dropped if that is not so.
        delivery_limit: How often a quorum queue gives a message before it drops it, or moves
            it to the dead letter exchange. None: the broker's own, 20 since version 4.
        max_message_bytes: Of body, key and headers; see `Capabilities`. The broker's own
            `max_message_size` is 16 MiB since version 4, and was 128 MiB.
        ack_timeout: For how long a delivery is ours: the broker's `consumer_timeout`.
        delivery_timeout: For one `send`; after it the outcome is UNKNOWN.
        connect_timeout: For a connection.
        answer_timeout: For an answer to a declaration, or to the opening of a channel.
        heartbeat: Between two signs of life. A silent broker is given up after three.

    Raises:
        UsageError: An option is malformed, or options contradict each other.
    """

    system = "rabbitmq"

    def __init__(
        self,
        url: str = "amqp://localhost",
        *,
        username: str | None = None,
        password: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        allow_login_without_tls: bool = False,
        client_name: str = "linkbus",
        declare: bool = True,
        queue_type: str = "quorum",
        dead_letter_exchange: str | None = None,
        native_dead_letter: bool = False,
        delivery_limit: int | None = None,
        max_message_bytes: int = 16_777_216,
        ack_timeout: float = 1800.0,
        delivery_timeout: float = 30.0,
        connect_timeout: float = 10.0,
        answer_timeout: float = 10.0,
        heartbeat: int = 10,
    ) -> None:
        server = server_of(url, username, password)
        self._options = options = Options(
            server=server,
            ssl_context=ssl_context,
            allow_login_without_tls=allow_login_without_tls,
            client_name=client_name,
            declare=declare,
            queue_type=queue_type,
            dead_letter_exchange=dead_letter_exchange,
            native_dead_letter=native_dead_letter,
            delivery_limit=delivery_limit,
            max_message_bytes=max_message_bytes,
            ack_timeout=ack_timeout,
            delivery_timeout=delivery_timeout,
            connect_timeout=connect_timeout,
            answer_timeout=answer_timeout,
            heartbeat=heartbeat,
        )
        self._publishing = Link(options, "publishing")
        self._consuming = Link(options, "consuming")
        self._topology = Topology(options)
        self._lanes = Lanes(options, self._publishing, self._topology)
        self._sending = Sending(options, self._lanes)
        self._discretion = Discretion()
        self._closing: asyncio.Task[None] | None = None
        self.capabilities = Capabilities(
            groups=True,
            native_dead_letter=options.rejects,
            counts_deliveries=options.is_quorum,
            max_batch=_MAX_BATCH,
            max_message_bytes=max_message_bytes,
            durable=True,
            receive_cancel_safe=True,
        )
        self.attributes: Mapping[str, str | int] = {
            "server.address": server.host,
            "server.port": server.port,
        }

    def __repr__(self) -> str:
        server = self._options.server
        return f"<RabbitMQTransport {server.host}:{server.port}>"

    @property
    def raw(self) -> Connection:
        """The connection for publishing, of aiormq; another after a failure.

        Raises:
            UsageError: The transport is not open, or has no connection at the moment.
        """
        connection = self._publishing.connection
        if connection is None:
            msg = "the RabbitMQ transport is not open, or not connected"
            raise UsageError(msg)
        return connection

    def describe(self, destination: str, group: str | None = None) -> Mapping[str, str | int]:
        """Name a destination `exchange:routing key`, and a source `exchange:routing key:queue`."""
        name = name_of(destination, group)
        if name == destination:
            return {}
        return {
            "messaging.destination.name": name,
            "messaging.destination.template": destination,
        }

    async def open(self) -> None:
        """Connect for publishing; the connection for consuming is made when it is needed."""
        self._discretion.begin()
        try:
            await self._publishing.open()
        except BaseException:  # cancelled, too: `aclose` is not called
            self._discretion.end()
            raise
        self._consuming.permit()

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        """Send to an exchange or a queue; SENT means that queues have taken the message."""
        return await self._sending.send(destination, batch)

    async def subscribe(
        self,
        source: str,
        group: str,
        *,
        prefetch: int,
        lost: Lost,
    ) -> RabbitMQReceiver:
        """Consume the queue of a group, on a channel of its own."""
        queue = queue_of(source, group)
        receiver = RabbitMQReceiver(
            self._options,
            self._consuming,
            self._topology,
            queue,
            prefetch=prefetch,
            lost=lost,
        )
        await receiver.join()
        return receiver

    async def aclose(self) -> None:
        """Disconnect; what was not confirmed by then is UNKNOWN."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._lanes.aclose()
        await asyncio.gather(self._publishing.aclose(), self._consuming.aclose())
        self._sending.close()
        self._discretion.end()


def from_url(url: str, **options: object) -> RabbitMQTransport:
    """Make a transport from `rabbitmq://user:password@host:port/vhost`; options may be text.

    Raises:
        UsageError: The URL or an option is malformed, or there is no such option.
    """
    given = options_of("RabbitMQ", RabbitMQTransport, options)
    bound = inspect.signature(RabbitMQTransport).bind(url, **given)
    return RabbitMQTransport(*bound.args, **bound.kwargs)
