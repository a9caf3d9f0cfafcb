"""What a redrive says: the summary of one, and the table of a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import time

from linkbus._redrive._letter import Letter
from linkbus._redrive._redriving import MOST_SHOWN, Redrive

_TITLES = ("id", "failed in", "attempts", "error", "age")
_MAX_WIDTH = 60
"""Columns for what somebody else wrote."""
_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for: see `Redrive`, and the URL of the broker."""

    url: str
    source: str
    destination: str
    group: str | None
    max_messages: int | None
    patience: float
    is_dry_run: bool
    is_verbose: bool


def summary(request: Request, redrive: Redrive) -> str:
    """Return what became of a redrive, as lines."""
    where = f"from {request.source!r} to {request.destination!r}"
    lines = [f"{_counted(redrive.sent, 'message')} sent {where}"]
    if redrive.unsettled:
        lines.append(
            f"{redrive.unsettled} of them could not be acknowledged: they are dead letters "
            "still, and will be sent once more"
        )
    lines += _rest(request, redrive)
    return "".join(f"{line}\n" for line in lines)


def table(request: Request, redrive: Redrive, letters: Sequence[Letter]) -> str:
    """Return what would be sent, a line for each, and what that means."""
    rows = [_TITLES, *(_row(letter) for letter in letters)] if letters else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    where = f"from {request.source!r} to {request.destination!r}"
    lines.append(f"{_counted(len(letters), 'message')} would be sent {where}; none was")
    lines += _rest(request, redrive)
    if len(letters) == MOST_SHOWN and request.max_messages is None:
        lines.append("there may be more: --max says how many to show")
    return "".join(f"{line}\n" for line in lines)


def _rest(request: Request, redrive: Redrive) -> list[str]:
    """Return what there is to say of the dead letters that were not sent."""
    lines = []
    if redrive.newer:
        left = _counted(redrive.newer, "newer dead letter")
        lines.append(f"{left} left where they are: sent after this began, or back again")
    if redrive.is_drained:
        group = "" if redrive.group is None else f" to the group {redrive.group!r}"
        lines.append(f"no more came{group} for {request.patience:g} s")
    return lines


def _row(letter: Letter) -> tuple[str, ...]:
    return (
        _text(letter.id),
        _text(letter.source),
        _text(letter.attempts),
        _text(letter.error),
        "-" if letter.sent_at is None else _age(time() - letter.sent_at),
    )


def _text(value: object) -> str:
    """Return what somebody else wrote as one short cell; nothing in it moves the cursor."""
    if value is None:
        return "-"
    return "".join(c if c.isprintable() else "?" for c in str(value)[:_MAX_WIDTH])


def _age(seconds: float) -> str:
    for size, unit in _AGES:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
