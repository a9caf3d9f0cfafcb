"""The command `linkbus`.

A command is a function that takes the parsed arguments and returns the exit code: 0, 2 for
what its user can mend, or 130 where a signal ended it. `_parser` lists them.
"""

from __future__ import annotations

import os
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points, version
from io import TextIOWrapper
from types import ModuleType

import anyio

ENTRY_POINTS = "linkbus.transports"
"""The group of entry points in which packages offer transports."""
FAILED = 2
"""The exit code when the user has to do something first."""

_REDRIVE = """
each is acknowledged when the broker has confirmed its message. Interrupted at any time it loses
none, and may send one twice. A message keeps its body, key, headers and origin, and gets an id
of its own. What becomes a dead letter while this runs is left for the next time.
"""
_DRY_RUN = """
only show what would be sent, up to --max or 1,000, and give it back; that counts as a delivery
where the broker counts them, as RabbitMQ and SQS do
"""
_GROUP = """
the group of SOURCE that takes them, "linkbus-redrive" if not named. SQS has no groups, nor has a
queue of RabbitMQ: name the queue that has the dead letters, /orders.dead.billing, since a group of
an exchange that is new there has none yet
"""
_WAIT = "end when no dead letter came for so long (default: %(default)g)"


class _UnusableError(Exception):
    """A command cannot do its work; the message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `linkbus` and return its exit code.

    Args:
        arguments: Those of the command line; None: the process's own.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ⇢ shows ? instead
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.run is None:
        parser.print_help()
        return FAILED
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except _UnusableError as reason:
        sys.stderr.write(f"linkbus {parsed.command}: {reason}\n")
        return FAILED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="linkbus", description="Messaging with span links that hold.")
    parser.add_argument("--version", action="version", version=f"linkbus {version('linkbus')}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")

    about = "show how links join three requests, a consumer and a job"
    demo = commands.add_parser("demo", help=about, description=about)
    demo.set_defaults(run=_demo)

    about = "list the transports that are installed, and what others need"
    transports = commands.add_parser("transports", help=about, description=about)
    transports.set_defaults(run=_transports)

    about = "send dead letters to where they shall be processed"
    redrive = commands.add_parser("redrive", help=about, description=f"{about}; {_REDRIVE}")
    redrive.add_argument("url", metavar="URL", help="the broker, such as kafka://localhost:9092")
    redrive.add_argument("source", metavar="SOURCE", help="where the dead letters are")
    redrive.add_argument("destination", metavar="DESTINATION", help="where they are sent to")
    redrive.add_argument("--max", type=int, metavar="N", help="send no more than N")
    redrive.add_argument("--dry-run", action="store_true", help=_DRY_RUN)
    redrive.add_argument("--group", metavar="NAME", help=_GROUP)
    redrive.add_argument("--wait", type=float, default=5.0, metavar="SECONDS", help=_WAIT)
    redrive.add_argument("--verbose", action="store_true", help="show all warnings in the log")
    redrive.set_defaults(run=_redrive)
    return parser


def _demo(_: Namespace) -> int:
    demo = _imported("linkbus._demo", extra="cli")
    width = shutil.get_terminal_size((100, 24)).columns
    show = partial(demo.show, sys.stdout.write, color=_is_colorful(), width=width)
    return 0 if anyio.run(show) else FAILED


def _transports(_: Namespace) -> int:
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)
    rows = [(f"{entry.name}://", _origin(entry), _state(entry)) for entry in found]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for scheme, origin, state in rows:
        sys.stdout.write(f"{scheme:<{widths[0]}}  {origin:<{widths[1]}}  {state}\n")
    return 0


def _redrive(parsed: Namespace) -> int:
    redrive = _imported("linkbus._redrive._command", extra="cli")
    shown = _imported("linkbus._redrive_progress", extra="cli")
    request = redrive.Request(
        url=parsed.url,
        source=parsed.source,
        destination=parsed.destination,
        group=parsed.group,
        max_messages=parsed.max,
        patience=parsed.wait,
        is_dry_run=parsed.dry_run,
        is_verbose=parsed.verbose,
    )
    code: int = anyio.run(redrive.perform, request, shown.progress)
    return code


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _state(entry: EntryPoint) -> str:
    """Return whether a transport can be used here, and if not, how it can."""
    try:
        entry.load()
    except ImportError as error:
        extras = (entry.dist and entry.dist.metadata.get_all("Provides-Extra")) or ()
        if entry.dist and entry.name in extras:
            return f"needs {error.name}: {_install(entry.dist.name, entry.name)}"
        return f"cannot be imported: {error}"
    except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything
        return f"cannot be imported: {error!r}"
    return "ready"


def _imported(module: str, *, extra: str) -> ModuleType:
    """Import a module of linkbus that needs an extra.

    Raises:
        _UnusableError: What it needs is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        msg = f"needs {error.name}, which is not installed: {_install('linkbus', extra)}"
        raise _UnusableError(msg) from error


def _install(package: str, extra: str) -> str:
    return f'pip install "{package}[{extra}]"'


def _is_colorful() -> bool:
    """Whether the output goes to a terminal that wants colours (see no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty()
