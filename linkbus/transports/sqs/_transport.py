"""SQSTransport: opens, sends, subscribes, closes."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit
from weakref import WeakSet

from aiobotocore.client import AioBaseClient
from aiobotocore.session import AioSession

from linkbus._errors import UsageError
from linkbus.abc import Capabilities, Envelope, Lost, SendResult, Transport
from linkbus.transports._text_options import options_of
from linkbus.transports.sqs._opening import Opening
from linkbus.transports.sqs._options import Options
from linkbus.transports.sqs._queues import Queues, name_of
from linkbus.transports.sqs._receiver import SQSReceiver
from linkbus.transports.sqs._sending import Sending
from linkbus.transports.sqs._service import Service

_MAX_HEADERS = 9
"""Of the ten attributes of a message, beside the one named `linkbus`."""
_PORTS = {"http": 80, "https": 443}
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")


class SQSTransport(Transport):
    """Amazon SQS, or what speaks its protocol; see the module for what it does.

    Region, endpoint and credentials that are not given come from the ordinary AWS chain:
    environment, profile, role. All durations are in seconds.

    Args:
        region_name: Where the queues are.
        endpoint_url: Of SQS, if it is not the region's own: `https://…`, or `http://…` for
            a server beside the program. Over plain HTTP bodies can be read on the way,
            credentials cannot: requests are signed with them.
        session: An `AioSession` with the caller's credentials and settings.
        client: A client for "sqs", open, which stays open. How often it repeats a failed
            request, its time limits and its pool are then the caller's choice.
        fifo: The queues are FIFO queues, so messages keep the order of their keys. Without
            it FIFO queues work too, but linkbus promises no order.
        native_dead_letter: A rejected message is sent to the target of the queue's redrive
            policy. The queues have one: it is read when a consumer subscribes.
        create_queues: A queue that is missing is created, with SQS's own settings.
        visibility_timeout: The lease of a message. It is extended for as long as the message
            is held: it says how soon the messages of a process that died are given again,
            `poll_wait` and a second later at most; and for how long it is tried to delete
            one that was acknowledged.
        poll_wait: Whole seconds for which a poll waits for messages, 1 to 20. Longer
            ones cost less; closing a receiver takes as long.
        max_message_bytes: Of body, key and headers; see `Capabilities`. The queue's
            `MaximumMessageSize` must be at least 24 KiB larger.
        pollers: Requests for messages of one consumer at once.
        senders: Requests to send at once, of up to ten messages; what is sent while so
            many are under way shares the next ones.
        settlers: Requests of one consumer at once to delete messages, and as many to
            extend or release them. Acknowledging waits while ten times as many messages
            are to be deleted.
        connect_timeout: For reaching SQS.
        request_timeout: For one request, beyond what a poll waits; and for a message that
            waits to be sent with one.

    Raises:
        UsageError: An option is malformed, or options contradict each other.
    """

    system = "aws_sqs"

    def __init__(
        self,
        *,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        session: AioSession | None = None,
        client: AioBaseClient | None = None,
        fifo: bool = False,
        native_dead_letter: bool = False,
        create_queues: bool = False,
        visibility_timeout: float = 30.0,
        poll_wait: int = 3,
        max_message_bytes: int = 1_024_000,
        pollers: int = 4,
        senders: int = 8,
        settlers: int = 4,
        connect_timeout: float = 5.0,
        request_timeout: float = 10.0,
    ) -> None:
        self._options = Options(
            region_name=region_name,
            endpoint_url=endpoint_url,
            session=session,
            client=client,
            fifo=fifo,
            native_dead_letter=native_dead_letter,
            create_queues=create_queues,
            visibility_timeout=visibility_timeout,
            poll_wait=poll_wait,
            max_message_bytes=max_message_bytes,
            pollers=pollers,
            senders=senders,
            settlers=settlers,
            connect_timeout=connect_timeout,
            request_timeout=request_timeout,
        )
        self._open: _Open | None = None
        self._closing: asyncio.Task[None] | None = None
        self.attributes: Mapping[str, str | int] = {}
        self.capabilities = Capabilities(
            ordering="key" if fifo else "none",
            native_dead_letter=native_dead_letter,
            delayed_release=True,
            extendable_lease=True,
            counts_deliveries=True,
            max_message_bytes=max_message_bytes,
            max_headers=_MAX_HEADERS,
            durable=True,
        )

    def __repr__(self) -> str:
        where = self._options.endpoint_url or self._options.region_name or "of the AWS chain"
        return f"<SQSTransport {where}>"

    @property
    def raw(self) -> AioBaseClient:
        """The client of aiobotocore, for what linkbus does not offer.

        Raises:
            UsageError: The transport is not open.
        """
        return self._opened().service.client

    def describe(self, destination: str, group: str | None = None) -> Mapping[str, str | int]:
        """Return the name of a queue that is given by its URL."""
        name = name_of(destination)
        return {} if name == destination else {"messaging.destination.name": name}

    async def open(self) -> None:
        """Open a client, and see that SQS answers and lets us in."""
        opening = Opening(self._options)
        service = await opening.open()
        self._open = _Open(opening, service, self._options)
        self.attributes = _place(str(service.client.meta.endpoint_url))

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        """Send to a queue; SENT means that SQS has stored the message on several servers."""
        return await self._opened().sending.send(destination, batch)

    async def subscribe(
        self,
        source: str,
        group: str,
        *,
        prefetch: int,
        lost: Lost,
    ) -> SQSReceiver:
        """Find the queue, and the target of its redrive policy where that is needed."""
        opened, options = self._opened(), self._options
        queue = await opened.queues.find_now(source)
        target = await opened.queues.redrive_target(queue) if options.native_dead_letter else None
        receiver = SQSReceiver(opened.service, opened.queues, options, queue, target)
        opened.receivers.add(receiver)
        return receiver

    async def aclose(self) -> None:
        """Close the client, if it is not the caller's."""
        if self._closing is None and self._open is not None:
            opened, self._open = self._open, None
            self._closing = asyncio.create_task(opened.aclose())
        if self._closing is not None:
            await asyncio.shield(self._closing)

    def _opened(self) -> _Open:
        if self._open is None:
            msg = "the SQS transport is not open"
            raise UsageError(msg)
        return self._open


