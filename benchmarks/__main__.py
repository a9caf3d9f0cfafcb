"""Run benchmarks: `python -m benchmarks memory kafka --rounds 7 --json`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import kafka, memory
from benchmarks.measure import Result, circumstances
from tests.brokers.kafka import KafkaBroker
from tests.brokers.topics import create_topic

SUITES = ("memory", "kafka")


def main() -> int:
    """Run the suites that were named, print their tables; 1 when a budget is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "suites", nargs="*", default=list(SUITES), metavar="SUITE", help="of memory, kafka (all)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each row (5)")
    parser.add_argument("--kafka", metavar="HOST:PORT", help="a running broker to use")
    parser.add_argument("--json", action="store_true", help="print data, no tables")
    options = parser.parse_args()
    results: list[Result] = []
    if "memory" in options.suites:
        results.append(asyncio.run(memory.benchmark(options.rounds)))
    if "kafka" in options.suites:
        with _broker(options.kafka) as bootstrap:
            topic = partial(create_topic, bootstrap)
            results += asyncio.run(kafka.benchmark(bootstrap, topic, options.rounds))
    if options.json:
        json.dump(
            {"circumstances": circumstances(), "results": [r.as_json() for r in results]},
            sys.stdout,
            indent=2,
        )
        print()
    else:
        print(", ".join(f"{name} {value}" for name, value in circumstances().items()))
        for result in results:
            print("", *result.lines(), sep="\n")
    missed = [b for r in results for b in r.budgets if not _holds(r, b.text)]
    return 1 if missed else 0


def _holds(result: Result, text: str) -> bool:
    best = {row.name: row.best for row in result.rows}
    return all(b.value(best) <= b.limit for b in result.budgets if b.text == text)


@contextmanager
def _broker(given: str | None) -> Iterator[str]:
    if given is not None:
        yield given
        return
    broker = KafkaBroker()
    try:
        broker.start()
        yield broker.bootstrap
    finally:
        broker.remove()


if __name__ == "__main__":
    sys.exit(main())
