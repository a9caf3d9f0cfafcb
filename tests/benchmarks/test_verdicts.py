"""Budgets, against rows that are known."""

from __future__ import annotations

from dataclasses import replace

from measured_rows import row

from benchmarks.budgets import BUDGETS, CUT_OUT, HAND, NO_SDK, PASSING, RAW, RECORDING
from benchmarks.peers import PEERS
from benchmarks.table import budget_lines
from benchmarks.verdicts import verdicts


def test_budgets_name_contenders_that_there_are():
    """Each row that a budget compares is one of a peer, on each of its transports."""
    known = {(peer.name, transport) for peer in PEERS for transport in peer.transports}
    for budget in BUDGETS:
        named = {(name, it) for name in budget.rows for it in budget.transports}
        assert named & known, budget.claim
        if "FastStream" not in budget.claim:
            assert named <= known, budget.claim


def test_a_budget_that_holds():
    """24 µs for both halves are within 25."""
    (verdict,) = verdicts([row(NO_SDK, [12.0, 12.0, 12.0])])
    assert verdict.word == "holds"
    assert verdict.measured is not None
    assert verdict.measured.median == 24.0
    assert verdict.cpu is not None
    assert verdict.cpu.median == 12.0


def test_differences_are_taken_round_by_round():
    """A machine that becomes slower for both does not change what one adds."""
    rows = [row(NO_SDK, [11.0, 21.0, 31.0]), row(CUT_OUT, [10.0, 20.0, 30.0])]
    (verdict,) = [it for it in verdicts(rows) if it.budget.rows == (NO_SDK, CUT_OUT)]
    assert verdict.measured == (2.0, 2.0, 2.0)
    assert verdict.word == "holds"


def test_a_budget_that_is_missed():
    """The table says so, with the value beside the limit."""
    rows = [row(PASSING, [20.0]), row(CUT_OUT, [10.0])]
    found = list(verdicts(rows))
    assert [it.word for it in found] == ["MISSED"]
    (line,) = [line for line in budget_lines(found) if "MISSED" in line]
    assert "20.00" in line
    assert "≤ 8" in line


def test_the_clock_alone_does_not_decide():
    """A raw client that waits for its broker hides nothing of what linkbus adds."""
    ours, waiting = row(NO_SDK, [30.0], transport="kafka"), row(RAW, [80.0], transport="kafka")
    waiting.rounds = [
        {half: replace(part, cpu=1.0) for half, part in each.items()} for each in waiting.rounds
    ]
    assert [it.word for it in verdicts([ours, waiting])] == ["MISSED", "MISSED"]


def test_a_throughput_is_at_least_its_limit():
    """A contender that takes as long as linkbus is not faster."""
    for theirs, word in ((10.0, "holds"), (9.0, "MISSED")):
        rows = [
            row(RECORDING, [10.0], transport="kafka"),
            row("contrib", [theirs], transport="kafka"),
        ]
        assert [it.word for it in verdicts(rows)] == [word]


def test_what_links_add_in_batches():
    """The batch without spans is taken away from both sides."""
    rows = [
        row(name, [wall], batch=100)
        for name, wall in ((RECORDING, 14.0), (NO_SDK, 4.0), (HAND, 11.0), (RAW, 1.0))
    ]
    (verdict,) = verdicts(rows)
    assert verdict.measured is not None
    assert verdict.measured.median == 1.0
    assert verdict.word == "holds"


def test_a_budget_with_a_void_row():
    """It is neither held nor missed."""
    void = row(CUT_OUT, [])
    void.void = "a message was lost"
    words = {it.word for it in verdicts([row(PASSING, [20.0]), void])}
    assert words == {"not measured"}
    assert any(
        "not measured" in it for it in budget_lines(list(verdicts([row(PASSING, [1.0]), void])))
    )
