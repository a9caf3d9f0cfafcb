"""`memory://` URLs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlsplit

from linkbus._errors import UsageError
from linkbus.transports.memory._broker import LEASE, MAX_BYTES, MAX_MESSAGES, MemoryBroker
from linkbus.transports.memory._transport import MemoryTransport

_NUMBERS: Mapping[str, Callable[[str], float]] = {
    "lease": float,
    "max_bytes": int,
    "max_messages": int,
}


def from_url(url: str, **options: object) -> MemoryTransport:
    """Make a memory transport from `memory://`.

    Args:
        url: `memory://`, without a host or a path. Options in its query count unless
            they are given as arguments too.
        options: `max_messages`, `max_bytes` and `lease` (seconds) of the broker that
            is made, as numbers or as text; or `broker`, a `MemoryBroker` to share.

    Raises:
        UsageError: The URL names a place, an option is unknown, or a value does not fit.
    """
    parts = urlsplit(url)
    if parts.netloc or parts.path.strip("/"):
        msg = f"{url!r} names a place, but memory:// has none: share a broker with broker=…"
        raise UsageError(msg)
    given: dict[str, object] = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **options}
    unknown = sorted(given.keys() - _NUMBERS.keys() - {"broker"})
    if unknown:
        known = ", ".join(["broker", *_NUMBERS])
        msg = f"memory:// has no option {', '.join(unknown)}: there are {known}"
        raise UsageError(msg)
    if "broker" in given:
        return MemoryTransport(_shared(given))
    numbers = {name: _number(name, value) for name, value in given.items()}
    return MemoryTransport(
        MemoryBroker(
            max_messages=int(numbers.get("max_messages", MAX_MESSAGES)),
            max_bytes=int(numbers.get("max_bytes", MAX_BYTES)),
            lease=numbers.get("lease", LEASE),
        )
    )


def _shared(given: Mapping[str, object]) -> MemoryBroker:
    broker = given["broker"]
    if not isinstance(broker, MemoryBroker):
        msg = f"the option broker of memory:// must be a MemoryBroker, not {broker!r}"
        raise UsageError(msg)
    if len(given) > 1:
        msg = "memory:// with a broker takes no other option: the broker has its bounds and lease"
        raise UsageError(msg)
    return broker


def _number(name: str, value: object) -> float:
    try:
        return _NUMBERS[name](str(value))
    except ValueError:
        kind = "a whole number" if _NUMBERS[name] is int else "a number"
        msg = f"the option {name} of memory:// must be {kind}, not {value!r}"
        raise UsageError(msg) from None
