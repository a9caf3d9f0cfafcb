"""A check: one property of a transport, as a coroutine with a sentence for its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from linkbus.abc import Capabilities
from linkbus.testing._harness import TransportHarness
from linkbus.testing._trial import Trial

RESTART = "restart_broker"
"""What a check needs of the harness, where all other needs are names of capabilities."""

Run = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Check:
    """One property of a transport.

    Attributes:
        title: What holds, as a sentence without its capital and its full stop.
        run: Raises `AssertionError` when it does not hold, `Skipped` when it does not apply.
        needs: Names of capabilities without which the check does not apply.
    """

    title: str
    run: Run
    needs: tuple[str, ...] = ()

    def lacking(self, capabilities: Capabilities, harness: TransportHarness) -> str | None:
        """Say why the check does not apply to a transport, or return None if it does."""
        for need in self.needs:
            if need == RESTART and not harness.restarts_broker:
                return "the harness does not override restart_broker"
            if need != RESTART and getattr(capabilities, need) in {False, None, "none"}:
                return f"the transport's capabilities lack {need}"
        return None


def check(*needs: str) -> Callable[[Run], Check]:
    """Make a `Check` of a coroutine function; its docstring's first line is the title."""

    def decorate(run: Run) -> Check:
        sentence = (run.__doc__ or "").strip().splitlines()[0].removesuffix(".")
        return Check(sentence[0].lower() + sentence[1:], run, needs)

    return decorate


def checks_in(*modules: object) -> Iterator[Check]:
    """Yield the checks that modules define, in the order of their definition."""
    for module in modules:
        yield from (value for value in vars(module).values() if isinstance(value, Check))
