"""The messages that linkbus's spans tell of: which were sent, and which arrived with a link."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanKind

from linkbus.testing._linkage import PRODUCER, Key, Linkage, key
from linkbus.testing._told import (
    BATCH_COUNT,
    LINK_COUNT,
    LINK_INVALID,
    LINK_MESSAGES,
    LINK_MISSING,
    MESSAGE_ID,
    contextless,
    counted,
    described,
    told,
)


class _Sent(NamedTuple):
    """A creation context that left with a message, or with several."""

    context: Key
    message: object
    span: ReadableSpan


class Traffic:
    """What linkbus sent and processed, as its own spans tell.

    Args:
        linkage: The spans; those of others may be among them.
    """

    def __init__(self, linkage: Linkage) -> None:
        self._linkage = linkage
        spans: defaultdict[object, list[ReadableSpan]] = defaultdict(list)
        for span in linkage.spans:
            scope = span.instrumentation_scope
            if scope is not None and scope.name == "linkbus":
                spans[told(span, "messaging.operation.name")].append(span)
        self._processed = spans["process"]
        self._created = spans["create"]
        self._sent = [sent for span in spans["send"] for sent in self._sent_with(span)]
        self._of_message: defaultdict[tuple[str, object], set[Key]] = defaultdict(set)
        for sent in self._sent:
            self._of_message[_destination(sent.span), sent.message].add(sent.context)
        self._arrived = {
            key(link.context)
            for span in (*spans["process"], *spans["settle"])
            for link in linkage.links(span, PRODUCER)
        }

    @property
    def is_empty(self) -> bool:
        """Whether no span tells of a message that arrived."""
        return not self._processed and not self._arrived

    def badly_linked(self) -> Iterator[str]:
        """Say which process spans lack a link, or have another message's."""
        for span in self._processed:
            yield from (f"{span.name!r}: {fault}" for fault in contextless(span))
            links = self._linkage.links(span, PRODUCER)
            yield from _dropped(span, links)
            for link in links:
                yield from self._crossed(span, link)

    def not_arrived(self, in_flight: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Give the destinations of messages that nothing links to, and say which they are.

        Args:
            in_flight: Patterns of destinations to leave out.
        """
        for destination, said in (*self._never_sent(), *self._never_processed()):
            if not any(fnmatchcase(destination, pattern) for pattern in in_flight):
                yield destination, said

    def _never_sent(self) -> Iterator[tuple[str, str]]:
        known = {sent.context for sent in self._sent} | self._arrived
        for span in self._created:
            if key(span.context) not in known:
                message = _which(told(span, MESSAGE_ID))
                said = f"{message}, made by {span.name!r}, is linked by no span that sent it"
                yield _destination(span), said

    def _never_processed(self) -> Iterator[tuple[str, str]]:
        faulty = {
            (_destination(span), told(span, MESSAGE_ID))
            for span in self._processed
            if any(contextless(span))
        }
        for context, message, span in self._sent:
            said_before = message is not None and (_destination(span), message) in faulty
            was_sent = span.end_time is not None and span.status.is_ok
            if context in self._arrived or said_before or not was_sent:
                continue
            sent = f"{_which(message)}, sent by {span.name!r},"
            yield _destination(span), f"{sent} is linked by no span that processed it"

    def _sent_with(self, span: ReadableSpan) -> Iterator[_Sent]:
        """Yield the creation contexts that left with a send: linked ones, and its own."""
        for link in self._linkage.links(span, PRODUCER):
            yield _Sent(key(link.context), _message_of(link), span)
        if span.kind is SpanKind.PRODUCER:
            yield _Sent(key(span.context), told(span, MESSAGE_ID), span)

    def _crossed(self, span: ReadableSpan, link: Link) -> Iterator[str]:
        message = _message_of(link)
        own = self._of_message.get((_destination(span), message))
        if message is None or own is None or key(link.context) in own:
            return
        other = self._linkage.at(link.context)
        name = "a span that was not recorded" if other is None else described(other)
        yield f"{span.name!r}: message {message!r} is linked to {name}"


def _dropped(span: ReadableSpan, links: Sequence[Link]) -> Iterator[str]:
    """Say whether links are fewer than the span counted, or stand for fewer messages."""
    contexts = len({key(link.context) for link in links})
    total = counted(span, BATCH_COUNT)
    wanted = counted(span, LINK_COUNT) if total else int(not any(contextless(span)))
    if contexts < wanted:
        said = f"{described(span)} has links to {contexts} of {wanted} creation contexts"
        yield f"{said}: did the SpanLimits of its provider drop the others?"
    elif total and not any(link.dropped_attributes for link in links):
        faults = counted(span, LINK_MISSING) + counted(span, LINK_INVALID)
        stands = sum(_messages_of(link) for link in links) + faults
        if stands != total:
            yield f"{span.name!r} has {total} messages, and its links and counts tell of {stands}"


def _destination(span: ReadableSpan) -> str:
    return span.name.partition(" ")[2]


def _which(message: object) -> str:
    return "a message" if message is None else f"message {message!r}"


def _message_of(link: Link) -> object:
    return (link.attributes or {}).get(MESSAGE_ID)


def _messages_of(link: Link) -> int:
    number = (link.attributes or {}).get(LINK_MESSAGES, 1)
    return number if isinstance(number, int) else 1
