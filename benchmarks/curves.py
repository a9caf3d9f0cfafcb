"""How a cost grows with something: points, as text and as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of several lines over the same thing.

    Attributes:
        name: For files.
        title: What grows.
        over: What it is drawn over, in words.
        unit: Of the values.
        points: By line: pairs of what it is drawn over, and the value.
        notes: What is to be said of it.
    """

    name: str
    title: str
    over: str
    unit: str
    points: Mapping[str, Sequence[tuple[float, float]]]
    notes: Sequence[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Give a table: a line for each point, a column for each line of the picture."""
        names = list(self.points)
        yield f"{self.title} ({self.unit})"
        yield f"{self.over:>22} " + " ".join(f"{name:>28}" for name in names)
        values = {name: dict(points) for name, points in self.points.items()}
        for at in sorted({at for points in values.values() for at in points}):
            cells = [f"{points[at]:.2f}" if at in points else "" for points in values.values()]
            yield f"{at:>22,.0f} " + " ".join(f"{cell:>28}" for cell in cells)
        yield from (f"  {note}" for note in self.notes)

    def as_json(self) -> dict[str, object]:
        """Return the same as data."""
        return asdict(self)
