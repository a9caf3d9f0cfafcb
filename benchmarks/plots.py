"""Pictures of what was measured: each shows one idea."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.budgets import NO_SDK, OFF, PASSING, RAW, RECORDING
from benchmarks.curves import Curve
from benchmarks.rows import HALVES, Row, Spread

_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#9c755f")
_LINKBUS, _OTHERS = "#4e79a7", "#bab0ac"
_STEPS = (
    ("client", RAW),
    ("linkbus's core", NO_SDK),
    ("passing a context", PASSING),
    ("spans, recorded by nobody", OFF),
    ("spans, recorded", RECORDING),
)
"""Parts of a message's time: each is what its contender takes more than the one before."""
_DPI = 110
_FEW = 100
"""Below it, an axis is labelled where something was measured."""


def drawn(rows: Sequence[Row], curves: Sequence[Curve], folder: Path) -> Iterator[Path]:
    """Draw everything there is to see, and give the files."""
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    folder.mkdir(parents=True, exist_ok=True)
    for transport in dict.fromkeys(row.transport for row in rows):
        for is_batch in (False, True):
            usual = _usual(rows, transport, is_batch=is_batch)
            if usual:
                kind = "batches" if is_batch else "single"
                yield _saved(_overhead(usual), folder / f"overhead-{transport}-{kind}.png")
    stacked = [_usual(rows, transport, is_batch=False) for transport in _transports(rows)]
    stacked = [group for group in stacked if _has_steps(group)]
    if stacked:
        yield _saved(_where_time_goes(stacked), folder / "where-time-goes.png")
    for curve in curves:
        if any(curve.points.values()):
            yield _saved(_curve(curve), folder / f"growth-{curve.name}.png")


def _transports(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.transport for row in rows))


def _usual(rows: Sequence[Row], transport: str, *, is_batch: bool) -> list[Row]:
    """Return the rows of the first work of a kind."""
    found = [
        row
        for row in rows
        if row.transport == transport and row.is_good and bool(row.work.batch) == is_batch
    ]
    key = (found[0].work.size, found[0].work.senders, found[0].work.batch) if found else None
    return [row for row in found if (row.work.size, row.work.senders, row.work.batch) == key]


def _overhead(rows: Sequence[Row]) -> Figure:
    """Draw a bar for each contender, send beside receive, with the quartiles of its rounds."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.6 + 0.38 * len(rows)), sharey=True)
    names = [row.contender for row in rows]
    colours = [_LINKBUS if name.startswith("linkbus") else _OTHERS for name in names]
    for axis, half in zip(axes, HALVES, strict=True):
        spreads = [Spread.of(row.walls(half)) for row in rows]
        medians = [spread.median for spread in spreads]
        below = [spread.median - spread.low for spread in spreads]
        above = [spread.high - spread.median for spread in spreads]
        bars = axis.barh(
            names, medians, color=colours, xerr=[below, above], ecolor="#333333", capsize=2
        )
        _limit(axis, medians, above)
        axis.bar_label(bars, [f"{value:,.0f}" for value in medians], padding=8)
        axis.set_xlabel(f"µs a message to {half}")
    axes[0].invert_yaxis()
    work = rows[0].work
    how = f"batches of {work.batch}" if work.batch else f"{work.senders} senders"
    figure.suptitle(f"{rows[0].transport}: {work.size} B, {how}")
    return figure


def _limit(axis: Axes, medians: Sequence[float], above: Sequence[float]) -> None:
    """Cut off a bar that would hide the others; its label says how long it is."""
    ends = sorted(median + more for median, more in zip(medians, above, strict=True))
    middle = ends[len(ends) // 2]
    axis.set_xlim(0, min(ends[-1], 6 * middle) * 1.25)
    for index, median in enumerate(medians):
        if median > 6 * middle:
            axis.text(
                6 * middle * 1.24, index, f"{median:,.0f} →", ha="right", va="center", color="white"
            )


def _has_steps(rows: Sequence[Row]) -> bool:
    return {name for _, name in _STEPS} <= {row.contender for row in rows}


def _where_time_goes(groups: Sequence[Sequence[Row]]) -> Figure:
    """Stack what each step adds to the time of a message: for each transport, on its own scale."""
    figure, axes = plt.subplots(len(groups), 1, figsize=(9, 1.2 + 0.9 * len(groups)), squeeze=False)
    for axis, group in zip(axes[:, 0], groups, strict=True):
        left = 0.0
        for (label, _), end, colour in zip(_STEPS, _ends(group), _COLOURS, strict=False):
            axis.barh(group[0].transport, end - left, left=left, color=colour, label=label)
            left = end
        axis.text(left, 0, f" {left:,.0f} µs", va="center")
        axis.set_xlim(0, left * 1.1)
    axes[-1, 0].set_xlabel("µs of CPU a message, sent and handled; each transport to its own scale")
    figure.suptitle("Where the time of a message goes")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _ends(rows: Sequence[Row]) -> list[float]:
    """Return where each step ends; one that costs nothing ends where the one before does.

    linkbus may take less than the raw client, where it does without a part of it.
    """
    costs = {row.contender: Spread.of(row.cpus("roundtrip")).median for row in rows}
    upto = [costs[name] for _, name in _STEPS]
    return [min(upto[index:]) for index in range(len(upto))]


def _curve(curve: Curve) -> Figure:
    """Draw lines over something that grows, on a logarithmic axis."""
    figure, axis = plt.subplots(figsize=(7, 4))
    for (name, points), colour in zip(curve.points.items(), _COLOURS, strict=False):
        if points:
            axis.plot(*zip(*points, strict=True), marker="o", color=colour, label=name)
    axis.set_xscale("log")
    if all(x < _FEW for points in curve.points.values() for x, _ in points):
        axis.set_xticks([x for points in curve.points.values() for x, _ in points])
        axis.minorticks_off()
    axis.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_ylim(0, axis.get_ylim()[1] * 1.12)  # room for the legend
    axis.set_xlabel(curve.over)
    axis.set_ylabel(curve.unit)
    axis.set_title(curve.title[0].upper() + curve.title[1:])
    axis.grid(visible=True, axis="y", alpha=0.3)
    axis.legend(frameon=False)
    return figure


def _saved(figure: Figure, path: Path) -> Path:
    figure.set_layout_engine("constrained")
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)
    return path
