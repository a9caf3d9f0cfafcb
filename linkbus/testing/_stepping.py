"""Cancels a call at a chosen one of its awaits, the same on asyncio and on trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")

STEPS = 16
"""At how many of its awaits a call is cancelled, one after the other, at most."""
DELAY_LIMIT = 1.0
"""Seconds that a cancelled call may take to end."""


@dataclass(slots=True)
class Stepped(Generic[T]):
    """What became of a call that was to be cancelled.

    Attributes:
        reached: It came as far as the step, and was cancelled there.
        result: What it returned all the same, or because it ended before the step.
    """

    reached: bool = False
    result: T | None = None


async def cancel_at(step: int, call: Callable[[], Coroutine[object, object, T]]) -> Stepped[T]:
    """Call, and cancel at the await number `step`, from 0.

    Raises:
        AssertionError: The cancelled call took too long to end.
    """
    stepped: Stepped[T] = Stepped()
    with anyio.CancelScope() as scope:
        counting = _Counting(call(), step, scope.cancel)
        stepped.result = await counting
    stepped.reached = scope.cancel_called
    if stepped.reached:
        took = anyio.current_time() - counting.cancelled_at
        assert took < DELAY_LIMIT, f"the cancelled call took {took:.1f} seconds to end"
    return stepped


class _Counting(Awaitable[T]):
    """Runs a coroutine and calls back when it suspends for the step-th time."""

    def __init__(
        self, call: Coroutine[object, object, T], step: int, then: Callable[[], None]
    ) -> None:
        self._call = call
        self._step = step
        self._then = then
        self.cancelled_at = 0.0

    def __await__(self) -> Generator[object, object, T]:
        count = 0
        send: Callable[[], object] = lambda: self._call.send(None)  # noqa: E731 - replaced below
        while True:
            try:
                waited_for = send()
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if count == self._step:
                self.cancelled_at = anyio.current_time()
                self._then()
            count += 1
            send = yield from self._forward(waited_for)

    def _forward(self, waited_for: object) -> Generator[object, object, Callable[[], object]]:
        """Let the event loop have what is waited for, and return how to go on."""
        try:
            answer = yield waited_for
        except BaseException as error:  # noqa: BLE001 - a cancellation is passed on
            thrown = error
            return lambda: self._call.throw(thrown)
        return lambda: self._call.send(answer)
