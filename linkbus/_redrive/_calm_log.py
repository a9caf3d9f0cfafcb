"""What a user is shown of the log: each kind of warning once, in one line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def calm_log() -> Iterator[None]:
    """Show linkbus's warnings on stderr while the block runs, each kind of them once.

    Clients log every attempt to reach a broker that is gone, and tracebacks besides; of
    what that means linkbus tells by itself. A program that handles the log still has it all.
    """
    root, ours = logging.getLogger(), logging.getLogger("linkbus")
    shown, hidden = _Once(logging.WARNING), logging.NullHandler()
    ours.addHandler(shown)
    root.addHandler(hidden)
    try:
        yield
    finally:
        ours.removeHandler(shown)
        root.removeHandler(hidden)


class _Once(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg not in self._shown:
            self._shown.add(record.msg)
            sys.stderr.write(f"{record.getMessage()}\n")
