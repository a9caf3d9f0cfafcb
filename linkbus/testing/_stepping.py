"""Cancels a call at a chosen one of its awaits, the same on asyncio and on trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")
_Step = Callable[[], object]

STEPS = 16
"""At how many of its awaits a call is cancelled, one after the other, at most."""
DELAY_LIMIT = 1.0
"""Seconds that a cancelled call may take to end."""


@dataclass(slots=True)
class Stepped(Generic[T]):
    """What became of a call that was to be cancelled.

    Attributes:
        reached: It came as far as the step, and its scope was cancelled there.
        result: What it returned, because it ended before the cancellation reached it.
    """

    reached: bool = False
    result: T | None = None


async def cancel_at(step: int, call: Callable[[], Coroutine[object, object, T]]) -> Stepped[T]:
    """Call, and cancel at the await number `step`, from 0.

    Raises:
        AssertionError: The call swallowed its cancellation, raised another error instead,
            or took too long to end.
    """
    stepped: Stepped[T] = Stepped()
    with anyio.CancelScope() as scope:
        counting = _Counting(call(), step, scope.cancel)
        try:
            stepped.result = await counting
        except Exception as error:
            msg = f"cancelled at await {step}, the call raised {error!r} instead"
            if counting.was_told:
                raise AssertionError(msg) from error
            raise
        assert not counting.was_told, f"cancelled at await {step}, the call returned all the same"
    stepped.reached = scope.cancel_called
    if stepped.reached:
        took = anyio.current_time() - counting.cancelled_at
        assert took < DELAY_LIMIT, f"the cancelled call took {took:.1f} seconds to end"
    return stepped


class _Counting(Awaitable[T]):
    """Runs a coroutine and calls back when it suspends for the step-th time.

    Attributes:
        cancelled_at: When it called back.
        was_told: The cancellation was thrown into the coroutine after that.
    """

    def __init__(
        self, call: Coroutine[object, object, T], step: int, then: Callable[[], None]
    ) -> None:
        self._call = call
        self._step = step
        self._then = then
        self.cancelled_at = 0.0
        self.was_told = False

    def __await__(self) -> Generator[object, object, T]:
        count = 0
        go_on: _Step = self._begin
        while True:
            try:
                waited_for = go_on()
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if count == self._step:
                self.cancelled_at = anyio.current_time()
                self._then()
            count += 1
            go_on = yield from self._wait(waited_for)

    def _begin(self) -> object:
        return self._call.send(None)

    def _wait(self, waited_for: object) -> Generator[object, object, _Step]:
        """Let the event loop have what is waited for, and return how to go on."""
        try:
            answer = yield waited_for
        except BaseException as error:  # noqa: BLE001 - all of them are thrown into the call
            thrown = error
            cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            self.was_told = self.was_told or bool(self.cancelled_at and cancelled)
            return lambda: self._call.throw(thrown)
        return lambda: self._call.send(answer)
