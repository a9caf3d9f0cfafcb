"""The options of the RabbitMQ transport, and what is refused."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, fields

from linkbus._errors import UsageError
from linkbus.transports.rabbitmq._server_url import Server

MAX_WINDOW = 65_535
"""The largest prefetch count that AMQP has a place for."""

_QUEUE_TYPES = ("quorum", "classic")
_MAY_BE_ZERO = ("heartbeat",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `RabbitMQTransport`, checked; see there."""

    server: Server
    ssl_context: ssl.SSLContext | None = field(repr=False)
    allow_login_without_tls: bool
    client_name: str
    declare: bool
    queue_type: str
    dead_letter_exchange: str | None
    native_dead_letter: bool
    delivery_limit: int | None
    max_message_bytes: int
    ack_timeout: float
    delivery_timeout: float
    connect_timeout: float
    answer_timeout: float
    heartbeat: int

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.type in {"float", "int", "int | None"}:
                _check_number(one.name, getattr(self, one.name), str(one.type))
        if self.queue_type not in _QUEUE_TYPES:
            known = ", ".join(_QUEUE_TYPES)
            msg = f"RabbitMQ option 'queue_type' is one of {known}; not {self.queue_type!r}"
            raise UsageError(msg)
        self._check_together()

    def _check_together(self) -> None:
        if self.delivery_limit is not None and not self.is_quorum:
            msg = "RabbitMQ option 'delivery_limit' needs queue_type='quorum': no other counts"
            raise UsageError(msg)
        if self.dead_letter_exchange is not None and not self.declare:
            msg = (
                "RabbitMQ option 'dead_letter_exchange' is an argument of queues that are "
                "declared here: without declaring them, say native_dead_letter=True"
            )
            raise UsageError(msg)
        server = self.server
        if self.ssl_context is not None and not server.has_tls:
            msg = "RabbitMQ option 'ssl_context' needs a URL with amqps://"
            raise UsageError(msg)
        in_clear = server.has_credentials and not server.has_tls and not server.is_here
        if in_clear and not self.allow_login_without_tls:
            msg = (
                "a login without TLS gives the password to whoever listens: use amqps://, or "
                "allow it with allow_login_without_tls=True"
            )
            raise UsageError(msg)

    @property
    def is_quorum(self) -> bool:
        """Whether queues are quorum queues, which count deliveries."""
        return self.queue_type == "quorum"

    @property
    def rejects(self) -> bool:
        """Whether a rejected message has a place to go."""
        return self.native_dead_letter or self.dead_letter_exchange is not None

    @property
    def queue_arguments(self) -> dict[str, str | int]:
        """What queues are declared with."""
        arguments: dict[str, str | int] = {"x-queue-type": self.queue_type}
        if self.delivery_limit is not None:
            arguments["x-delivery-limit"] = self.delivery_limit
        if self.dead_letter_exchange is not None:
            arguments["x-dead-letter-exchange"] = self.dead_letter_exchange
            if self.is_quorum:
                # without both a quorum queue may lose a message on its way there
                arguments["x-dead-letter-strategy"] = "at-least-once"
                arguments["x-overflow"] = "reject-publish"
        return arguments


def _check_number(name: str, value: float | None, kind: str) -> None:
    if value is None and kind.endswith("None"):
        return
    allowed = int | float if kind == "float" else int
    is_number = isinstance(value, allowed) and not isinstance(value, bool)
    if is_number and value is not None and (value > 0 or (value == 0 and name in _MAY_BE_ZERO)):
        return
    sort = "number" if kind == "float" else "whole number"
    msg = f"RabbitMQ option {name!r} must be a positive {sort}, not {value!r}"
    raise UsageError(msg)
