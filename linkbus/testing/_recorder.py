"""SpanRecorder: collects the spans of a block of code, for tests and for demonstrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeAlias

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from linkbus.testing._listening import global_provider, listening
from linkbus.testing._tree import SPAN_ATTRIBUTES, tree

SpanOrName: TypeAlias = ReadableSpan | str
_Key: TypeAlias = tuple[int, int]


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
    provider. May be used from any thread.

    Args:
        provider: One of the SDK's; None: the global one.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._started: dict[_Key, ReadableSpan] = {}
        self._finished: list[ReadableSpan] = []
        self._listening = ExitStack()

    def __enter__(self) -> Self:
        self._listening.enter_context(listening(self.tracer_provider, self))
        return self

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
        return list(self._started.values())

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
            [*self._finished, *self._started.values()],
            attributes=attributes,
            link_attributes=link_attributes,
            replace=replace,
            max_links=max_links,
            width=width,
            color=color,
        )

    def assert_linked(self, span: SpanOrName, target: SpanOrName) -> None:
        """Check that a span links to another one.

        Given names, every span of the first name must link to one of the second. Links
        that were too many for a span, and are on its children `{name} links`, are its own.

        Raises:
            AssertionError: There is no such span or no such link; says what is there.
        """
        targets = self._spans(target)
        wanted = {_key(one) for one in targets}
        for one in self._spans(span):
            linked = self._linked(one)
            assert linked & wanted, self._not_linked(one, targets[0].name, linked)

    def assert_no_leaks(self) -> None:
        """Check that every span that was started has ended, and none is still current.

        Raises:
            AssertionError: Names the spans that are left.
        """
        names = ", ".join(repr(span.name) for span in self._started.values())
        assert not names, f"started and never ended: {names}"
        current = trace.get_current_span().get_span_context()
        left = [one.name for one in self._finished if one.context == current]
        assert not left, f"{left[0]!r} has ended and is still the current span"

    def on_start(self, span: ReadableSpan) -> None:
        """Note a span that begins; called by the provider."""
        self._started[_key(span)] = span

    def on_end(self, span: ReadableSpan) -> None:
        """Note a span that has ended; called by the provider."""
        self._started.pop(_key(span), None)
        self._finished.append(span)

    def _spans(self, wanted: SpanOrName) -> list[ReadableSpan]:
        if not isinstance(wanted, str):
            return [wanted]
        if found := self.named(wanted):
            return found
        if any(span.name == wanted for span in self._started.values()):
            msg = f"{wanted!r} has not ended yet"
        else:
            names = ", ".join(sorted({repr(span.name) for span in self._finished}))
            msg = f"no span is named {wanted!r}; there are: {names or 'none at all'}"
        raise AssertionError(msg)

    def _linked(self, span: ReadableSpan) -> set[_Key]:
        carriers = [one for one in self.named(f"{span.name} links") if one.parent == span.context]
        return {
            (link.context.trace_id, link.context.span_id)
            for one in (span, *carriers)
            for link in one.links
        }

    def _not_linked(self, span: ReadableSpan, target: str, linked: set[_Key]) -> str:
        known = {_key(one): one.name for one in (*self._finished, *self._started.values())}
        names = sorted({repr(known.get(key, "a span that was not recorded")) for key in linked})
        if names:
            return f"{span.name!r} has no link to {target!r}; it links to: {', '.join(names)}"
        reason = _reason(span)
        return f"{span.name!r} has no link to {target!r}, and no other link; {reason}"


def _reason(span: ReadableSpan) -> str:
    """Say why a span may have no links, as far as it tells."""
    attributes = span.attributes or {}
    if attributes.get("linkbus.link.invalid"):
        return "the message brought a trace context that is invalid"
    if attributes.get("linkbus.link.missing"):
        return "the message came without a trace context: did it lose its headers on the way?"
    return "was it started by the code that processed the message?"


def _key(span: ReadableSpan) -> _Key:
    return span.context.trace_id, span.context.span_id
