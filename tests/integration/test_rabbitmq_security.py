"""Credentials and TLS: they reach the broker, and nobody else."""

from __future__ import annotations

import asyncio
import logging
import ssl
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from linkbus import ConnectError
from linkbus.transports.rabbitmq import RabbitMQTransport
from tests.brokers.fixtures import RabbitMQ
from tests.integration.rabbitmq_opening import Rabbit, new_name, numbered, rabbit, received, sent
from tests.integration.tcp_relay import Relay

__all__ = ["rabbit"]

pytestmark = [pytest.mark.broker, pytest.mark.timeout(60)]  # rabbitmqctl takes seconds


async def test_a_password_is_shown_nowhere(
    rabbitmq: RabbitMQ, rabbit: Rabbit, caplog: pytest.LogCaptureFixture
) -> None:
    """With the right one messages flow, and it is in no log and no repr."""
    if rabbitmq.broker is None:
        pytest.skip("the broker that LINKBUS_TEST_RABBITMQ names is not ours to add users to")
    user, password, source = new_name(), new_name(), new_name()
    rabbitmq.broker.control("add_user", user, password)
    rabbitmq.broker.control("set_permissions", user, ".*", ".*", ".*")
    with caplog.at_level(logging.DEBUG):
        transport = await rabbit.transport(username=user, password=password)
        receiver = await rabbit.receiver(transport, source)
        await sent(transport, source, *numbered(1))
        assert len(await received(receiver, 1)) == 1
    assert user in caplog.text
    assert password not in caplog.text
    shown = (transport, receiver, vars(transport), vars(receiver), transport.raw)
    assert password not in repr(shown)


async def test_a_wrong_password(rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal does not pass by itself, and does not repeat the password."""
    wrong = new_name()
    transport = RabbitMQTransport(rabbitmq.url, password=wrong)
    with pytest.raises(ConnectError, match="refused the login of 'guest'") as raised:
        await transport.open()
    assert not raised.value.retryable
    assert wrong not in f"{raised.value!r} {raised.value.__cause__!r} {caplog.text}"


async def test_a_missing_virtual_host(rabbitmq: RabbitMQ) -> None:
    """The error names it."""
    host = f"127.0.0.1:{RabbitMQTransport(rabbitmq.url).attributes['server.port']}"
    transport = RabbitMQTransport(f"amqp://{host}/no%2Fsuch")
    with pytest.raises(ConnectError, match="virtual host 'no/such'"):
        await transport.open()


async def test_a_virtual_host(rabbitmq: RabbitMQ, rabbit: Rabbit) -> None:
    """One with a slash in its name is another place for the same names."""
    if rabbitmq.broker is None:
        pytest.skip("the broker that LINKBUS_TEST_RABBITMQ names is not ours to add hosts to")
    vhost = f"{new_name()}/a b"
    rabbitmq.broker.control("add_vhost", vhost)
    rabbitmq.broker.control("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
    there = await rabbit.transport(rabbitmq.url + vhost.replace("/", "%2F").replace(" ", "%20"))
    here = await rabbit.transport()
    source = new_name()
    receiver = await rabbit.receiver(there, source)
    (result,) = await here.send(source, numbered(1))
    assert result.status == "failed"
    await sent(there, source, *numbered(1))
    assert len(await received(receiver, 1)) == 1
    rabbitmq.broker.control("delete_vhost", vhost)


async def test_nobody_there() -> None:
    """The error says where, and that it may be tried again."""
    transport = RabbitMQTransport("amqp://127.0.0.1:1", connect_timeout=2.0)
    for _ in range(2):
        with pytest.raises(ConnectError, match=r"127\.0\.0\.1:1") as raised:
            await transport.open()
        assert raised.value.retryable
        assert raised.value.__cause__ is not None


async def test_nobody_answers(rabbitmq: RabbitMQ, stack: AsyncExitStack) -> None:
    """Connecting takes no longer than its timeout."""
    port = int(RabbitMQTransport(rabbitmq.url).attributes["server.port"])
    relay = await stack.enter_async_context(Relay(port))
    relay.go_deaf()
    transport = RabbitMQTransport(f"amqp://127.0.0.1:{relay.port}", connect_timeout=0.2)
    with pytest.raises(ConnectError, match="TimeoutError"):
        await transport.open()


def certificate(folder: Path, host: str) -> Path:
    """Return a file with a new key and a certificate for a host, signed by itself."""
    both = folder / f"{host}.pem"
    name = f"IP:{host}" if host[0].isdigit() else f"DNS:{host}"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=test", "-addext", f"subjectAltName={name}"]
    subprocess.run(  # noqa: S603 - a fixed command
        [*made, *named, "-keyout", str(both), "-out", str(folder / "cert")],
        check=True,
        capture_output=True,
    )
    both.write_text(both.read_text() + (folder / "cert").read_text())
    return both


def only_refusals(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Let nothing pass but what the relay has to say of clients that refuse it."""
    assert "incoming connection" in str(context["message"]), context


async def test_tls(
    rabbitmq: RabbitMQ, rabbit: Rabbit, stack: AsyncExitStack, tmp_path: Path
) -> None:
    """A certificate must hold, and be the host's own."""
    asyncio.get_running_loop().set_exception_handler(only_refusals)
    port = int(RabbitMQTransport(rabbitmq.url).attributes["server.port"])
    for host, holds in (("127.0.0.1", True), ("elsewhere", False)):
        pem = certificate(tmp_path, host)
        ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ours.load_cert_chain(pem)
        relay = await stack.enter_async_context(Relay(port, ours))
        url = f"amqps://127.0.0.1:{relay.port}"
        with pytest.raises(ConnectError, match="certificate") as raised:
            await RabbitMQTransport(url).open()
        assert not raised.value.retryable
        trusting = ssl.create_default_context(cafile=str(pem))
        if holds:
            source = new_name()
            transport = await rabbit.transport(url, ssl_context=trusting)
            receiver = await rabbit.receiver(transport, source)
            await sent(transport, source, *numbered(1))
            assert len(await received(receiver, 1)) == 1
        else:
            with pytest.raises(ConnectError, match="certificate"):
                await RabbitMQTransport(url, ssl_context=trusting).open()
