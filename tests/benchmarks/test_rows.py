"""Rows, their sums, and the tables."""

from __future__ import annotations

import pytest
from measured_rows import row

from benchmarks.curves import Curve
from benchmarks.rows import Spread, paired
from benchmarks.table import lines_of


def test_a_spread_is_median_and_quartiles():
    """Half of the samples lie between the two others."""
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == (3.0, 2.0, 4.0)
    assert Spread.of([7.0]) == (7.0, 7.0, 7.0)


def test_a_round_trip_is_both_halves():
    """Its time is the sum, round by round, and so is its number of spans."""
    one = row("raw", [1.0, 2.0, 3.0])
    assert one.walls("roundtrip") == [2.0, 4.0, 6.0]
    assert one.cpus("send") == [0.5, 1.0, 1.5]
    assert one.total("roundtrip", lambda part: part.spans) == 2.0
    assert one.p99("send") == 3.0


def test_memory_of_a_round_trip_is_the_larger_half():
    """A message is sent, then received; what was not measured is not shown."""
    one = row("raw", [1.0])
    assert one.held_bytes("roundtrip") is None
    one.held = {"send": 200.0, "receive": 100.0}
    assert one.held_bytes("roundtrip") == 200.0
    assert one.held_bytes("receive") == 100.0


def test_nothing_is_compared_with_a_void_row():
    """There is no pair without both."""
    void = row("by hand", [1.0])
    void.void = "lost"
    assert paired([row("raw", [1.0]), void], "send", lambda of, other: of / other) is None


def test_a_table_shows_ratios_and_what_is_void():
    """Each row is there once, with the raw client as the unit."""
    void = row("contrib", [])
    void.void = "a message was lost"
    lines = list(lines_of([row("raw", [2.0]), row("by hand", [5.0]), void], ["send"]))
    assert lines[1] == "memory, send, 100 B, 100 senders, 100 messages a round (µs a message)"
    assert "2.50" in lines[4]
    assert lines[5].split(maxsplit=1)[1].strip() == "void: a message was lost"


def test_data_have_what_the_table_has():
    """Quartiles, CPU, p99, spans and every round; nothing of a void row but why."""
    data = row("raw", [2.0, 4.0]).as_json()
    assert data["send"] == {
        "wall_us": {"median": 3.0, "low": 2.5, "high": 3.5},
        "cpu_us": {"median": 1.5, "low": 1.25, "high": 1.75},
        "p99_us": 4.0,
        "spans": 1.0,
        "links": 0.0,
        "attributes": 6.0,
        "rounds_wall_us": [2.0, 4.0],
    }
    void = row("raw", [])
    void.void = "lost"
    assert "send" not in void.as_json()


def test_a_curve_is_a_table_too():
    """One line for each point, with a gap where a line has none."""
    curve = Curve("x", "What grows", "keys", "µs", {"a": [(1, 2.0), (10, 3.0)], "b": [(10, 4.0)]})
    title, head, first, second = curve.lines()
    assert title == "What grows (µs)"
    assert head.split() == ["keys", "a", "b"]
    assert first.split() == ["1", "2.00"]
    assert second.split() == ["10", "3.00", "4.00"]
    assert curve.as_json()["points"] == curve.points


@pytest.mark.parametrize("cpu", [False, True])
def test_pairs_by_the_clock_or_by_the_cpu(cpu: bool):
    """The CPU's time of these rows is half of the clock's."""
    pair = paired([row("a", [4.0]), row("b", [2.0])], "send", lambda of, base: of - base, cpu=cpu)
    assert pair is not None
    assert pair.median == (1.0 if cpu else 2.0)
