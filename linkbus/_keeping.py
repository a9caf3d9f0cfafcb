"""The task that looks after what is held: extends leases, gives back what is not wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

import anyio

from linkbus._bell import Bell
from linkbus._cancelled import failure
from linkbus._delivery import Delivery
from linkbus._leases import Leases
from linkbus._tracing._suppressing import Alone


class Keeper:
    """Reviews leases when they are due, and releases what stops being ours.

    Args:
        leases: Of what is held.
        release: Gives deliveries back; does not raise.
        fail: Told of an error after which nothing can be kept.
    """

    def __init__(
        self,
        leases: Leases,
        release: Callable[[Sequence[Delivery]], Awaitable[None]],
        fail: Callable[[Exception], None],
    ) -> None:
        self._leases = leases
        self._release = release
        self._fail = fail
        self._unwanted: list[Delivery] = []
        self._duty = Bell()
        self._scope = anyio.CancelScope(shield=True)

    def give_back(self, delivery: Delivery) -> None:
        """Release a delivery soon; `go_on` says when."""
        self._unwanted.append(delivery)

    def go_on(self) -> None:
        """Look again at what is due."""
        self._duty.ring()

    def stop(self) -> None:
        """Make no further call, and cancel the one under way."""
        self._scope.cancel()

    async def run(self) -> None:
        """Keep; the body of the task."""
        with Alone(), self._scope:
            while await self._review():
                due = self._leases.next_at
                with anyio.move_on_after(None if due is None else max(0.0, due - monotonic())):
                    await self._duty.wait()

    async def _review(self) -> bool:
        """Do all that is due; False if nothing can be kept any more."""
        while True:
            unwanted, self._unwanted = self._unwanted, []
            await self._release(unwanted)
            try:
                await self._leases.review()
            except BaseException as error:
                failed = failure(error, "extending leases")
                if failed is None:
                    raise
                self._fail(failed)  # it ends the consumer, which raises it
                return False
            if not self._unwanted:
                return True
