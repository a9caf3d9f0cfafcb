"""The options of the SQS transport, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

from aiobotocore.client import AioBaseClient
from aiobotocore.session import AioSession

from linkbus._errors import UsageError

ROOM_BYTES = 24 * 1024
"""Kept free in every message for trace context and the header `linkbus`."""

MAX_LEASE = 12 * 3600
"""Seconds for which SQS leaves a message to one receiver, from when it was received."""

_MAXIMA = {"visibility_timeout": MAX_LEASE // 2, "poll_wait": 20}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `SQSTransport`, checked; see there."""

    region_name: str | None
    endpoint_url: str | None
    session: AioSession | None = field(repr=False)
    client: AioBaseClient | None = field(repr=False)
    fifo: bool
    native_dead_letter: bool
    create_queues: bool
    visibility_timeout: float
    poll_wait: int
    max_message_bytes: int
    pollers: int
    senders: int
    settlers: int
    connect_timeout: float
    request_timeout: float

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.type == "int" and (not isinstance(value, int) or isinstance(value, bool)):
                msg = f"SQS option {one.name!r} must be a whole number, not {value!r}"
                raise UsageError(msg)
            if one.type in {"float", "int"}:
                _check_number(one.name, value)
        if self.endpoint_url is not None:
            _check_endpoint(self.endpoint_url)
        given = [self.region_name, self.endpoint_url, self.session]
        if self.client is not None and any(one is not None for one in given):
            msg = "SQS option 'client' has a region, an endpoint and credentials: give no others"
            raise UsageError(msg)

    @property
    def limit_bytes(self) -> int:
        """What one message may have on the wire, and what one request may."""
        return self.max_message_bytes + ROOM_BYTES


def _check_number(name: str, value: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or value <= 0:
        msg = f"SQS option {name!r} must be a positive number, not {value!r}"
        raise UsageError(msg)
    if value > _MAXIMA.get(name, value):
        msg = f"SQS option {name!r} is at most {_MAXIMA[name]}, not {value!r}"
        raise UsageError(msg)


def _check_endpoint(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        msg = (
            "SQS option 'endpoint_url' is http://host:port or https://host, without credentials: "
            "those come from the AWS chain or from the option `session`"
        )
        raise UsageError(msg)
