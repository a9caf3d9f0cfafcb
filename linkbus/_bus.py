"""Bus: owns an open transport, and makes producers and consumers."""

from __future__ import annotations

from contextlib import AsyncExitStack
from importlib.metadata import EntryPoint, entry_points
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import anyio

from linkbus._consumer import Consumer, ConsumerOptions
from linkbus._errors import CapabilityError, ConnectError, UsageError
from linkbus._outgoing import Outgoing
from linkbus._producer import Producer
from linkbus._retry import RetryPolicy
from linkbus._subscription import Subscription
from linkbus._tracing._config import Relation, Tracing, checked_relation
from linkbus._tracing._core import TracingCore
from linkbus._tracing._processing import ConsumerTracer
from linkbus._tracing._sending import ProducerTracer
from linkbus._tracing._suppressing import Alone
from linkbus.abc import Transport

ENTRY_POINTS = "linkbus.transports"
DEFAULT_GROUP = "default"
_TRACING = Tracing()


class Bus:
    """Owns a transport: `async with` opens and closes it.

    Producers and consumers may be made before it is open, and are used while it is.
    Leave the blocks of its consumers first; one that is still open is closed with it.

    Args:
        transport: Not open; of linkbus or of your own.
        tracing: How everything that passes through is traced.
        send_timeout: Seconds for which a send that failed for a passing reason is tried
            again. One attempt is bounded by the transport.

    Raises:
        UsageError: `send_timeout` is negative.
    """

    def __init__(
        self, transport: Transport, *, tracing: Tracing = _TRACING, send_timeout: float = 30.0
    ) -> None:
        if send_timeout < 0:
            msg = f"send_timeout={send_timeout} is negative: give seconds, 0 for one attempt"
            raise UsageError(msg)
        self._transport = transport
        self._send_timeout = send_timeout
        self._core = TracingCore(
            tracing, transport.system, lambda: transport.attributes, transport.describe
        )
        self._subscriptions: list[Subscription] = []
        self._state = "new"

    @property
    def transport(self) -> Transport:
        """The transport, for what is its own."""
        return self._transport

    async def __aenter__(self) -> Self:
        if self._state != "new":
            msg = f"the bus is {self._state}: a bus is opened once, make a new one"
            raise UsageError(msg)
        with Alone():
            await self._transport.open()
        self._state = "open"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._state = "closed"
        with anyio.CancelScope(shield=True), Alone():
            async with AsyncExitStack() as closing:  # each, though one is cancelled
                closing.push_async_callback(self._transport.aclose)
                for subscription in self._subscriptions:
                    closing.push_async_callback(subscription.aclose)

    def producer(self, destination: str, *, create_spans: bool = True) -> Producer:
        """Return a producer; cheap, and good for the life of the bus.

        Args:
            destination: In the broker's own spelling: a topic, an exchange, a queue.
            create_spans: In a batch each message has a creation context of its own. False:
                they share that of the one send span, which is cheaper.

        Raises:
            UsageError: The name is empty.
        """
        tracer = ProducerTracer(self._core, _named(destination), create_spans=create_spans)
        outgoing = Outgoing(destination, self._transport.capabilities, tracer.strip)
        return Producer(
            destination, self._opened, tracer, outgoing, send_timeout=self._send_timeout
        )

    def consumer(
        self,
        source: str,
        *,
        group: str | None = None,
        concurrency: int = 1,
        prefetch: int | None = None,
        retry: RetryPolicy | None = None,
        dead_letter: str | None = None,
        relation: Relation | None = None,
        drain_timeout: float = 15.0,
    ) -> Consumer:
        """Return a consumer, to be entered once.

        Args:
            source: In the broker's own spelling: a topic, a queue.
            group: Who shares the work; each group is given every message. None: "default".
            concurrency: The most handlers of `run` at once, or batches of `run_batches`.
            prefetch: The most deliveries that wait to be given. None: 100, or twice the
                concurrency if that is more.
            retry: When a handler of `run` failed. None: one attempt.
            dead_letter: The destination of messages that the handler cannot take.
            relation: How process spans are joined to messages. None: as the bus says.
            drain_timeout: Seconds that handlers may take to end when `run` is cancelled.

        Raises:
            CapabilityError: The transport has no groups, and one is asked for.
            UsageError: A name is empty, or a number is out of its range.
        """
        capabilities = self._transport.capabilities
        _named(source)
        group = DEFAULT_GROUP if group is None else _named(group)
        if group != DEFAULT_GROUP and not capabilities.groups:
            msg = (
                f"group={group!r} of {source!r}: {self._transport.system} has no groups here; "
                "leave it out, and give each group a source of its own"
            )
            raise CapabilityError(msg)
        if dead_letter == source:
            msg = f"dead_letter={dead_letter!r} is the source itself: failed messages would circle"
            raise UsageError(msg)
        if relation is not None:
            checked_relation(relation)
        options = ConsumerOptions(concurrency, prefetch, retry, drain_timeout)
        letters = None if dead_letter is None else self.producer(dead_letter)

        def subscribe(most: int) -> Subscription:
            subscription = Subscription(
                self._opened(),
                source,
                group,
                prefetch=most,
                tracer=ConsumerTracer(self._core, source, group, relation),
                dead_letter=letters,
            )
            self._subscriptions = [s for s in self._subscriptions if not s.is_closed]
            self._subscriptions.append(subscription)
            return subscription

        return Consumer(source, group, subscribe, options)

    def _opened(self) -> Transport:
        if self._state != "open":
            hint = "use it inside `async with bus`" if self._state == "new" else "make a new one"
            msg = f"the bus is {'not open yet' if self._state == 'new' else 'closed'}: {hint}"
            raise UsageError(msg)
        return self._transport


