"""One core for the process that is measured, the others for the brokers."""

from __future__ import annotations

import os
import sys
from collections.abc import Set as AbstractSet
from typing import NamedTuple


class Cores(NamedTuple):
    """How the machine is shared.

    Attributes:
        client: Where workers run; None: wherever the system puts them.
        broker: Where brokers, and this process, run.
        told: The same in words, for the tables.
    """

    client: AbstractSet[int] | None
    broker: AbstractSet[int] | None
    told: str

    @property
    def everything(self) -> AbstractSet[int] | None:
        """All of them; None: nothing is pinned."""
        if self.client is None or self.broker is None:
            return None
        return self.client | self.broker


def shared_out(available: AbstractSet[int]) -> Cores:
    """Share out the cores that this process may use."""
    if len(available) < 2:  # noqa: PLR2004 - one for each
        return Cores(None, None, "not pinned: there is one core")
    client = {max(available)}
    others = set(available) - client
    told = f"workers on core {max(available)}, brokers on {sorted(others)}"
    return Cores(client, others, told)


def cores() -> Cores:
    """Share out the machine; what cannot be pinned is not, and says so."""
    if sys.platform == "linux":
        return shared_out(os.sched_getaffinity(0))
    return Cores(None, None, f"not pinned: {sys.platform} has no affinity")


def pin(to: AbstractSet[int] | None) -> None:
    """Keep this process, and what it starts from now on, on some cores."""
    if to and sys.platform == "linux":
        os.sched_setaffinity(0, to)
