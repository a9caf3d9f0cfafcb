"""Telling the transport what became of deliveries: tried again, traced, never in silence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import monotonic

import anyio

from linkbus._backoff import Backoff
from linkbus._delivery import Delivery
from linkbus._errors import TransportError
from linkbus._seam import Outcome, Settlement, SettleResult, SettleStatus
from linkbus._tracing._operation import UNSEEN, Operation, error_type
from linkbus._tracing._process import Process
from linkbus._tracing._processing import ConsumerTracer
from linkbus.abc import Receiver

logger = logging.getLogger("linkbus")

PATIENCE = 10.0
"""Seconds for which a settlement that fails for a passing reason is tried again."""

STALE = SettleResult(SettleStatus.STALE)
_OK = SettleStatus.OK


class Settler:
    """Settles with one receiver.

    Args:
        receiver: The transport's.
        tracer: The consumer's.
        failed: Told of an error after which the receiver is of no more use.
    """

    def __init__(
        self,
        receiver: Receiver,
        tracer: ConsumerTracer,
        failed: Callable[[Exception], None],
    ) -> None:
        self._receiver = receiver
        self._tracer = tracer
        self._failed = failed
        self.patience = PATIENCE
        self._is_closed = False

    def close(self) -> None:
        """Try nothing again: the receiver is closing."""
        self._is_closed = True

    async def settle(
        self,
        deliveries: Sequence[Delivery],
        outcome: Outcome,
        *,
        delay: float,
        process: Process | None,
    ) -> Sequence[SettleResult]:
        """Settle deliveries alike; return one result for each, in order."""
        operation = self._tracer.settling(deliveries, process)
        settlements = [Settlement(d._arrival, outcome, delay) for d in deliveries]
        try:
            results = await self._settled(settlements)
        except BaseException as error:
            operation.end(error_type(error))
            raise
        if len(results) != len(settlements):
            raise self._defective(results, settlements)
        if operation is not UNSEEN:
            _end(operation, results)
        return results

    async def settle_untraced(
        self, deliveries: Sequence[Delivery], outcome: Outcome
    ) -> Sequence[SettleResult]:
        """Settle deliveries that the application was never given: of those no span tells."""
        return await self._settled([Settlement(d._arrival, outcome) for d in deliveries])

    async def _settled(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        with self._tracer.alone():
            try:
                return await self._receiver.settle(settlements)
            except Exception as error:  # noqa: BLE001 - what may pass is tried again
                return await self._again(settlements, error)

    async def _again(
        self, settlements: Sequence[Settlement], error: Exception
    ) -> Sequence[SettleResult]:
        """Try again while the failure may pass; raise one that does not."""
        give_up_at = monotonic() + self.patience
        backoff = Backoff()
        while isinstance(error, TransportError) and error.retryable:
            if monotonic() < give_up_at:
                await anyio.sleep(backoff.next())
            if monotonic() >= give_up_at or self._is_closed:
                return [SettleResult(SettleStatus.FAILED, error)] * len(settlements)
            try:
                return await self._receiver.settle(settlements)
            except Exception as failure:  # noqa: BLE001 - judged by the loop
                error = failure
        self._failed(error)
        raise error

    def _defective(
        self, results: Sequence[SettleResult], settlements: Sequence[Settlement]
    ) -> TransportError:
        msg = (
            f"the transport gave {len(results)} results for {len(settlements)} settlements: "
            "it is defective, and what became of them is not known"
        )
        error = TransportError(msg)
        self._failed(error)
        return error


def log_in_vain(delivery: Delivery, outcome: Outcome, result: SettleResult) -> None:
    """Log a settlement that does not count, at the end of a block or a handler."""
    logger.warning(
        "%s of %s from %r is %s (%s): the message comes again",
        outcome,
        delivery.id,
        delivery.source,
        result.status,
        result.error or "its lease or its partition was lost",
    )


def _end(operation: Operation, results: Sequence[SettleResult]) -> None:
    for result in results:
        if result.status is not _OK:
            error = result.error
            operation.end(result.status.value if error is None else error_type(error))
            return
    operation.end(None)