def connect(
    url: str, *, tracing: Tracing = _TRACING, send_timeout: float = 30.0, **options: object
) -> Bus:
    """Return a bus, not open yet, for the broker at a URL.

    The scheme picks an entry point of the group "linkbus.transports", a package's own or
    one of linkbus's (memory, kafka, rabbitmq, sqs), which is called as `factory(url, **options)`.

    Args:
        url: Such as "kafka://localhost:9092". Its query parameters are options too, as
            strings; they are not part of the URL that the factory is given.
        tracing: As for `Bus`.
        send_timeout: As for `Bus`, in seconds.
        options: Those of the transport.

    Raises:
        ConnectError: The transport's client library is not installed.
        UsageError: No transport has this scheme, or an option is given twice or unknown.
    """
    parts = urlsplit(url)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in options:
            msg = f"the option {name!r} is given twice, in the URL and beside it"
            raise UsageError(msg)
        options[name] = value
    entry = _entry_point(parts.scheme)
    try:
        factory = entry.load()
    except ImportError as error:
        package = entry.dist.name if entry.dist else "linkbus"
        extra = entry.module.rpartition(".")[2]
        msg = (
            f"the transport {parts.scheme!r} of {package} needs {error.name or error}: "
            f'install it, for linkbus\'s own with pip install "linkbus[{extra}]"'
        )
        raise ConnectError(msg) from error
    bare = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    if not parts.netloc and "//" not in bare:
        bare = bare.replace(":", "://", 1)
    return Bus(factory(bare, **options), tracing=tracing, send_timeout=send_timeout)


def _entry_point(scheme: str) -> EntryPoint:
    found = entry_points(group=ENTRY_POINTS)
    for entry in found:
        if entry.name == scheme:
            return entry
    known = ", ".join(sorted({f"{entry.name}://" for entry in found}))
    msg = f"no transport has the scheme {scheme!r}: there are {known}"
    raise UsageError(msg)


def _named(name: str) -> str:
    if not isinstance(name, str) or not name:
        msg = f"{name!r} is no name of a destination, a source or a group: give a str"
        raise UsageError(msg)
    return name
