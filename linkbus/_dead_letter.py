"""Dead letters: copies of messages that nobody here can take, with where they come from."""

from __future__ import annotations

from collections.abc import Sequence

from linkbus._delivery import Delivery
from linkbus._errors import DeliveryError, MessageError, TransportError
from linkbus._own_header import carried, carrying
from linkbus._producer import Producer
from linkbus._seam import Outcome
from linkbus._tracing._operation import error_type


class DeadLetters:
    """Where messages go that nobody here can take.

    Args:
        producer: Of the dead-letter destination, if the application named one.
        native: Whether the broker has dead letters of its own.

    Attributes:
        exist: Whether there is such a place.
    """

    def __init__(self, producer: Producer | None, *, native: bool) -> None:
        self._producer = producer
        self.exist = native or producer is not None

    async def send(self, deliveries: Sequence[Delivery], error: BaseException | None) -> Outcome:
        """Send copies, where a destination was named; return how to settle the deliveries.

        Raises:
            DeliveryError: A copy was not confirmed; those before it may have been.
        """
        if self._producer is None:
            return Outcome.REJECT
        await send_copies(self._producer, deliveries, error)
        return Outcome.ACK


async def send_copies(
    producer: Producer, deliveries: Sequence[Delivery], error: BaseException | None
) -> None:
    """Send a copy of each to the dead-letter destination; each gets an id of its own.

    The header `linkbus` of a copy tells where the message was first made, and the type of
    the error, never its text.

    Raises:
        DeliveryError: A copy was not confirmed; those before it may have been.
    """
    for delivery in deliveries:
        message = delivery.message
        headers = carrying(message.headers, {"origin": origin_of(delivery, error)})
        try:
            await producer.send_prepared(message, headers)
        except (TransportError, MessageError) as failure:
            msg = (
                f"{delivery} could not be dead-lettered to {producer.destination!r}: {failure}. "
                "It is released; mend the dead-letter destination and start again"
            )
            raise DeliveryError(msg) from failure


def origin_of(delivery: Delivery, error: BaseException | None) -> dict[str, object]:
    """Return the lineage of a message; a valid one that it already has wins."""
    before = carried(delivery.headers).get("origin")
    if isinstance(before, dict) and not delivery.origin().invalid:
        return before
    origin: dict[str, object] = {
        **delivery.creation().as_headers(),
        "source": delivery.source,
        "attempts": delivery.attempt,
    }
    if delivery.id is not None:
        origin["id"] = delivery.id
    if error is not None:
        origin["error"] = error_type(error)
    return origin
