"""Dead letters: copies of messages that nobody here can take, with where they come from."""

from __future__ import annotations

from linkbus._delivery import Delivery
from linkbus._errors import DeliveryError, MessageError, TransportError
from linkbus._own_header import carrying
from linkbus._producer import Producer
from linkbus._seam import Outcome
from linkbus._tracing._lineage import lineage_in
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

    async def send(self, delivery: Delivery, error: BaseException | None) -> Outcome:
        """Send a copy, where a destination was named; return how to settle the delivery.

        Raises:
            DeliveryError: The copy was not confirmed.
        """
        if self._producer is None:
            return Outcome.REJECT
        await send_copy(self._producer, delivery, error)
        return Outcome.ACK


def dead_lettered_as(outcome: Outcome) -> str:
    """Return what a span calls it when a message that nobody took is settled so."""
    return "reject" if outcome is Outcome.REJECT else "dead_letter"


async def send_copy(producer: Producer, delivery: Delivery, error: BaseException | None) -> None:
    """Send a copy to the dead-letter destination, with an id of its own.

    Its header `linkbus` tells where the message was first made, and the type of the error,
    never its text.

    Raises:
        DeliveryError: The copy was not confirmed.
    """
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
    before = lineage_in(delivery.headers)
    if before is not None:
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