class _Open:
    """What an open transport has."""

    def __init__(self, opening: Opening, service: Service, options: Options) -> None:
        self.service = service
        self.queues = Queues(service, options)
        self.sending = Sending(service, self.queues, options)
        self.receivers: WeakSet[SQSReceiver] = WeakSet()
        self._opening = opening

    async def aclose(self) -> None:
        # closed before, but their closing may have been cancelled, and goes on
        await asyncio.gather(*[receiver.aclose() for receiver in self.receivers])
        await self.sending.aclose()
        await self._opening.aclose()


def from_url(url: str, **options: object) -> SQSTransport:
    """Make a transport from `sqs://`, `sqs://region` or `sqs://host:port`; options may be text.

    With a host and a port it is reached by plain HTTP; by HTTPS with the option
    `endpoint_url`.

    Raises:
        UsageError: The URL or an option is malformed, or there is no such option.
    """
    scheme, separator, rest = url.partition("://")
    place = rest.removesuffix("/")
    if scheme != "sqs" or not separator or set(place) & set("?/@"):
        raise _malformed()
    given = options_of("SQS", SQSTransport, options)
    if place:
        name, value = _named_place(place)
        if given.setdefault(name, value) != value:
            msg = f"SQS option {name!r} contradicts the URL, which has {value!r}"
            raise UsageError(msg)
    bound = inspect.signature(SQSTransport).bind(**given)
    return SQSTransport(*bound.args, **bound.kwargs)


def _named_place(place: str) -> tuple[str, str]:
    if _REGION.fullmatch(place):
        return "region_name", place
    host, colon, port = place.rpartition(":")
    if not host or not colon or not (port.isascii() and port.isdigit()):
        raise _malformed()
    return "endpoint_url", f"http://{place}"


def _malformed() -> UsageError:
    msg = (
        "an SQS URL is sqs:// (all from the AWS chain), sqs://region, or sqs://host:port, with "
        "options in its query and never credentials"
    )
    return UsageError(msg)


def _place(endpoint: str) -> dict[str, str | int]:
    parts = urlsplit(endpoint)
    return {
        "server.address": parts.hostname or "",
        "server.port": parts.port or _PORTS.get(parts.scheme, 0),
    }
