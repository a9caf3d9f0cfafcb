"""Two results beside each other: what of linkbus became slower.

Machines are noisy, and one run differs from the next. So each round of linkbus is taken by
what the others took at the same work in the same round, and those ratios are compared: of one
row they still differ by a fifth and more, of all rows of a contender on a transport by less. One
that ran at a single work may look slower by a third on a busy machine: measure it again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean, median
from typing import cast

from benchmarks.rows import HALVES, Spread

Data = Mapping[str, object]
Place = tuple[str, str, str]
"""Transport, work and half of a round."""
Rounds = Mapping[str, Sequence[float]]
"""µs a message in each round, by contender."""

_OURS = "linkbus"


@dataclass(frozen=True, slots=True)
class Change:
    """One row of linkbus in two results.

    Attributes:
        place: Where.
        contender: Which.
        ratios: Each round of the newer result, by the median of the older one; of both, what
            linkbus took by the geometric mean of what the others took in the same round.
    """

    place: Place
    contender: str
    ratios: Sequence[float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a contender, or of one of its rows.

    Attributes:
        name: Of what.
        ratio: New by old.
        threshold: The ratio above which it may be slower.
    """

    name: str
    ratio: Spread
    threshold: float

    @property
    def is_slower(self) -> bool:
        """Whether it is, and three quarters of all rounds are."""
        return self.ratio.median > self.threshold and self.ratio.low > 1.0

    def line(self) -> str:
        """Return it as text."""
        mark = "SLOWER" if self.is_slower else ""
        spread = f"({self.ratio.low:.2f} - {self.ratio.high:.2f})"
        return f"{self.name:72} {self.ratio.median:6.2f} {spread:15} {mark}".rstrip()


def compared(arguments: Sequence[str]) -> int:
    """Print how the contenders of linkbus in two files compare; 1 if one became slower."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--threshold", type=float, default=1.15, help="of the ratio (1.15)")
    parser.add_argument("--rows", action="store_true", help="print each row, too")
    options = parser.parse_args(arguments)
    old, new = (json.loads(path.read_text()) for path in (options.old, options.new))
    for name, data in (("old", old), ("new", new)):
        told = cast("Mapping[str, str]", data["circumstances"])
        print(f"{name}: commit {told['commit']}, {told['machine']}, {told['pinning']}")
    found = list(changes(old, new))
    if options.rows:
        rows = [Verdict(_named(it), Spread.of(it.ratios), options.threshold) for it in found]
        print(*[it.line() for it in sorted(rows, key=lambda it: -it.ratio.median)], "", sep="\n")
    print(f"{'times what the others took, new by old':72} median quartiles")
    verdicts = list(_verdicts(found, options.threshold))
    print(*[verdict.line() for verdict in verdicts], sep="\n")
    return int(any(verdict.is_slower for verdict in verdicts))


def changes(old: Data, new: Data) -> Iterator[Change]:
    """Give each row of linkbus that both results have, and that is void in neither."""
    before, after = _rounds(old), _rounds(new)
    for place in [place for place in before if place in after]:
        then, now = before[place], after[place]
        both = [name for name in then if name in now]
        others = [name for name in both if not name.startswith(_OURS)]
        for name in both:
            if name.startswith(_OURS):
                was = median(_relative(then, name, others))
                yield Change(place, name, [one / was for one in _relative(now, name, others)])


def _verdicts(found: Sequence[Change], threshold: float) -> Iterator[Verdict]:
    """Judge all rounds of a contender on a transport together."""
    pooled: dict[str, list[float]] = {}
    for change in found:
        pooled.setdefault(f"{change.place[0]} {change.contender}", []).extend(change.ratios)
    for name, ratios in pooled.items():
        yield Verdict(name, Spread.of(ratios), threshold)


def _named(change: Change) -> str:
    transport, work, half = change.place
    return f"{transport} {change.contender} {work} {half}"


def _relative(rounds: Rounds, name: str, others: Sequence[str]) -> list[float]:
    """Take each round of a contender by the others' of the same; by 1 where there are none."""
    yardsticks = zip(*[rounds[other] for other in others], strict=False)
    means = [geometric_mean(yardstick) for yardstick in yardsticks] or [1.0] * len(rounds[name])
    return [own / mean for own, mean in zip(rounds[name], means, strict=False)]


def _rounds(data: Data) -> dict[Place, dict[str, Sequence[float]]]:
    found: dict[Place, dict[str, Sequence[float]]] = {}
    for row in cast("Sequence[Data]", data["rows"]):
        work = cast("Mapping[str, int]", row["work"])
        how = f"batch={work['batch']}" if work["batch"] else f"senders={work['senders']}"
        for half in HALVES:
            part = cast("Mapping[str, Sequence[float]] | None", row.get(half))
            if part is not None:
                place = (str(row["transport"]), f"{work['size']} B {how}", half)
                found.setdefault(place, {})[str(row["contender"])] = part["rounds_wall_us"]
    return found
