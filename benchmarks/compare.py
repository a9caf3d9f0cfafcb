"""Two results beside each other: what became slower, beyond the spread of both."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from benchmarks.rows import HALVES, Spread

Key = tuple[str, str, str, str]
Data = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Change:
    """One row in two results.

    Attributes:
        key: Transport, contender, work and part of a round.
        old: µs a message.
        new: The same, in the newer result.
        threshold: The ratio above which it may be slower.
    """

    key: Key
    old: Spread
    new: Spread
    threshold: float

    @property
    def ratio(self) -> float:
        """How the medians compare."""
        return self.new.median / self.old.median

    @property
    def is_slower(self) -> bool:
        """Whether it is, and the quartiles of the two do not even touch."""
        return self.ratio > self.threshold and self.new.low > self.old.high

    def line(self) -> str:
        """Return it as text."""
        mark = "SLOWER" if self.is_slower else ""
        return (
            f"{' '.join(self.key):76} {self.old.median:9.1f} {self.new.median:9.1f} "
            f"{self.ratio:6.2f} {mark}"
        ).rstrip()


def compared(arguments: Sequence[str]) -> int:
    """Print every row that two files have, by ratio; 1 if one became slower."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--threshold", type=float, default=1.10, help="of the ratio (1.10)")
    options = parser.parse_args(arguments)
    old, new = (json.loads(path.read_text()) for path in (options.old, options.new))
    for name, data in (("old", old), ("new", new)):
        told = cast("Mapping[str, str]", data["circumstances"])
        print(f"{name}: commit {told['commit']}, {told['machine']}, {told['pinning']}")
    found = sorted(changes(old, new, options.threshold), key=lambda it: -it.ratio)
    print(f"{'µs a message':76} {'old':>9} {'new':>9} {'ratio':>6}")
    for change in found:
        print(change.line())
    slower = [change for change in found if change.is_slower]
    print(f"{len(slower)} of {len(found)} rows are slower")
    return 1 if slower else 0


def changes(old: Data, new: Data, threshold: float) -> Iterator[Change]:
    """Give each row that both results have, and that is void in neither."""
    before, after = dict(_spreads(old)), dict(_spreads(new))
    for key in before.keys() & after.keys():
        yield Change(key, before[key], after[key], threshold)


def _spreads(data: Data) -> Iterator[tuple[Key, Spread]]:
    for row in cast("Sequence[Data]", data["rows"]):
        work = cast("Mapping[str, int]", row["work"])
        how = f"batch={work['batch']}" if work["batch"] else f"senders={work['senders']}"
        for half in HALVES:
            part = cast("Mapping[str, Mapping[str, float]] | None", row.get(half))
            if part is not None:
                key = (
                    str(row["transport"]),
                    str(row["contender"]),
                    f"{work['size']} B {how}",
                    half,
                )
                yield key, Spread(**part["wall_us"])
