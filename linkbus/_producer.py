"""Producer: sends messages to one destination."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import overload

import anyio

from linkbus._backoff import Backoff
from linkbus._errors import (
    DestinationNotFound,
    MessageError,
    SendError,
    TransportError,
    UsageError,
)
from linkbus._message import Headers, Message, new_id
from linkbus._outgoing import Outgoing
from linkbus._seam import Envelope, SendResult, SendStatus
from linkbus._tracing._operation import error_type
from linkbus._tracing._sending import ProducerTracer
from linkbus.abc import Transport

_SENT = SendStatus.SENT
_ONE_SENT = (None,)
Pairs = Mapping[str, object] | Iterable[tuple[str, object]]


class Producer:
    """Sends messages to one destination; made by `Bus.producer`.

    May be used by any number of tasks at once, as long as the bus is open.

    Attributes:
        destination: Where it sends, in the broker's own spelling.
    """

    def __init__(
        self,
        destination: str,
        transport: Callable[[], Transport],
        tracer: ProducerTracer,
        outgoing: Outgoing,
        *,
        send_timeout: float,
    ) -> None:
        self.destination = destination
        self._transport = transport
        self._tracer = tracer
        self._outgoing = outgoing
        self._send_timeout = send_timeout

    @overload
    async def send(
        self,
        body: bytes,
        *,
        key: str | bytes | None = None,
        headers: Pairs = (),
        id: str | None = None,
    ) -> SendResult: ...

    @overload
    async def send(self, body: Message) -> SendResult: ...

    async def send(
        self,
        body: bytes | Message,
        *,
        key: str | bytes | None = None,
        headers: Pairs = (),
        id: str | None = None,  # noqa: A002 - the word of the public API
    ) -> SendResult:
        """Send one message, and return when the broker has confirmed it.

        A failure that may pass is tried again, with the same id, for `send_timeout`
        seconds. Concurrent calls are not ordered among each other. If the call is
        cancelled, the message may or may not have been sent.

        Args:
            body: The content, or a whole `Message` (then nothing else is given).
            key: See `Message`, as for the rest.
            headers: A mapping or pairs.
            id: None: a new random one.

        Returns:
            A result with the status SENT and the message's id.

        Raises:
            MessageError: This message cannot be sent on this transport.
            DestinationNotFound: There is no such destination.
            SendError: It was not confirmed; `.result` says whether it may have arrived.
            UsageError: The bus is not open.
        """
        if isinstance(body, Message):
            if key is not None or headers or id is not None:
                msg = "send(message) takes no key, headers or id: they are the message's"
                raise UsageError(msg)
            message = body
        else:
            message = Message(body, key=key, headers=headers, id=id)
        return await self.send_prepared(message, self._outgoing.headers(message.headers))

    async def send_prepared(self, message: Message, headers: Headers) -> SendResult:
        """Send a message whose headers are ready to leave. Not for applications."""
        transport = self._transport()
        refused = self._outgoing.refused(message, headers)
        if refused is not None:
            raise refused
        mid = message.id or new_id()
        carrier, operation = self._tracer.begin(message, mid)
        envelope = self._outgoing.envelope(message, mid, headers, carrier)
        try:
            results = await self._call(transport, [envelope])
            if _may_retry(results[0]):
                await self._retry(transport, [envelope], results)
        except BaseException as error:
            operation.end(error_type(error), sent=(error_type(error),))
            raise
        result = results[0]
        if result.status is _SENT:
            operation.end(None, sent=_ONE_SENT)
            return result
        operation.end(_reason(result), sent=(_reason(result),))
        raise self._error(result)

    async def send_batch(self, messages: Iterable[Message]) -> list[SendResult]:
        """Send many messages, and return what became of each, in order.

        A message that cannot be sent is its own FAILED result, and the others go out.
        Failures that may pass are tried again, with the same ids, for `send_timeout`
        seconds. Messages of one key keep their order where the transport orders by key.
        If the call is cancelled, any of them may or may not have been sent.

        Args:
            messages: Any number of them; none makes no call and no span.

        Returns:
            One result per message: SENT, FAILED (with the error, and `retryable`) or
            UNKNOWN. Look at each: this method does not raise for them.

        Raises:
            UsageError: The bus is not open, or something given is not a `Message`.
        """
        given = list(messages)
        transport = self._transport()
        results: list[SendResult | None] = [None] * len(given)
        ids: list[str] = []
        good: list[tuple[int, Message, Headers]] = []
        for index, message in enumerate(given):
            if not isinstance(message, Message):
                msg = f"send_batch takes messages, not {type(message).__name__}"
                raise UsageError(msg)
            headers = self._outgoing.headers(message.headers)
            refused = self._outgoing.refused(message, headers)
            if refused is not None:
                results[index] = SendResult(SendStatus.FAILED, message.id, refused)
            else:
                good.append((index, message, headers))
                ids.append(message.id or new_id())
        if good:
            await self._send_good(transport, good, ids, results)
        return [result for result in results if result is not None]

    def create(
        self,
        body: bytes,
        *,
        key: str | bytes | None = None,
        headers: Pairs = (),
        id: str | None = None,  # noqa: A002 - the word of the public API
    ) -> Message:
        """Return a message whose creation context is made now, in the current trace.

        Send it later, in any trace, process or batch: whoever processes it is linked to
        where it was made. `Message.context` can be stored with the rest of it.

        Raises:
            MessageError: As for `Message`.
        """
        made = Message(body, key=key, headers=headers, id=id or new_id())
        context = self._tracer.create(made, made.id)
        return Message(
            made.body, key=made.key, headers=made.headers, id=made.id, context=context or None
        )

    async def _send_good(
        self,
        transport: Transport,
        good: Sequence[tuple[int, Message, Headers]],
        ids: Sequence[str],
        results: list[SendResult | None],
    ) -> None:
        """Send what may leave, and put what became of it in its places of `results`."""
        messages = [message for _, message, _ in good]
        carriers, operation = self._tracer.begin_batch(messages, ids)
        envelopes = [
            self._outgoing.envelope(message, mid, headers, carrier)
            for (_, message, headers), mid, carrier in zip(good, ids, carriers, strict=True)
        ]
        try:
            sent = await self._round(transport, envelopes)
            await self._retry(transport, envelopes, sent)
        except BaseException as error:
            operation.end(error_type(error), sent=[error_type(error)] * len(envelopes))
            raise
        for (index, _, _), result in zip(good, sent, strict=True):
            results[index] = result
        reasons = [_reason(r) for r in results if r is not None]
        operation.end(next(filter(None, reasons), None), sent=[_reason(result) for result in sent])

    async def _retry(
        self, transport: Transport, envelopes: Sequence[Envelope], results: list[SendResult]
    ) -> None:
        """Send what may be tried again, until `send_timeout`; note what became of it."""
        pending = _to_retry(results)
        deadline = monotonic() + self._send_timeout
        backoff = Backoff()
        while pending and (left := deadline - monotonic()) > 0:
            await anyio.sleep(min(backoff.next(), left))
            again = await self._round(transport, [envelopes[index] for index in pending])
            for index, result in zip(pending, again, strict=True):
                results[index] = result
            pending = _to_retry(results)

    async def _round(self, transport: Transport, envelopes: Sequence[Envelope]) -> list[SendResult]:
        """Send each envelope once, in calls of at most `max_batch`."""
        size = transport.capabilities.max_batch or len(envelopes)
        if len(envelopes) <= size:
            return await self._call(transport, envelopes)
        ordered = transport.capabilities.ordering != "none"
        results: list[SendResult] = []
        for at in range(0, len(envelopes), size):
            results += await self._call(transport, envelopes[at : at + size])
            failed = next((r for r in results if _may_retry(r)), None)
            if ordered and failed is not None:  # later ones of its key must not overtake it
                later = envelopes[len(results) :]
                results += [SendResult(failed.status, e.id, failed.error, True) for e in later]
                break
        return results

    async def _call(self, transport: Transport, envelopes: Sequence[Envelope]) -> list[SendResult]:
        try:
            with self._tracer.alone():
                results = await transport.send(self.destination, envelopes)
        except SendError as error:
            return [_with_id(error.result, envelope) for envelope in envelopes]
        except (TransportError, MessageError) as error:
            retryable = isinstance(error, TransportError) and error.retryable
            return [SendResult(SendStatus.FAILED, e.id, error, retryable) for e in envelopes]
        if len(results) != len(envelopes):
            msg = (
                f"the transport gave {len(results)} results for {len(envelopes)} envelopes: "
                "it is defective, and what became of them is not known"
            )
            unknown = TransportError(msg)
            return [SendResult(SendStatus.UNKNOWN, e.id, unknown) for e in envelopes]
        if len(results) == 1:
            return [_with_id(results[0], envelopes[0])]
        return [_with_id(r, e) for r, e in zip(results, envelopes, strict=True)]

    def _error(self, result: SendResult) -> Exception:
        cause = result.error
        if isinstance(cause, MessageError | DestinationNotFound):
            return cause
        if result.status is SendStatus.UNKNOWN:
            what = "it may or may not have the message; sending again may make a duplicate"
        elif result.retryable:
            what = f"it does not have the message, after {self._send_timeout:g} s of attempts"
        else:
            what = "it does not have the message"
        msg = f"the broker did not confirm a message to {self.destination!r}: {what} ({cause})"
        error = SendError(msg, result)
        error.__cause__ = cause
        return error


def _to_retry(results: Sequence[SendResult]) -> list[int]:
    return [index for index, result in enumerate(results) if _may_retry(result)]


def _may_retry(result: SendResult) -> bool:
    return result.retryable and result.status is SendStatus.FAILED


def _reason(result: SendResult) -> str | None:
    """Return the `error.type` of a result, None if it was sent."""
    if result.status is _SENT:
        return None
    return result.status.value if result.error is None else error_type(result.error)


def _with_id(result: SendResult, envelope: Envelope) -> SendResult:
    if result.id is not None:
        return result
    return SendResult(result.status, envelope.id, result.error, result.retryable)
