"""SQS passes the conformance kit, on a real server that is killed and restarted."""

from __future__ import annotations

import asyncio

import pytest
from aiobotocore.session import AioSession

from linkbus.testing import Check, TransportConformance, TransportHarness
from linkbus.transports.sqs import SQSTransport
from tests.brokers.elasticmq import ElasticMQ, create_queue

SESSION = AioSession()
"""One for all checks: a session reads the models of SQS from files."""
SESSION.set_credentials("key", "secret")


class GivenSQS(TransportHarness):
    """A server of which only the address is known; short leases, so that checks need not wait."""

    quiet = 0.5
    patience = 20.0  # a message is a request or more

    def __init__(self, endpoint: str, *, fifo: bool) -> None:
        self.endpoint = endpoint
        self.fifo = fifo

    def transport(self) -> SQSTransport:
        return SQSTransport(
            region_name="elasticmq",
            endpoint_url=self.endpoint,
            session=SESSION,
            fifo=self.fifo,
            visibility_timeout=2,
            poll_wait=1,
            max_message_bytes=237_568,
        )

    def new_destination(self) -> str:
        return create_queue(self.endpoint, fifo=self.fifo)


class OwnSQS(GivenSQS):
    """A server that may be killed."""

    def __init__(self, broker: ElasticMQ, *, fifo: bool) -> None:
        super().__init__(broker.endpoint, fifo=fifo)
        self.broker = broker

    async def restart_broker(self) -> None:
        await asyncio.to_thread(self.broker.restart)


def harness(request: pytest.FixtureRequest, check: Check, *, fifo: bool) -> GivenSQS:
    """Return what reaches a server that keeps nothing, unless the check restarts it."""
    if "restart_broker" in check.needs:
        return OwnSQS(request.getfixturevalue("sqs_to_kill"), fifo=fifo)
    return GivenSQS(request.getfixturevalue("sqs").endpoint, fifo=fifo)


@pytest.mark.broker
@pytest.mark.usefixtures("sqs")
class TestStandardQueues(TransportConformance):
    @pytest.fixture(autouse=True)
    def _harness(self, request: pytest.FixtureRequest, check: Check) -> None:
        self.harness = harness(request, check, fifo=False)


@pytest.mark.broker
@pytest.mark.usefixtures("sqs")
class TestFifoQueues(TransportConformance):
    @pytest.fixture(autouse=True)
    def _harness(self, request: pytest.FixtureRequest, check: Check) -> None:
        self.harness = harness(request, check, fifo=True)
