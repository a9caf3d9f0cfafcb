"""Parts: how messages are shared out over requests, and answers over calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar
from zlib import crc32

T = TypeVar("T")

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


def shared_out(refusals: Mapping[int, T], counts: Sequence[int]) -> list[Mapping[int, T]]:
    """Return what was refused of each part of a request, by its places in the part.

    Args:
        refusals: What was refused, by its places in the request.
        counts: Of the entries of each part.
    """
    answers: list[Mapping[int, T]] = []
    start = 0
    for count in counts:
        places = range(start, start + count)
        answers.append({at - start: refusals[at] for at in places if at in refusals})
        start += count
    return answers
