"""What the author of a transport writes so that the conformance kit can test it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from linkbus.abc import Transport


class TransportHarness(ABC):
    """Makes transports and destinations for the checks.

    Make it with whatever is needed to reach the broker. Its methods may be called in any
    order, and every check runs in an event loop of its own.

    Attributes:
        quiet: Seconds without a message after which a check believes that none will
            come. Raise it for a broker that is slow to deliver.
        patience: Seconds for which a check waits for what has to come: a message, the
            end of `aclose`.
    """

    quiet: float = 0.4
    patience: float = 8.0

    @abstractmethod
    def transport(self) -> Transport:
        """Make a new transport, not open, reaching the same broker as all others."""

    @abstractmethod
    def new_destination(self) -> str:
        """Return a destination, never used before, that can be used at once."""

    async def restart_broker(self) -> None:  # noqa: B027 - optional, and not abstract
        """Stop the broker, as hard as a crash, and return when it serves again.

        Optional: overriding it adds the checks with faults.
        """

    @property
    def restarts_broker(self) -> bool:
        """Whether `restart_broker` is overridden."""
        return type(self).restart_broker is not TransportHarness.restart_broker
