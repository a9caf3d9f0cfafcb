"""The contract between linkbus and a transport: what an author of one implements.

A transport moves bytes and headers between linkbus and one kind of broker. It has
seven methods and one optional one, in two classes: `Transport` sends and subscribes,
`Receiver` receives and settles. Everything else is the core's: trace context and
links, batching, retries and back-off, prefetch, concurrency, the order of keys,
leases, dead letters, draining. So an author writes no span, no retry loop, no
thread and no background task that the client library does not force.

What holds for every method:

- **Errors are classified.** What the broker or its client raises becomes a
  `TransportError` (or a kind of it), with the client's error as `__cause__` and
  `retryable` saying whether the same call may succeed later. Any other exception
  is taken for a defect and ends the consumer, or the call.
- **Cancellation passes through.** It is never mapped, never swallowed and never
  delayed by more than a few milliseconds. Each method says what it leaves behind.
- **Nothing is silent.** What a broker cannot do is left out of `capabilities`; the
  core then refuses it where the application asks for it.
- **Tracing stays outside.** While a method runs, nothing of OpenTelemetry is current, and
  instrumentation that asks is told to be silent: linkbus makes the spans of the message.
- **Values are given away.** A method keeps no reference to the sequences that it was
  given after it returned, and does not change those that it returned.

`linkbus.testing.TransportConformance` tests all that is said here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from linkbus._errors import CapabilityError
from linkbus._own_header import carried
from linkbus._seam import (
    Arrival,
    Capabilities,
    Envelope,
    Outcome,
    SendResult,
    SendStatus,
    Settlement,
    SettleResult,
    SettleStatus,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Arrival",
    "Capabilities",
    "Envelope",
    "Lost",
    "Outcome",
    "Receiver",
    "SendResult",
    "SendStatus",
    "SettleResult",
    "SettleStatus",
    "Settlement",
    "Transport",
    "carried",
]

Lost = Callable[[Sequence[Arrival], float], None]
"""What the core gives to `subscribe`: see there."""


class Transport(ABC):
    """One broker, as linkbus sees it: opens, sends, subscribes, closes.

    The application makes it, with the broker's own options or with a client that it
    owns, and gives it to a `Bus`; making it does no I/O. It is opened once and closed
    once, and closes only what it opened.

    Attributes:
        system: OpenTelemetry's `messaging.system`: "kafka", "rabbitmq", "aws_sqs", …
        capabilities: What this transport can do. May depend on the constructor's
            arguments; must not change after it.
        attributes: Facts about the connection under OpenTelemetry's names, such as
            `server.address`, `server.port` and `messaging.client.id`. Read after `open`.
    """

    system: str
    capabilities: Capabilities
    attributes: Mapping[str, str | int] = {}

    def describe(self, destination: str, group: str | None = None) -> Mapping[str, str | int]:
        """Return facts about a destination for its spans, under OpenTelemetry's names.

        Only where the broker's own name is another than the one that the application gives:
        `messaging.destination.name` as the conventions want it for this broker. It names the
        spans too, unless `messaging.destination.template` is given, which then does.
        Called once for each producer and consumer; does no I/O.

        Args:
            destination: As given to `send`; or a source, as given to `subscribe`.
            group: Of the source; None for a destination.
        """
        return {}

    @abstractmethod
    async def open(self) -> None:
        """Connect to the broker; called once, before everything else.

        If it raises or is cancelled, it leaves nothing open: `aclose` is not called, and
        `open` may be called again.

        Raises:
            ConnectError: The broker was not reached, or it refused us.
        """

    @abstractmethod
    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        """Hand a batch to the broker and say what became of each envelope.

        Return when the broker has confirmed, as durably as it can. May be called
        concurrently, for one destination too; where `ordering` is promised, envelopes
        of one key keep the order of the batch and of calls that follow each other, so
        after one that FAILED the later ones of its key are FAILED and `retryable` too.

        The core has checked each envelope against `capabilities`, and gives at most
        `max_batch` of them. It does not time the call: bound your waiting, and when
        that bound passes and the broker may have the message, say UNKNOWN.

        If the call is cancelled, any of the batch may or may not have been sent.

        Args:
            destination: In the broker's own spelling: a topic, an exchange, a queue.
            batch: One or more envelopes. Store `id`, `body`, `key` and `wire_headers`.

        Returns:
            One result per envelope, in order. FAILED: the broker does not have it, and
            `retryable` says whether the core shall send it again. UNKNOWN: it may have
            it; never sent again.

        Raises:
            TransportError: The whole batch failed, and nothing of it was sent. It counts
                as that result for every envelope.
        """

    @abstractmethod
    async def subscribe(self, source: str, group: str, *, prefetch: int, lost: Lost) -> Receiver:
        """Join a group of consumers of a source, and return the receiver for it.

        When it returns the group exists: what is sent after that reaches the group.
        Without the capability `groups` the core passes "default" and no other. May be
        called many times, for one source and group too: the receivers then compete.

        Messages that were sent before the group existed are given or not, as the broker
        does; they are never lost in silence (the send was FAILED, or the broker's own
        rule, for example Kafka's retention, applies).

        If the call is cancelled or raises, no receiver is left behind.

        Args:
            source: In the broker's own spelling: a topic, a queue.
            group: Who shares the work. Each group is given each message.
            prefetch: How many arrivals the core will hold that it has not begun to work
                on. A hint for the broker's own window; `receive` is what is asked for.
            lost: Call `lost(arrivals, grace)` when given, unsettled arrivals stop being
                ours. With `grace > 0` seconds they will: the core settles within it those
                in work, and releases at once those that are not. With 0 they have: the
                core forgets them, and cancels what works on them. Never blocks, never
                raises; call it from the event loop's thread, from any task. A simple
                transport never calls it: the core takes the end of a `lease`, and STALE
                from `extend`, as lost by itself.

        Raises:
            DestinationNotFound: There is no such source, and it is not made on use.
            TransportError: The broker did not answer, or refused.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close what `open` opened; the receivers are closed before.

        Idempotent. Returns within a few seconds though the broker is gone, and raises
        nothing for that: what could be told was told. If cancelled, it still drops its
        connections.
        """


class Receiver(ABC):
    """A member of a group, which receives and settles the messages of one source.

    The core makes one `receive` at a time. `settle` and `extend` run beside it, and
    beside each other. None is called after `aclose`, which may overlap `receive`.

    A retryable `TransportError` from any method is answered by the same call again,
    on this same receiver, after a back-off: a receiver that lost its broker connects
    anew inside the next call. Any other exception ends the consumer.
    """

    @abstractmethod
    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        """Return the next messages, waiting for the first of them if there is none.

        Return as soon as there is one message: never wait for more. An empty return is
        fine at any time. What is returned is ours, until settled or lost, and is not
        returned again to anybody in the group meanwhile.

        Where `ordering` is "key", messages of one key are given in order; a released
        one is given again before the later ones of its key that were not given yet.

        With the capability `receive_cancel_safe` the call may be cancelled, and a
        message that it took is then given again by the next call. Without it the core
        never cancels the call, and releases what it brings too late.

        Args:
            max_messages: At least 1; never return more.
            wait: Seconds, at most 5: return, empty, when they are over. 0 does not wait.
        """

    @abstractmethod
    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        """Take note of the outcomes of arrivals, and say for each whether it counts.

        ACK: done, never given to this group again. RELEASE: give it back; it is given
        again after `delay` seconds (more than 0 only with `delayed_release`), to any
        receiver of the group, and where deliveries are counted its count goes up.
        REJECT: never again, to the broker's own dead letters (only given with
        `native_dead_letter`).

        OK means that the broker has been told or will be, at the latest in `aclose`. Do
        not make a round trip per message where the broker has a cheaper way. An arrival
        that was lost, or was settled before, is STALE and changes nothing.

        If the call is cancelled, each outcome may or may not have been noted.

        Returns:
            One result per settlement, in order.
        """

    async def extend(self, arrivals: Sequence[Arrival], seconds: float) -> Sequence[SettleResult]:
        """Make arrivals ours for `seconds` from now; only with `extendable_lease`.

        Returns:
            One result per arrival, in order. STALE: lost, it will be delivered again.

        Raises:
            CapabilityError: Always, unless overridden.
        """
        msg = "this transport cannot extend a lease: its capabilities lack extendable_lease"
        raise CapabilityError(msg)

    @abstractmethod
    async def aclose(self) -> None:
        """Leave the group: tell the broker what was settled, give back what was not.

        Idempotent. A `receive` that is under way returns, empty, as soon as it can; a
        message that it took meanwhile is given back. Returns within a few seconds though
        the broker is gone, and raises nothing for that. If cancelled, it still leaves.
        """
