"""The values that cross the seam between the core and a transport.

They are made for every message, so they are plain slotted classes. None is changed
after it was made. `linkbus.abc` is their public place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from linkbus._headers import Headers
from linkbus._own_header import NAME, carrying
from linkbus._text import to_text

_NO_HEADERS = Headers()
_NO_CONTEXT: Mapping[str, str] = {}
_NO_FACTS: Mapping[str, str | int] = {}
_WORTH = {"tracestate": 1, "baggage": 2}
"""The order in which context gives way where headers are few; the rest is worth most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a transport can do; the core asks this, never the transport's class.

    What depends on how a queue was set up is what the constructor was told, else the
    weakest. Whatever is missing here is refused with `CapabilityError`.

    Attributes:
        groups: Several groups may consume one source, each given every message.
        ordering: "key": messages of one key keep their order. "queue": all messages of
            a source do. "none": neither.
        native_dead_letter: REJECT moves a message to the broker's own dead letters.
        delayed_release: RELEASE may have a delay.
        extendable_lease: `Receiver.extend` works.
        counts_deliveries: `Arrival.attempt` is the broker's count; else it is always 1.
        repeated_headers: A header name may occur more than once.
        max_batch: The most envelopes in one `send`; None: no limit.
        max_message_bytes: The most bytes of body, key and the application's headers
            together. The transport keeps room for the trace context beyond that.
        max_headers: The most headers of a message, besides the one named `linkbus`. The
            application may use all of them: trace context then stays out of
            `wire_headers`, and is in `context` only.
        durable: A confirmed message survives a restart of the broker.
        receive_cancel_safe: `Receiver.receive` may be cancelled without loss or delay.
    """

    groups: bool = False
    ordering: Literal["none", "key", "queue"] = "none"
    native_dead_letter: bool = False
    delayed_release: bool = False
    extendable_lease: bool = False
    counts_deliveries: bool = False
    repeated_headers: bool = False
    max_batch: int | None = None
    max_message_bytes: int | None = None
    max_headers: int | None = None
    durable: bool = False
    receive_cancel_safe: bool = False


class SendStatus(StrEnum):
    """What became of a message that was sent."""

    SENT = "sent"
    """The broker confirmed it."""
    FAILED = "failed"
    """The broker does not have it."""
    UNKNOWN = "unknown"
    """The broker may have it: it did not answer in time, or the connection broke."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one message.

    Attributes:
        status: SENT, FAILED or UNKNOWN.
        id: The message's id. The core fills in the envelope's where it is None.
        error: Why it was not SENT.
        retryable: FAILED for a reason that may pass. The core sends it again until
            `send_timeout`; after that the application may.
    """

    status: SendStatus
    id: str | None = None
    error: Exception | None = None
    retryable: bool = False


class Envelope:
    """A message as it leaves, with its trace context already made.

    Attributes:
        id: Always there. The same when the core sends it again.
        body: The content.
        key: For order, or None.
        headers: The application's, without any of the propagator's names.
        context: What the propagator wrote, apart, so that a broker with few slots
            can place it elsewhere. May be empty.

    Args:
        max_headers: The most pairs in `wire_headers`, besides the header `linkbus`.
    """

    __slots__ = ("_max_headers", "_wire", "body", "context", "headers", "id", "key")

    id: str
    body: bytes
    key: str | None
    headers: Headers
    context: Mapping[str, str]

    def __init__(
        self,
        id: str,  # noqa: A002 - the word of the public API
        body: bytes,
        key: str | None = None,
        headers: Headers = _NO_HEADERS,
        context: Mapping[str, str] = _NO_CONTEXT,
        *,
        max_headers: int | None = None,
    ) -> None:
        self.id = id
        self.body = body
        self.key = key
        self.headers = headers
        self.context = context
        self._max_headers = max_headers
        self._wire: Headers | None = None

    @property
    def wire_headers(self) -> Headers:
        """All headers to store: the application's and the context, merged.

        A name of the context replaces any that differs from it only in case. Where
        `max_headers` leaves too few places, baggage is left out first, then tracestate,
        then the rest of the context.
        """
        if self._wire is None:
            self._wire = _merged(self.headers, self.context, self._max_headers)
        return self._wire

    def wire_headers_carrying(self, **fields: str) -> Headers:
        """Return `wire_headers`, with `fields` carried in the header `linkbus`.

        For a broker that has no place of its own for the `id`, the `key`, or the way
        in which a body was encoded. `linkbus.abc.carried` reads them back.
        """
        return carrying(self.wire_headers, fields)

    def __repr__(self) -> str:
        return f"<Envelope {self.id}, {len(self.body)} bytes>"


class Arrival:
    """A message that a receiver was given, compared by identity.

    Args:
        id: The id it was sent with, if the broker kept one.
        body: The content.
        key: The key it was sent with; bytes become stable text.
        headers: All that the broker had, the trace context included: `Headers.received`.
        attempt: How often the broker has given it, from 1; 1 where it does not count.
        sent_at: When it was sent, in seconds since the epoch, if known.
        receipt: The receiver's own handle for settling; opaque to the core.
        lease: Seconds from now for which it is ours, or None for no such limit.
        attributes: The broker's facts under OpenTelemetry's names, for spans.
        raw: The client library's own object, for the application's needs.
    """

    __slots__ = (
        "attempt",
        "attributes",
        "body",
        "headers",
        "id",
        "key",
        "lease",
        "raw",
        "receipt",
        "sent_at",
    )

    id: str | None
    body: bytes
    key: str | None
    headers: Headers
    attempt: int
    sent_at: float | None
    receipt: object
    lease: float | None
    attributes: Mapping[str, str | int]
    raw: object

    def __init__(
        self,
        *,
        id: str | None,  # noqa: A002 - the word of the public API
        body: bytes,
        key: str | bytes | None = None,
        headers: Headers = _NO_HEADERS,
        attempt: int = 1,
        sent_at: float | None = None,
        receipt: object = None,
        lease: float | None = None,
        attributes: Mapping[str, str | int] = _NO_FACTS,
        raw: object = None,
    ) -> None:
        self.id = id
        self.body = body
        self.key = key if key is None or type(key) is str else to_text(key)
        self.headers = headers if type(headers) is Headers else Headers(headers)
        self.attempt = attempt
        self.sent_at = sent_at
        self.receipt = receipt
        self.lease = lease
        self.attributes = attributes
        self.raw = raw

    def __repr__(self) -> str:
        return f"<Arrival {self.id}, {len(self.body)} bytes, attempt {self.attempt}>"


class Outcome(StrEnum):
    """What the broker shall do with an arrival."""

    ACK = "ack"
    """Done."""
    RELEASE = "release"
    """Not done: give it again."""
    REJECT = "reject"
    """Never again: to the broker's dead letters."""


