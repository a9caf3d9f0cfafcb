"""How much of a batch is on its way at once."""

from __future__ import annotations

import pytest

from linkbus.abc import Envelope
from linkbus.transports.rabbitmq._sending import WAVE, WAVE_BYTES, wave_of


@pytest.mark.parametrize(
    ("sizes", "first", "expected"),
    [
        ([1, 1, 1], 0, 3),
        ([1, 1, 1], 2, 1),
        ([1] * (WAVE + 50), 0, WAVE),
        ([1] * (WAVE + 50), WAVE, 50),
        ([WAVE_BYTES + 1, 1], 0, 1),
        ([WAVE_BYTES - 1, 1, 1], 0, 2),
        ([WAVE_BYTES // 2] * 5, 1, 2),
    ],
)
def test_waves(sizes: list[int], first: int, expected: int) -> None:
    """So many messages, and so many bytes, but one at least."""
    bodies = {size: bytes(size) for size in set(sizes)}
    batch = [Envelope(str(number), bodies[size]) for number, size in enumerate(sizes)]
    wave = wave_of(batch, first)
    assert [one.id for one in wave] == [str(first + number) for number in range(expected)]
