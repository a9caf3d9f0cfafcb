"""SpanRecorder: collects the spans of a block of code, for tests and for demonstrations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from linkbus.testing._every_message import assert_every_message_linked
from linkbus.testing._left_behind import never_ended, refused_detaches, still_attached
from linkbus.testing._linkage import Key, key
from linkbus.testing._linked import SpanOrName, assert_linked
from linkbus.testing._listening import global_provider, listening
from linkbus.testing._tree import SPAN_ATTRIBUTES, tree


class SpanRecorder:
    """Collects every span that a tracer provider makes while the block runs.

    ```python
    with SpanRecorder() as spans:
        ...
    print(spans.tree())
    spans.assert_linked("process orders", "send orders")
    ```

    Without an argument it listens to OpenTelemetry's global provider, where a bus sends its
    spans by default. If that is not set, it is set to a new one of the SDK, which records
    everything: OpenTelemetry lets it be set once in a process, so it stays, and all
    recorders of the process share it. With a provider of its own a recorder touches nothing
    global; give `tracer_provider` to `Tracing`.

    Recorders may be nested and may run side by side: each collects all spans of its
    provider. May be used from any thread. Iterating gives the spans that have ended, in the
    order of their ends, then those that have not.

    Args:
        provider: One of the SDK's; None: the global one.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._started: dict[Key, ReadableSpan] = {}
        self._finished: list[ReadableSpan] = []
        self._refused: list[str] = []
        self._before = Context()
        self._listening = ExitStack()

    def __enter__(self) -> Self:
        self._before = get_current()
        self._listening.enter_context(listening(self.tracer_provider, self))
        self._refused = self._listening.enter_context(refused_detaches())
        return self

    def __iter__(self) -> Iterator[ReadableSpan]:
        return iter([*self._finished, *self._started.values()])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listening.close()

    @property
    def tracer_provider(self) -> TracerProvider:
        """The provider whose spans are collected: for `Tracing(tracer_provider=…)`."""
        if self._provider is None:
            self._provider = global_provider()
        return self._provider

    @property
    def finished(self) -> list[ReadableSpan]:
        """The spans that have ended, in the order of their ends."""
        return list(self._finished)

    @property
    def open(self) -> list[ReadableSpan]:
        """The spans that were started in the block and have not ended, in that order."""
        return [span for span in list(self._started.values()) if span.end_time is None]

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name that have ended, in the order of their ends."""
        return [span for span in self._finished if span.name == name]

    def clear(self) -> None:
        """Forget the spans that have ended."""
        self._finished.clear()

    def tree(
        self,
        *,
        attributes: Sequence[str] = SPAN_ATTRIBUTES,
        link_attributes: Sequence[str] = ("*",),
        replace: Mapping[str, str] | None = None,
        max_links: int = 8,
        width: int = 100,
        color: bool = False,
    ) -> str:
        """Return all spans as text: a letter for each trace, indented, with their links.

        It has no ids and no times, so that tests can compare it. Spans that have not
        ended are marked.

        Args:
            attributes: Names or patterns (`messaging.*`) of the spans' attributes to
                print. Of those that change from run to run, only the name is.
            link_attributes: The same for links.
            replace: Parts of names, such as a destination made for one test, and what
                is printed instead.
            max_links: The most links of one span to print; the others are counted.
            width: Columns to keep to, by breaking lines between links and attributes.
            color: For a terminal.
        """
        return tree(
            self,
            attributes=attributes,
            link_attributes=link_attributes,
            replace=replace,
            max_links=max_links,
            width=width,
            color=color,
        )

    def assert_linked(
        self,
        span: SpanOrName,
        target: SpanOrName,
        *,
        relation: str | None = None,
        transitive: bool = False,
    ) -> None:
        """Check that a span links to another one.

        Given names, every span of the first name must link to one of the second. Links
        that were too many for a span, and are on its children `{name} links`, are its own.

        Args:
            span: The span that links, or the name of some.
            target: The span that is linked, or the name of some.
            relation: Only links of this `linkbus.link.relation` count: "producer", which
                are those to creation contexts, "retry" and so on. None: all.
            transitive: Follow links and parents over any number of spans, from the work
                on a message to the request that caused it.

        Raises:
            AssertionError: There is no such span or no such link; says what is there.
        """
        __tracebackhide__ = True
        assert_linked(self, span, target, relation=relation, transitive=transitive)

    def assert_every_message_linked(self, *, in_flight: str | Collection[str] = ()) -> None:
        """Check that each message that linkbus sent or processed is linked, both ways.

        See `linkbus.testing.assert_every_message_linked`.

        Args:
            in_flight: Destinations, as spans name them, whose messages need not have been
                processed, nor sent if they were only created; patterns such as `audit.*` too.

        Raises:
            AssertionError: Says which messages lack what, or that there were none.
        """
        __tracebackhide__ = True
        assert_every_message_linked(self, in_flight=in_flight)

    def assert_no_leaks(self) -> None:
        """Check that every span has ended, and that every context was detached.

        Contexts are those of this task: what is current is compared with what was current
        on entering. Of other tasks it is known only when OpenTelemetry refused to detach one.

        Raises:
            AssertionError: Names what is left.
        """
        __tracebackhide__ = True
        left = [
            *never_ended(self.open),
            *still_attached(self._before, get_current()),
            *self._refused,
        ]
        if left:
            raise AssertionError("; ".join(left))

    def on_start(self, span: ReadableSpan) -> None:
        """Note a span that begins; called by the provider."""
        self._started[key(span.context)] = span

    def on_end(self, span: ReadableSpan) -> None:
        """Note a span that has ended; called by the provider."""
        self._started.pop(key(span.context), None)
        self._finished.append(span)
