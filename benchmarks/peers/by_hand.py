"""Spans, links and attributes written by hand, as the conventions want them.

The same that linkbus makes: a producer span around each send, or one for each message of a
batch; a consumer span, in a trace of its own, around the handling of each message, or of a
batch, with a link to every message's creation context.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from time import time

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind

from benchmarks.contender import Place
from benchmarks.peers.many_links import Facts, linked

BrokerFacts = dict[str, str | int]

ACK = ("linkbus.outcome", "ack")
"""The attribute of a process span that ended well."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that is about to be handled.

    Attributes:
        headers: As text.
        mid: Its id.
        size: Bytes of its body.
        sent_at: Seconds since the epoch.
        facts: The broker's, by the names of the conventions.
        attempt: From 1.
    """

    headers: Mapping[str, str]
    mid: str
    size: int
    sent_at: float
    facts: Mapping[str, str | int] = field(default_factory=dict)
    attempt: int = 1


class ByHand:
    """What an application would write beside its client.

    Args:
        place: What is sent to, and received from.
        system: The conventions' `messaging.system`.
        connection: Facts about it.
        source: Facts about what is received from.
    """

    def __init__(
        self,
        place: Place,
        system: str,
        connection: Mapping[str, str | int] | None = None,
        source: Mapping[str, str] | None = None,
    ) -> None:
        self._tracer = trace.get_tracer("by hand")
        self._place = place
        self._base: Facts = {
            "messaging.system": system,
            "messaging.destination.name": place.destination,
            **(connection or {}),
        }
        self._source: Facts = {
            **self._base,
            **(source or {}),
            "messaging.consumer.group.name": place.group,
        }

    def add(self, name: str, value: str) -> None:
        """Add a fact that is known only once the client is connected."""
        self._base[name] = self._source[name] = value

    def sending(self, mid: str, size: int) -> AbstractContextManager[trace.Span]:
        """Open the span that sends one message."""
        facts = {**_operation(self._base, "send"), **_message(mid, size)}
        name = f"send {self._place.destination}"
        return self._tracer.start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=facts)

    @contextmanager
    def sending_batch(self, mids: Sequence[str], size: int) -> Iterator[list[dict[str, str]]]:
        """Give the headers of each message of a batch, inside the span that sends it."""
        made, links = [], []
        for mid in mids:
            facts = {**_operation(self._base, "create"), **_message(mid, size)}
            span = self._tracer.start_span(
                f"create {self._place.destination}", kind=SpanKind.PRODUCER, attributes=facts
            )
            headers: dict[str, str] = {}
            propagate.inject(headers, trace.set_span_in_context(span))
            span.end()
            made.append(headers)
            links.append(Link(span.get_span_context(), {"messaging.message.id": mid}))
        facts = {**_operation(self._base, "send"), "messaging.batch.message_count": len(mids)}
        facts["linkbus.link.count"] = len(links)
        name = f"send {self._place.destination}"
        with linked(self._tracer, name, None, SpanKind.CLIENT, facts=facts, links=links):
            yield made

    def processing(self, message: Received) -> AbstractContextManager[trace.Span]:
        """Open the span in which one message is handled; `ACK` is to be set at its end."""
        creation = _creation(message.headers)
        link = Link(
            creation,
            {"linkbus.link.relation": "producer", "messaging.message.id": message.mid},
        )
        facts = {
            **_operation(self._source, "process"),
            **message.facts,
            **_message(message.mid, message.size),
            "linkbus.delivery.attempt": message.attempt,
            "linkbus.queue.wait_ms": round((time() - message.sent_at) * 1000, 3),
            "linkbus.link.trace_id": trace.format_trace_id(creation.trace_id),
            "linkbus.link.span_id": trace.format_span_id(creation.span_id),
        }
        name = f"process {self._place.destination}"
        return self._tracer.start_as_current_span(name, Context(), SpanKind.CONSUMER, facts, [link])

    @contextmanager
    def processing_batch(
        self, messages: Sequence[Received], shared: Mapping[str, str | int]
    ) -> Iterator[None]:
        """Open the span in which a batch is handled, linked to every message of it.

        Args:
            messages: With their own facts, which go on the links.
            shared: The facts of all of them.
        """
        links = [
            Link(
                _creation(message.headers),
                {
                    "linkbus.delivery.attempt": message.attempt,
                    "messaging.message.id": message.mid,
                    **message.facts,
                },
            )
            for message in messages
        ]
        now = time()
        waits = [now - message.sent_at for message in messages]
        facts = {
            **_operation(self._source, "process"),
            **shared,
            "linkbus.link.count": len(links),
            "linkbus.link.missing": 0,
            "linkbus.link.invalid": 0,
            "messaging.batch.message_count": len(messages),
            "linkbus.queue.wait_min_ms": round(min(waits) * 1000, 3),
            "linkbus.queue.wait_max_ms": round(max(waits) * 1000, 3),
        }
        name = f"process {self._place.destination}"
        with linked(
            self._tracer, name, Context(), SpanKind.CONSUMER, facts=facts, links=links
        ) as span:
            yield
            span.set_attribute(*ACK)


def injected() -> dict[str, str]:
    """Return the headers that carry the current span's context."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def _operation(base: Facts, name: str) -> Facts:
    return {**base, "messaging.operation.name": name, "messaging.operation.type": name}


def _message(mid: str, size: int) -> Facts:
    return {"messaging.message.id": mid, "messaging.message.body.size": size}


def _creation(headers: Mapping[str, str]) -> SpanContext:
    context = propagate.extract(headers, Context())
    return trace.get_current_span(context).get_span_context()