class Settlement:
    """One arrival and its outcome; `delay` in seconds, for RELEASE only."""

    __slots__ = ("arrival", "delay", "outcome")

    arrival: Arrival
    outcome: Outcome
    delay: float

    def __init__(self, arrival: Arrival, outcome: Outcome, delay: float = 0.0) -> None:
        self.arrival = arrival
        self.outcome = outcome
        self.delay = delay

    def __repr__(self) -> str:
        return f"<Settlement {self.outcome} of {self.arrival}>"


class SettleStatus(StrEnum):
    """Whether a settlement counts."""

    OK = "ok"
    """The broker has been told, or will be."""
    STALE = "stale"
    """Too late: the arrival was lost, or settled before."""
    FAILED = "failed"
    """The broker refused; the message will come again."""


@dataclass(frozen=True, slots=True)
class SettleResult:
    """Whether one settlement, or one extension of a lease, counts; and if not, why."""

    status: SettleStatus
    error: Exception | None = None


def _merged(headers: Headers, context: Mapping[str, str], max_headers: int | None) -> Headers:
    if not context:
        return headers
    if not headers and (max_headers is None or len(context) <= max_headers):
        return Headers.stable(context.items())
    replaced = {name.lower() for name in context}
    pairs = [pair for pair in headers.items() if pair[0].lower() not in replaced]
    if max_headers is None:
        return Headers.stable([*pairs, *context.items()])
    room = max_headers - sum(name != NAME for name, _ in pairs)
    by_worth = sorted(context.items(), key=lambda pair: _WORTH.get(pair[0].lower(), 0))
    return Headers.stable([*pairs, *by_worth[: max(0, room)]])
