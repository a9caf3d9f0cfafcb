"""What a URL says of a RabbitMQ, and never shows."""

from __future__ import annotations

import pytest

from linkbus import UsageError
from linkbus.transports.rabbitmq._server_url import server_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://localhost", ("localhost", 5672, "/", "guest", "guest", False)),
        ("rabbitmq://", ("localhost", 5672, "/", "guest", "guest", False)),
        ("amqp://host/", ("host", 5672, "/", "guest", "guest", False)),
        ("amqps://u:p@host/v", ("host", 5671, "v", "u", "p", True)),
        ("amqp://u%40x:p%2F%3A@host:1/a%2Fb", ("host", 1, "a/b", "u@x", "p/:", False)),
        ("amqp://[::1]:2/%2F", ("::1", 2, "/", "guest", "guest", False)),
        ("amqp://u@host//", ("host", 5672, "/", "u", "guest", False)),
    ],
)
def test_parts(url: str, expected: tuple[object, ...]) -> None:
    """Each part may be left out."""
    it = server_of(url, None, None)
    assert (it.host, it.port, it.vhost, it.username, it.password, it.has_tls) == expected


def test_options_before_the_url() -> None:
    """A login that is given apart replaces the URL's."""
    it = server_of("amqp://u:p@host", "bob", "")
    assert (it.username, it.password) == ("bob", "")


@pytest.mark.parametrize(
    "url",
    [
        "http://u:secret@host",
        "amqp:u:secret@host",
        "amqp://u:secret@host:port",
        "amqp://u:secret@host:99999",
        "amqp://u:secret@host/?heartbeat=1",
        "amqp://u:secret@host/v#f",
        "amqp://u:secret@[host",
        "",
    ],
)
def test_malformed(url: str) -> None:
    """It is refused, and the password in it is not repeated."""
    with pytest.raises(UsageError) as raised:
        server_of(url, None, None)
    assert "secret" not in f"{raised.value!r} {raised.value.__context__!r}".replace("'host'", "")


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("localhost", True),
        ("127.1.2.3", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("a.b", False),
    ],
)
def test_this_machine(host: str, is_here: bool) -> None:
    """Nobody listens between us and this machine."""
    assert server_of(f"amqp://{host}", None, None).is_here is is_here


def test_the_password_is_not_shown() -> None:
    """A repr has everything else."""
    it = server_of("amqp://u:secret@host", None, None)
    assert "secret" not in repr(it)
    assert it.has_credentials
    assert not server_of("amqp://guest:guest@host", None, None).has_credentials
