"""Pieces of text with a style each, and how a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """A piece of a line: text, and the codes of its style on a terminal, or none."""

    text: str
    codes: str = ""


Line = Sequence[Piece]

DIM = "2"
ERROR = "1;31"
_TRACES = ("36", "33", "35", "32", "34", "96", "93", "95", "92", "94")


def of_trace(number: int, *, bold: bool = False) -> str:
    """Return the style of a trace: its own colour, as far as there are enough."""
    color = _TRACES[number % len(_TRACES)]
    return f"1;{color}" if bold else color


def width_of(line: Line) -> int:
    """Return the number of columns of a line."""
    return sum(len(piece.text) for piece in line)


def rendered(line: Line, *, color: bool) -> str:
    """Return a line as text, without spaces at its end."""
    pieces = list(line)
    while pieces and not pieces[-1].text.strip():
        pieces.pop()
    if pieces:
        text, codes = pieces.pop()
        pieces.append(Piece(text.rstrip(), codes))
    if not color:
        return "".join(piece.text for piece in pieces)
    painted = (f"\x1b[{codes}m{text}\x1b[0m" if codes else text for text, codes in pieces)
    return "".join(painted)
