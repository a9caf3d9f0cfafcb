"""linkbus with its tracing cut out: what is above this is what tracing costs.

It replaces what the producer and the consumer ask of tracing by answers that cost nothing.
Nobody has such a linkbus: with no SDK, tracing looks each time whether somebody has set one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from benchmarks.contender import Joins, Mode, Place
from benchmarks.peers.linkbus_bus import Linkbus
from linkbus._headers import Headers
from linkbus._tracing._operation import UNSEEN, Operation
from linkbus._tracing._process import UNPROCESSED, Process
from linkbus._tracing._processing import ConsumerTracer
from linkbus._tracing._sending import Carrier, ProducerTracer
from linkbus._tracing._suppressing import AS_IT_IS

_NOTHING: Carrier = {}


class LinkbusWithoutTracing(Linkbus):
    """A bus whose process has no tracing at all."""

    joins = Joins.NOTHING

    def __init__(self, place: Place, mode: Mode) -> None:
        super().__init__(place, mode)
        for tracer, name, answer in _CUTS:
            setattr(tracer, name, answer)


def _as_it_is(tracer: object) -> AbstractContextManager[None]:
    return AS_IT_IS


def _unchanged(tracer: object, headers: Headers) -> Headers:
    return headers


def _no_send(tracer: object, message: object, mid: str) -> tuple[Carrier, Operation]:
    return _NOTHING, UNSEEN


def _no_batch(
    tracer: object, messages: object, ids: Sequence[str]
) -> tuple[list[Carrier], Operation]:
    return [_NOTHING] * len(ids), UNSEEN


def _nothing(tracer: object, count: int) -> None:
    return None


def _no_process(tracer: object, incoming: object, previous: object) -> Process:
    return UNPROCESSED


def _no_settling(tracer: object, incoming: object, process: object) -> Operation:
    return UNSEEN


_CUTS: Sequence[tuple[type[object], str, Callable[..., object]]] = (
    (ProducerTracer, "alone", _as_it_is),
    (ProducerTracer, "strip", _unchanged),
    (ProducerTracer, "begin", _no_send),
    (ProducerTracer, "begin_batch", _no_batch),
    (ConsumerTracer, "alone", _as_it_is),
    (ConsumerTracer, "given", _nothing),
    (ConsumerTracer, "begin", _no_process),
    (ConsumerTracer, "begin_batch", _no_process),
    (ConsumerTracer, "settling", _no_settling),
)
"""What is asked of tracing on the path of a message, and what is answered instead."""
