"""Parts: how the messages of one call are shared out over requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

MAX_ENTRIES = 10
"""In one request, whatever it does."""


def parts_of(numbers: Iterable[int], sizes: Mapping[int, int], limit_bytes: int) -> list[list[int]]:
    """Return messages, by number, in requests of ten and of the bytes that one may have.

    Their order is kept. A message that is larger than the limit is alone.
    """
    parts: list[list[int]] = []
    left = -1
    for number in numbers:
        size = sizes[number]
        if size > left or len(parts[-1]) == MAX_ENTRIES:
            parts.append([])
            left = limit_bytes
        parts[-1].append(number)
        left -= size
    return parts


def lanes_of(groups: Mapping[int, str], at_once: int) -> Sequence[Sequence[int]]:
    """Return messages, by number, in lanes that may go side by side: a group has one lane.

    There are as many lanes as full requests, and at most `at_once`.
    """
    count = min(at_once, -(-len(groups) // MAX_ENTRIES))
    lanes: list[list[int]] = [[] for _ in range(count)]
    for number, group in groups.items():
        lanes[crc32(group.encode()) % count].append(number)
    return [lane for lane in lanes if lane]
