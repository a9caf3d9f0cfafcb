"""What is compared: one way to send and to receive messages over one transport.

To add yours, write one file in `benchmarks/peers/` with a subclass of `Contender`, add a line
to the list in `benchmarks/peers/__init__.py`, and run
`python -m benchmarks roundtrip --transport kafka --peers "mine" --messages 1000`.

The harness makes the destination, the bodies, the tasks that send, and the clock; it makes one
contender for each round, and calls, in this order: `open`, `send` (or `send_batch`) until all
bodies are sent, `receive` (or `receive_batches`) until the inbox is full, `aclose`. So a
contender contains only what an application would write.

All of them work alike. A send returns when the broker has confirmed it: Kafka with `acks=all`
and idempotence, RabbitMQ persistent, with confirms, mandatory. A message is acknowledged after
it was handled, never before. `PREFETCH` is how many may be held. Whatever does less says so in
its name, as `faststream ack first`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

PREFETCH = 500
"""Messages that a contender may hold while it handles them."""
ACK_EVERY = 100
"""Messages after which a raw client acknowledges, where it can do so for many at once."""
LINKS_A_SPAN = 100
"""The most links that a contender puts on one span: the SDK keeps 128, and drops the others."""


class Mode(StrEnum):
    """What OpenTelemetry does in the process of a contender, as set globally."""

    NO_SDK = "no SDK"
    PASSING = "passing a context"
    """No SDK, but a context from outside is current while it sends."""
    SAMPLER_OFF = "sampler off"
    RECORDING = "recording"
    """Every span is recorded, then counted and dropped: nothing is exported."""


class Joins(StrEnum):
    """How a contender joins the handling of a message to its sending, which is checked."""

    NOTHING = "nothing"
    LINK = "link"
    """The span that is current in `take` has a link to the one that made the message."""
    SHARED = "shared link"
    """The same, where one span made all messages of a batch."""
    PARENT = "parent"
    """The span that is current in `take` is below one that was started while sending."""
    CONTEXT = "context"
    """No span: the context that was current while sending is current in `take`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a round takes place.

    Attributes:
        transport: `memory`, `kafka`, `rabbitmq` or `sqs`.
        address: Of the broker: `host:port`, an AMQP URL, an endpoint's URL; "" for memory.
        destination: Made for this round: a topic with one partition, a fanout exchange with
            the queue `{destination}.{group}` bound to it, a standard queue.
        group: The consumer group to be.
    """

    transport: str
    address: str
    destination: str
    group: str


class Inbox(Protocol):
    """Where a contender puts what it received, inside the span that handles it.

    Attributes:
        is_full: Every message was taken: receive no more, acknowledge the rest, return.
        filled: The same, for those who wait.
    """

    is_full: bool
    filled: asyncio.Event

    def take(self, body: bytes) -> None:
        """Handle one message."""
        ...

    def take_batch(self, bodies: Sequence[bytes]) -> None:
        """Handle a batch, with one span for all of it."""
        ...


class Contender(ABC):
    """One way to send and receive.

    Attributes:
        joins: What the harness checks when the mode is `RECORDING`.
        joins_batches: The same of batches; None: as of single messages.
    """

    joins = Joins.NOTHING
    joins_batches: Joins | None = None

    def __init__(self, place: Place, mode: Mode) -> None:
        self.place = place
        self.mode = mode

    @abstractmethod
    async def open(self) -> None:
        """Connect; not measured."""

    @abstractmethod
    async def send(self, body: bytes) -> None:
        """Send one message and return when it is confirmed; called by many tasks at once."""

    async def send_batch(self, bodies: Sequence[bytes]) -> None:
        """Send many messages at once and return when all are confirmed.

        Only asked of those whose `Peer.batches` says that they can.
        """
        raise NotImplementedError

    @abstractmethod
    async def receive(self, inbox: Inbox) -> None:
        """Subscribe, handle and acknowledge one message after the other until the inbox is full."""

    async def receive_batches(self, inbox: Inbox, size: int) -> None:
        """The same in batches of at most `size` messages, acknowledged together.

        Only asked of those whose `Peer.batches` says that they can.
        """
        raise NotImplementedError

    @abstractmethod
    async def aclose(self) -> None:
        """Disconnect; not measured."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A contender, as the tables name it.

    Attributes:
        name: Unique on its transports.
        transports: Where it runs.
        where: Its class, as `module:name`, imported only in the process that runs it.
        mode: What OpenTelemetry does there.
        batches: Whether it has `send_batch` and `receive_batches`.
        singles: Whether it is of interest without batches.
        share: The part of a round's messages that it is given, where it is slow.
        is_basic: Whether it also runs where sizes and senders vary.
    """

    name: str
    transports: Sequence[str]
    where: str
    mode: Mode
    batches: bool = True
    singles: bool = True
    share: float = 1.0
    is_basic: bool = False


async def run_until_full(inbox: Inbox, service: Coroutine[object, object, object]) -> None:
    """Run a service that would go on for ever, and cancel it when the inbox is full.

    Raises:
        Exception: What the service raised, if it ended before.
    """
    running = asyncio.ensure_future(service)
    waiting = asyncio.ensure_future(inbox.filled.wait())
    try:
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        for task in (running, waiting):
            task.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)


Maker = Callable[[Place, Mode], Contender]
