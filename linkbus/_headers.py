"""Headers: names and values of a message, in order, with repeated names kept."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import Self

from linkbus._errors import MessageError
from linkbus._text import to_bytes, to_text

MAX_NAME_BYTES = 128

Pairs = tuple[tuple[str, str], ...]


class Headers(Mapping[str, str]):
    """An immutable, ordered multi-mapping of header names to values.

    Names are case-sensitive, not empty and at most 128 bytes of UTF-8. Values are given as
    `str` or `bytes` and are always read as `str`: UTF-8 with `surrogateescape`, so that any
    bytes survive and `get_bytes` gives them back. None becomes empty, other types their
    `str()`. A name may be repeated: `headers[name]` is its first value, `get_all(name)` has
    them all, and iteration, `items()` and `len` count every pair.

    Two headers are equal when each name has the same values in the same order.

    Args:
        pairs: A mapping, or pairs of a name and a value.

    Raises:
        MessageError: A name is not a `str`, is empty or too long, or text cannot be encoded.
    """

    __slots__ = ("_pairs",)
    _pairs: Pairs

    def __init__(self, pairs: Mapping[str, object] | Iterable[tuple[str, object]] = (), /) -> None:
        if isinstance(pairs, Headers):
            self._pairs = pairs._pairs
        elif not pairs:
            self._pairs = ()
        else:
            given = pairs.items() if isinstance(pairs, Mapping) else pairs
            self._pairs = tuple([(_checked(name), to_text(value)) for name, value in given])

    @classmethod
    def received(cls, pairs: Iterable[tuple[str | bytes, object]]) -> Self:
        """Take what a broker brought, whatever its names are: receiving never refuses.

        For transports. Names may be longer than what may be sent, and may be bytes.
        """
        return cls.stable([(to_text(name), to_text(value)) for name, value in pairs])

    @classmethod
    def stable(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """Wrap pairs whose text is known to be stable, such as those of other headers."""
        self = cls.__new__(cls)
        self._pairs = tuple(pairs)
        return self

    def __getitem__(self, name: str) -> str:
        for known, value in self._pairs:
            if known == name:
                return value
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        for known, _ in self._pairs:  # noqa: SIM110 - on the path of every message
            if known == name:
                return True
        return False

    def get_all(self, name: str) -> list[str]:
        """Return every value of a name, in order; empty when there is none."""
        return [value for known, value in self._pairs if known == name]

    def get_bytes(self, name: str) -> bytes:
        """Return the first value of a name as the bytes it stands for.

        Raises:
            KeyError: There is no such name.
        """
        return to_bytes(self[name])

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._pairs])

    def __len__(self) -> int:
        return len(self._pairs)

    def items(self) -> ItemsView[str, str]:
        """Return every pair, repeated names included."""
        return _Items(self)

    def values(self) -> ValuesView[str]:
        """Return the value of every pair."""
        return _Values(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            return self._pairs == other._pairs or _sorted(self) == _sorted(other)
        if isinstance(other, Mapping):
            return len(self) == len(other) and dict(self._pairs) == dict(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._pairs))

    def __repr__(self) -> str:
        names = ", ".join([repr(name) for name, _ in self._pairs])
        return f"<Headers {names}>" if names else "<Headers, empty>"


class _Items(ItemsView[str, str]):
    _mapping: Headers

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._mapping._pairs)

    def __contains__(self, item: object) -> bool:
        return item in self._mapping._pairs


class _Values(ValuesView[str]):
    _mapping: Headers

    def __iter__(self) -> Iterator[str]:
        return iter([value for _, value in self._mapping.items()])

    def __contains__(self, value: object) -> bool:
        return value in list(self)


def _sorted(headers: Headers) -> list[tuple[str, str]]:
    return sorted(headers.items(), key=lambda pair: pair[0])


def _checked(name: object) -> str:
    if not isinstance(name, str):
        msg = f"a header name must be str, not {type(name).__name__}"
        raise MessageError(msg)
    if 0 < len(name) <= MAX_NAME_BYTES // 4 and name.isascii():
        return name
    text = to_text(name)
    if not 0 < len(to_bytes(text)) <= MAX_NAME_BYTES:
        msg = f"a header name must have 1 to {MAX_NAME_BYTES} bytes of UTF-8: {text[:32]!r}"
        raise MessageError(msg)
    return text
