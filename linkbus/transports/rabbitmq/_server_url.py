"""Where a RabbitMQ is, and who we are there, as a URL says it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from linkbus._errors import UsageError

_PORTS = {"amqp": 5672, "rabbitmq": 5672, "amqps": 5671}
_GUEST = "guest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One broker, or what stands before many."""

    host: str
    port: int
    vhost: str
    username: str
    password: str = field(repr=False)
    has_tls: bool

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, so that nobody listens in between."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def has_credentials(self) -> bool:
        """Whether we log in with more than what everybody knows."""
        return (self.username, self.password) != (_GUEST, _GUEST)


def server_of(url: str, username: str | None, password: str | None) -> Server:
    """Return what `amqp://user:password@host:port/vhost` says.

    Args:
        url: Each part may be left out; `rabbitmq://` is `amqp://`, and `amqps://` has TLS.
        username: In place of the URL's.
        password: In place of the URL's.

    Raises:
        UsageError: It is malformed. The error does not show it, for it may have a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _malformed() from None
    if parts.scheme not in _PORTS or not url[len(parts.scheme) :].startswith("://"):
        raise _malformed()
    if parts.query or parts.fragment:
        raise _malformed()
    return Server(
        host=parts.hostname or "localhost",
        port=port or _PORTS[parts.scheme],
        vhost=unquote(parts.path[1:]) or "/",
        username=_given(username, parts.username),
        password=_given(password, parts.password),
        has_tls=parts.scheme == "amqps",
    )


def _given(option: str | None, in_url: str | None) -> str:
    if option is not None:
        return option
    return _GUEST if in_url is None else unquote(in_url)


def _malformed() -> UsageError:
    return UsageError(
        "a RabbitMQ URL is amqp://user:password@host:port/vhost, or amqps:// with TLS; "
        "special characters in it are percent-encoded"
    )
