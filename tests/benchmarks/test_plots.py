"""Pictures: which are drawn of what."""

from __future__ import annotations

from pathlib import Path

import pytest
from measured_rows import row

from benchmarks.budgets import HAND, NO_SDK, OFF, PASSING, RAW, RECORDING
from benchmarks.curves import Curve

pytest.importorskip("matplotlib", reason="pictures need matplotlib")


def test_each_picture_is_a_file(tmp_path: Path):
    """Overhead by transport and kind, where the time goes, and each curve that has points."""
    from benchmarks.plots import drawn  # noqa: PLC0415 - needs matplotlib

    rows = [row(name, [10.0, 11.0]) for name in (RAW, NO_SDK, PASSING, OFF, RECORDING, HAND)]
    rows += [row(RAW, [1.0, 200.0], batch=10), row(NO_SDK, [500.0], batch=10)]
    curves = [
        Curve("keys", "a message", "keys", "µs", {"a": [(1, 2.0), (10, 3.0)]}),
        Curve("empty", "a message", "keys", "µs", {"a": []}),
    ]
    files = list(drawn(rows, curves, tmp_path / "new"))
    assert [path.name for path in files] == [
        "overhead-memory-single.png",
        "overhead-memory-batches.png",
        "where-time-goes.png",
        "growth-keys.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files)
