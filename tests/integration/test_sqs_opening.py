"""Opening and closing: clients of one's own, and what is missing to reach SQS."""

from __future__ import annotations

import pytest
from aiobotocore.session import AioSession

from linkbus import ConnectError
from linkbus.abc import Envelope
from linkbus.transports.sqs import SQSTransport
from tests.brokers.fixtures import SQS
from tests.integration.conftest import received, settled
from tests.integration.sqs_opening import OPTIONS, SESSION, opened, subscribed

pytestmark = pytest.mark.broker


@pytest.fixture
def no_chain(monkeypatch, tmp_path):
    """Leave nothing that the AWS chain could find."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "missing"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


async def test_the_chain(sqs: SQS, stack, no_chain, monkeypatch):
    """Region and credentials come from the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "elasticmq")
    transport = await opened(stack, sqs.endpoint, region_name=None, session=None)
    assert transport.raw.meta.region_name == "elasticmq"
    host, port = sqs.endpoint.removeprefix("http://").split(":")
    assert transport.attributes == {"server.address": host, "server.port": int(port)}
    assert "secret" not in repr(transport)


async def test_no_credentials(sqs: SQS, no_chain):
    """The error says what to set."""
    transport = SQSTransport(endpoint_url=sqs.endpoint, region_name="elasticmq")
    with pytest.raises(ConnectError, match="set AWS_ACCESS_KEY_ID"):
        await transport.open()


async def test_no_region(sqs: SQS, no_chain):
    """The error says what to set."""
    session = AioSession()
    session.set_credentials("key", "secret")
    transport = SQSTransport(endpoint_url=sqs.endpoint, session=session)
    with pytest.raises(ConnectError, match="set AWS_DEFAULT_REGION, or region_name"):
        await transport.open()


async def test_nobody_listens():
    """Opening fails, may be tried again, and names the client's error as its cause."""
    transport = SQSTransport(endpoint_url="http://127.0.0.1:1", **OPTIONS)
    for _ in range(2):
        with pytest.raises(ConnectError, match="SQS was not reached") as caught:
            await transport.open()
        assert caught.value.retryable
        assert type(caught.value.__cause__).__name__ == "EndpointConnectionError"
    await transport.aclose()


async def test_a_client_of_ones_own(sqs: SQS, stack):
    """It is used, and stays open."""
    queue = sqs.create_queue()
    making = SESSION.create_client("sqs", region_name="elasticmq", endpoint_url=sqs.endpoint)
    async with making as client:
        transport = SQSTransport(client=client)
        await transport.open()
        assert transport.raw is client
        await transport.send(queue, [Envelope("7", b"")])
        await transport.aclose()
        await client.list_queues()
        again = SQSTransport(client=client)
        await again.open()
        receiver = await subscribed(stack, again, queue)
        held = await received(receiver, 1)
        assert await settled(receiver, held) == ["ok"]
        await receiver.aclose()
        await again.aclose()


async def test_a_transport_closes_receivers_that_were_left_open(sqs: SQS, stack):
    """What they held is given back before the client is closed."""
    queue = sqs.create_queue()
    transport = await opened(stack, sqs.endpoint)
    receiver = await transport.subscribe(queue, "default", prefetch=1, lost=print)
    await transport.send(queue, [Envelope("7", b"")])
    await received(receiver, 1)
    await transport.aclose()
    other = await opened(stack, sqs.endpoint)
    again = await received(await subscribed(stack, other, queue), 1)
    assert [one.attempt for one in again] == [2]
