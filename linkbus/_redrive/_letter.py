"""What can be told of a dead letter without showing what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from linkbus._delivery import Delivery
from linkbus._own_header import carried


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of one dead letter; source, attempts and error are of its lineage.

    Attributes:
        id: The dead letter's own.
        source: Where the message was received when it failed.
        attempts: How often it was tried there.
        error: The type of the last error.
        sent_at: When it was sent to the dead letters, in seconds since the epoch.
    """

    id: str | None
    source: str | None
    attempts: int | None
    error: str | None
    sent_at: float | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Read a dead letter; what is malformed in its lineage is not known."""
        origin = carried(delivery.headers).get("origin")
        lineage: dict[str, object] = origin if isinstance(origin, dict) else {}
        if lineage.get("source") == delivery.source:
            lineage = {}  # of a broker's own dead letters, of which we saw no other source
        source, attempts, error = (lineage.get(name) for name in ("source", "attempts", "error"))
        return cls(
            id=delivery.id,
            source=source if isinstance(source, str) else None,
            attempts=attempts if type(attempts) is int else None,
            error=error if isinstance(error, str) else None,
            sent_at=delivery.sent_at,
        )
