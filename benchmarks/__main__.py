"""What linkbus costs, beside what one would use instead: `python -m benchmarks all`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.brokers import TRANSPORTS, running
from benchmarks.circumstances import circumstances
from benchmarks.compare import compared
from benchmarks.crew import Crew
from benchmarks.curves import Curve
from benchmarks.growth import grown, growth_steps
from benchmarks.pinning import Cores, cores, pin
from benchmarks.plan import PARTS, Item, planned
from benchmarks.progress import Progress, progress_of
from benchmarks.rows import HALVES, PHASES, Row
from benchmarks.running import measured, steps
from benchmarks.table import budget_lines, lines_of
from benchmarks.verdicts import verdicts

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for, print it, and write it to files.

    Returns:
        0, though a budget is missed; 1 where `compare` finds a row that became slower; 130
        when it was interrupted: what was measured before is told all the same.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["compare"]:
        return compared(arguments[1:])
    options = _parsed(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` had it ignored
    parts = PARTS if "all" in (options.parts or ["all"]) else tuple(options.parts)
    shared = cores()
    pin(shared.broker)
    told = circumstances(shared)
    print(", ".join(f"{name} {value}" for name, value in told.items()))
    rows: list[Row] = []
    curves: list[Curve] = []
    status = 0
    try:
        _run(parts, options, shared, rows, curves)
    except KeyboardInterrupt:
        status = _INTERRUPTED
        print("interrupted: what was measured before follows", file=sys.stderr)
    found = list(verdicts(rows))
    print(*lines_of(rows, _phases(parts)), *budget_lines(found), sep="\n")
    for curve in curves:
        print("", *curve.lines(), sep="\n")
    if options.json is not None:
        data = {
            "circumstances": told,
            "rows": [row.as_json() for row in rows],
            "budgets": [it.as_json() for it in found],
            "growth": [curve.as_json() for curve in curves],
        }
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    if options.plot is not None:
        from benchmarks.plots import drawn  # noqa: PLC0415 - matplotlib is loaded only for this

        for path in drawn(rows, curves, options.plot):
            print(f"drew {path}")
    return status


def _phases(parts: Sequence[str]) -> list[str]:
    """Return the parts of a round that the tables show."""
    in_batches = {"batch", "links"} & set(parts)
    return [it for it in PHASES if it in parts or (in_batches and it in HALVES)]


def _run(
    parts: Sequence[str],
    options: argparse.Namespace,
    shared: Cores,
    rows: list[Row],
    curves: list[Curve],
) -> None:
    """Measure everything, and add it to `rows` and `curves` as it comes."""
    items = planned(parts, options)
    total = sum(steps(len(it.peers), it.rounds, held=it.is_usual) for it in items)
    with progress_of(total + growth_steps(parts, options)) as progress:
        for transport in options.transport:
            here = [item for item in items if item.transport == transport]
            if not here and not growth_steps(parts, options, transport):
                continue
            with running(transport, getattr(options, f"at_{transport}")) as address:
                for item in here:
                    rows += _measured(item, address, shared, progress)
                curves += grown(
                    parts, options, transport, address=address, cores=shared, progress=progress
                )


def _measured(item: Item, address: str, shared: Cores, progress: Progress) -> list[Row]:
    with Crew(item.peers, item.transport, address, shared) as crew:
        return measured(crew, item.work, item.rounds, progress, held=item.is_usual)


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="`python -m benchmarks compare OLD.json NEW.json` compares two results.",
    )
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}, or all, if none is named")
    add("--transport", type=_names, default=list(TRANSPORTS), help=", ".join(TRANSPORTS))
    add("--peers", type=_names, default=[], metavar="NAME,…", help="contenders (all there are)")
    add("--size", type=_numbers, default=[100, 1000, 30_000], help="bytes (100,1000,30000)")
    add("--senders", type=_numbers, default=[100, 10, 1], help="tasks at once (100,10,1)")
    add("--batch", type=_numbers, default=[100, 10, 500], help="messages (100,10,500)")
    add("--rounds", type=int, default=0, help="of each row that count (2 to 6)")
    add("--messages", type=int, default=0, help="in a round (by transport)")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured")
    add("--plot", type=Path, metavar="DIR", help="draw pictures; needs matplotlib")
    add("--kafka", dest="at_kafka", metavar="HOST:PORT", help="a running broker to use")
    add("--rabbitmq", dest="at_rabbitmq", metavar="URL", help="the same")
    add("--sqs", dest="at_sqs", metavar="URL", help="the same")
    parser.set_defaults(at_memory=None)
    options = parser.parse_args(arguments)
    for what, given, known in (
        ("part", options.parts, (*PARTS, "all")),
        ("transport", options.transport, TRANSPORTS),
    ):
        unknown = set(given) - set(known)
        if unknown:
            parser.error(f"no {what} {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    try:
        planned(["roundtrip"], options)
    except LookupError as error:
        parser.error(str(error))
    return options


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in _names(text)]


if __name__ == "__main__":
    sys.exit(main())
