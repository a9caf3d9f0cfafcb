"""What the tracers of one bus share: configuration, providers, propagation, base attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opentelemetry import trace

from linkbus._tracing import _names as n
from linkbus._tracing._config import Tracing
from linkbus._tracing._links import Attributes
from linkbus._tracing._propagation import Propagation
from linkbus._tracing._providers import Providers
from linkbus._tracing._quiet import quiet

Facts = Callable[[], Mapping[str, str | int]]
Describe = Callable[[str, str | None], Mapping[str, str | int]]


class TracingCore:
    """One bus's tracing.

    Args:
        config: What the user set.
        system: The transport's `messaging.system`.
        facts: Gives the transport's facts about its connection, known once it is open.
        describe: Gives the transport's facts about a destination, or a source and a group.
    """

    __slots__ = ("_describe", "_facts", "_system", "config", "propagation", "providers")

    def __init__(self, config: Tracing, system: str, facts: Facts, describe: Describe) -> None:
        self.config = config
        self.providers = Providers(config)
        self.propagation = Propagation(config.propagator)
        self._system = system
        self._facts = facts
        self._describe = describe

    def base(self, destination: str, group: str | None = None) -> Attributes:
        """Return the attributes that every span about a destination has.

        Args:
            destination: As the application names it.
            group: Who consumes it; None where it is sent to.
        """
        described = self._described(destination, group)
        return {
            n.SYSTEM: self._system,
            n.DESTINATION: destination,
            **described,
            **self._facts(),
        }

    def _undescribed(self, destination: str, group: str | None) -> Mapping[str, str | int]:
        return {}

    @quiet(_undescribed)
    def _described(self, destination: str, group: str | None) -> Mapping[str, str | int]:
        return self._describe(destination, group)


def label_of(base: Attributes) -> str:
    """Return what the names of spans call a destination: a name of few values."""
    return str(base.get(n.TEMPLATE) or base[n.DESTINATION])


def operation(base: Attributes, name: str) -> Attributes:
    """Return the attributes of one of the five operations, at span creation."""
    return {**base, n.OPERATION_NAME: name, n.OPERATION_TYPE: name}


def measured(attributes: Attributes, *, of_operation: bool) -> Attributes:
    """Return those attributes of a span that the conventions give to metrics too.

    Args:
        attributes: The span's.
        of_operation: For the duration of an operation, which alone has its type.
    """
    names = {*n.OF_METRICS, n.OPERATION_TYPE} if of_operation else n.OF_METRICS
    return {name: value for name, value in attributes.items() if name in names}


def ambient() -> trace.SpanContext | None:
    """Return the application's current span, or None."""
    context = trace.get_current_span().get_span_context()
    return context if context.is_valid else None
