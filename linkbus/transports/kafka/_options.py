"""The options of the Kafka transport: their meaning to aiokafka, and what is refused."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TypedDict

from aiokafka import codec
from aiokafka.abc import AbstractTokenProvider

from linkbus._errors import UsageError

ROOM_BYTES = 32 * 1024
"""Kept free in every message for trace context, the header `linkbus` and framing."""

DEFAULT_PORT = 9092

_CHOICES: Mapping[str, tuple[str | None, ...]] = {
    "security_protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "sasl_mechanism": ("PLAIN", "GSSAPI", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
    "compression_type": (None, "gzip", "snappy", "lz4", "zstd"),
    "isolation_level": ("read_committed", "read_uncommitted"),
}
_MAY_BE_ZERO = ("linger", "rebalance_grace")


class Connection(TypedDict):
    """What every client of aiokafka is given."""

    bootstrap_servers: list[str]
    client_id: str
    metadata_max_age_ms: int
    security_protocol: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None
    sasl_kerberos_service_name: str
    sasl_kerberos_domain_name: str | None
    sasl_oauth_token_provider: AbstractTokenProvider | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `KafkaTransport`, checked; see there."""

    servers: tuple[tuple[str, int], ...]
    client_id: str
    security_protocol: str
    ssl_context: ssl.SSLContext | None = field(repr=False)
    sasl_mechanism: str
    sasl_plain_username: str | None = field(repr=False)
    sasl_plain_password: str | None = field(repr=False)
    sasl_oauth_token_provider: AbstractTokenProvider | None = field(repr=False)
    sasl_kerberos_service_name: str
    sasl_kerberos_domain_name: str | None
    allow_sasl_without_tls: bool
    compression_type: str | None
    linger: float
    max_batch_bytes: int
    max_message_bytes: int
    connect_timeout: float
    request_timeout: float
    delivery_timeout: float
    topic_timeout: float
    metadata_max_age: float
    session_timeout: float
    heartbeat_interval: float
    rebalance_grace: float
    commit_interval: float
    max_gap: int
    isolation_level: str
    fetch_max_wait: float
    fetch_min_bytes: int
    fetch_max_bytes: int
    fetch_max_partition_bytes: int

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if (given := getattr(self, name)) not in choices:
                known = ", ".join([str(choice) for choice in choices])
                msg = f"Kafka option {name!r} is one of {known}; not {given!r}"
                raise UsageError(msg)
        for one in fields(self):
            if one.type in {"float", "int"}:
                _check_number(one.name, getattr(self, one.name))
        self._check_together()

    def _check_together(self) -> None:
        if self.heartbeat_interval >= self.session_timeout:
            msg = "Kafka option 'heartbeat_interval' must be below 'session_timeout': a third of it"
            raise UsageError(msg)
        if self.compression_type and not getattr(codec, f"has_{self.compression_type}")():
            msg = f"compression {self.compression_type!r} needs a library: pip install cramjam"
            raise UsageError(msg)
        if self.security_protocol.startswith("SASL"):
            self._check_sasl()

    def _check_sasl(self) -> None:
        mechanism = self.sasl_mechanism
        in_clear = self.security_protocol == "SASL_PLAINTEXT" and mechanism != "GSSAPI"
        if in_clear and not self.allow_sasl_without_tls:
            msg = (
                f"SASL {mechanism} without TLS gives the credentials to whoever listens: use "
                "security_protocol='SASL_SSL', or allow it with allow_sasl_without_tls=True"
            )
            raise UsageError(msg)
        by_password = mechanism == "PLAIN" or mechanism.startswith("SCRAM")
        if by_password and None in {self.sasl_plain_username, self.sasl_plain_password}:
            msg = f"SASL {mechanism} needs sasl_plain_username and sasl_plain_password"
            raise UsageError(msg)
        if mechanism == "OAUTHBEARER" and self.sasl_oauth_token_provider is None:
            msg = "SASL OAUTHBEARER needs sasl_oauth_token_provider"
            raise UsageError(msg)

    @property
    def connection(self) -> Connection:
        """What every client of aiokafka is given."""
        context = self.ssl_context
        if context is None and self.security_protocol.endswith("SSL"):
            context = ssl.create_default_context()
        return Connection(
            bootstrap_servers=[f"{_bracketed(host)}:{port}" for host, port in self.servers],
            client_id=self.client_id,
            metadata_max_age_ms=ms(self.metadata_max_age),
            security_protocol=self.security_protocol,
            ssl_context=context,
            sasl_mechanism=self.sasl_mechanism,
            sasl_plain_username=self.sasl_plain_username,
            sasl_plain_password=self.sasl_plain_password,
            sasl_kerberos_service_name=self.sasl_kerberos_service_name,
            sasl_kerberos_domain_name=self.sasl_kerberos_domain_name,
            sasl_oauth_token_provider=self.sasl_oauth_token_provider,
        )

    @property
    def rebalance_timeout(self) -> float:
        """Seconds that the group waits for a member which lets go of its partitions."""
        return self.rebalance_grace + 10.0


def ms(seconds: float) -> int:
    """Return whole milliseconds, as aiokafka counts."""
    return max(0, round(seconds * 1000))


def servers(given: str | Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Return hosts and ports from `host:port,host2:port`, or from a sequence of them.

    Raises:
        UsageError: There is none, or one is malformed.
    """
    names = given.split(",") if isinstance(given, str) else given
    return tuple([_server(name.strip()) for name in names or [""]])


def _check_number(name: str, value: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and (value > 0 or (value == 0 and name in _MAY_BE_ZERO)):
        return
    msg = f"Kafka option {name!r} must be a positive number, not {value!r}"
    raise UsageError(msg)


def _server(name: str) -> tuple[str, int]:
    host, colon, port = name.rpartition(":")
    if not colon or name.endswith("]"):
        host, port = name, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or "@" in host or "/" in host or not port.isascii() or not port.isdigit():
        msg = "a Kafka server is given as host:port (and credentials as options, not in it)"
        raise UsageError(msg)
    return host, int(port)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
