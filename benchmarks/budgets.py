"""What linkbus may cost: each budget names the rows it compares, and its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

NO_SDK = "linkbus no SDK"
PASSING = "linkbus passing a context"
OFF = "linkbus sampler off"
RECORDING = "linkbus recording"
ONE_CONTEXT = "linkbus recording one context"
CUT_OUT = "linkbus tracing cut out"
HAND = "by hand"
HAND_OFF = "by hand sampler off"
RAW = "raw"
BROKERS = ("kafka", "rabbitmq", "sqs")


class Kind(Enum):
    """What is computed of the rows, and whether the limit is the most or the least."""

    COST = "µs"
    """The only row."""
    ADDED = "µs more"
    """The first row above the second."""
    RATIO = "times the time"
    """The first row by the second."""
    THROUGHPUT = "times the throughput"
    """The second row by the first: at least the limit."""
    RATIO_OF_ADDED = "times what is added"
    """The first row above the second, by the third above the fourth."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A claim about some rows.

    Attributes:
        claim: In words.
        kind: What is computed.
        rows: The contenders whose rows it compares.
        limit: The most, or with `THROUGHPUT` the least.
        transports: Where it is claimed.
        phases: Of which parts of a round.
        in_batches: Of batches, or of single messages.
    """

    claim: str
    kind: Kind
    rows: Sequence[str]
    limit: float
    transports: Sequence[str]
    phases: Sequence[str] = ("roundtrip",)
    in_batches: bool = False


_MEMORY = ("memory",)
_HALVES = ("send", "receive")
_FASTSTREAM = ("kafka", "rabbitmq")

BUDGETS: Sequence[Budget] = (
    Budget("send to handled, no SDK", Kind.COST, (NO_SDK,), 25.0, _MEMORY),
    Budget("tracing, no SDK, nothing to pass", Kind.ADDED, (NO_SDK, CUT_OUT), 2.0, _MEMORY),
    Budget("tracing, no SDK, passing a context", Kind.ADDED, (PASSING, CUT_OUT), 8.0, _MEMORY),
    Budget("tracing, sampler off", Kind.ADDED, (OFF, CUT_OUT), 16.0, _MEMORY),
    Budget(
        "tracing, sampler off: the same spans by hand",
        Kind.RATIO_OF_ADDED,
        (OFF, CUT_OUT, HAND_OFF, RAW),
        1.15,
        _MEMORY,
    ),
    Budget("recording, by hand", Kind.RATIO, (RECORDING, HAND), 1.10, BROKERS),
    Budget(
        "batches: spans and links, by hand",
        Kind.RATIO_OF_ADDED,
        (RECORDING, NO_SDK, HAND, RAW),
        1.15,
        ("memory", "kafka"),
        ("receive",),
        in_batches=True,
    ),
    Budget("over the raw client", Kind.ADDED, (NO_SDK, RAW), 10.0, BROKERS, _HALVES),
    Budget(
        "over the raw client, in batches",
        Kind.ADDED,
        (NO_SDK, RAW),
        4.0,
        BROKERS,
        _HALVES,
        in_batches=True,
    ),
    Budget(
        "FastStream with OpenTelemetry, acknowledging first",
        Kind.THROUGHPUT,
        (RECORDING, "faststream ack first recording"),
        1.8,
        ("kafka",),
    ),
    Budget(
        "FastStream with OpenTelemetry",
        Kind.THROUGHPUT,
        (RECORDING, "faststream recording"),
        1.8,
        _FASTSTREAM,
    ),
    Budget(
        "batches with one context each: FastStream with OpenTelemetry, acknowledging first",
        Kind.THROUGHPUT,
        (ONE_CONTEXT, "faststream ack first recording"),
        5.0,
        ("kafka",),
        in_batches=True,
    ),
    Budget(
        "batches with one context each: FastStream with OpenTelemetry",
        Kind.THROUGHPUT,
        (ONE_CONTEXT, "faststream recording"),
        5.0,
        ("kafka",),
        in_batches=True,
    ),
    Budget(
        "traced batches: FastStream untraced",
        Kind.THROUGHPUT,
        (RECORDING, "faststream"),
        1.0,
        ("kafka",),
        in_batches=True,
    ),
    Budget("raw client with contrib", Kind.THROUGHPUT, (RECORDING, "contrib"), 1.0, BROKERS),
)
