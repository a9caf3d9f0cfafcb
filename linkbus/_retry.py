"""When a handler failed: how often and when to try again, and how a handler overrides it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from random import uniform

from linkbus._errors import LinkbusError, UsageError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often `run` calls a handler for one delivery, and how long it waits between.

    The wait happens while the delivery is held, so the order within a key is kept. Before
    attempt n+1 it is `initial_delay * multiplier ** (n - 1)`, at most `max_delay`, changed
    at random by up to `jitter` of it in either direction.

    Args:
        max_attempts: Runs of the handler, here, for one delivery; at least 1.
        initial_delay: Seconds before the second attempt.
        multiplier: What each further wait is longer by; at least 1.
        max_delay: Seconds.
        jitter: A share of the wait, from 0 to 1.
        retry_on: The exceptions that are tried again; others end the delivery at once.

    Raises:
        UsageError: A number is out of its range.
    """

    max_attempts: int = 5
    initial_delay: float = 0.2
    multiplier: float = 2.0
    max_delay: float = 30.0
    jitter: float = 0.2
    retry_on: tuple[type[Exception], ...] = (Exception,)

    def __post_init__(self) -> None:
        kinds = self.retry_on if isinstance(self.retry_on, tuple) else (None,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
            msg = f"retry_on={self.retry_on!r}: give a tuple of classes of exceptions"
            raise UsageError(msg)
        in_range = (
            isinstance(self.max_attempts, int)
            and self.max_attempts >= 1
            and self.initial_delay >= 0
            and self.multiplier >= 1
            and self.max_delay >= 0
            and 0 <= self.jitter <= 1
        )
        if not in_range:
            msg = f"{self} is out of range: see the arguments of RetryPolicy"
            raise UsageError(msg)

    def delay(self, attempts: int) -> float:
        """Return the seconds to wait after so many attempts."""
        try:
            wait = min(self.max_delay, self.initial_delay * self.multiplier ** (attempts - 1))
        except OverflowError:
            wait = self.max_delay
        return wait * uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - spreads load


class Retry(LinkbusError):  # noqa: N818 - reads as the request that it is
    """Raised by a handler to be called again, whatever `retry_on` says.

    It counts as an attempt: `max_attempts` holds (that of `RetryPolicy()` where the
    consumer has none).

    Args:
        delay: Seconds to wait, at least 0; None: what the policy says.

    Raises:
        UsageError: `delay` is no such number.
    """

    def __init__(self, delay: float | None = None) -> None:
        if delay is not None and not (isinstance(delay, int | float) and 0 <= delay < inf):
            msg = f"Retry({delay!r}): give seconds, 0 or more, or None for what the policy says"
            raise UsageError(msg)
        super().__init__("the handler asks to be called again")
        self.delay = delay


class Reject(LinkbusError):  # noqa: N818 - reads as the request that it is
    """Raised by a handler to have a message dead-lettered, without further attempts.

    Args:
        reason: For the log; never sent anywhere.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the handler rejects the message")
        self.reason = reason


def shown(error: BaseException | None) -> tuple[BaseException | None, bool]:
    """Return the error that a span shows, and whether as an exception event too.

    Asking to be called again is no error, and rejecting is one that nothing raised. What
    is no `Exception` is a cancellation, or the end of the process: no error either.
    """
    if isinstance(error, Retry) or not isinstance(error, Exception):
        return None, False
    return error, not isinstance(error, Reject)
