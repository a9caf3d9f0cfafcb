"""A process that does rounds of one contender: commands and answers are lines of JSON.

`python -m benchmarks.worker '{"peer": …, "transport": …, "address": …, "cores": [1]}'`
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TextIO, TypedDict

from benchmarks.allocations import allocations_of
from benchmarks.peers import maker_of, peer_named
from benchmarks.pinning import pin
from benchmarks.resident import resident_over
from benchmarks.rounds import Work, round_of
from benchmarks.telemetry import Telemetry


class Post(TypedDict):
    """What a worker is, for as long as it lives."""

    peer: str
    transport: str
    address: str
    cores: list[int] | None


class Command(TypedDict):
    """What it is asked to do."""

    do: str
    work: dict[str, int]
    timeout: float


Answer = Mapping[str, object]
Duty = Callable[[Work, float], Awaitable[Answer]]


def main(argv: list[str]) -> None:
    """Answer every command that comes in, until there are no more."""
    answers = _own_output()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks is interrupted, and ends this
    post: Post = json.loads(argv[0])
    if post["cores"] is not None:
        pin(set(post["cores"]))
    logging.basicConfig(stream=sys.stderr, level=logging.CRITICAL)
    duties = _duties(post)
    for line in sys.stdin:
        command: Command = json.loads(line)
        duty = duties[command["do"]]
        answer = asyncio.run(_done(duty, Work(**command["work"]), command["timeout"]))
        try:
            print(json.dumps(answer), file=answers, flush=True)
        except BrokenPipeError:  # who asked was interrupted, and is gone
            return


async def _done(duty: Duty, work: Work, timeout: float) -> Answer:
    return await duty(work, timeout)


def _duties(post: Post) -> Mapping[str, Duty]:
    peer = peer_named(post["peer"], post["transport"])
    telemetry = Telemetry(peer.mode)  # before its libraries are imported
    maker = maker_of(peer)
    transport, address = post["transport"], post["address"]

    async def round_(work: Work, timeout: float) -> Answer:
        outcome = await round_of(maker, transport, address, telemetry, work, timeout=timeout)
        return outcome.as_json()

    async def allocations(work: Work, timeout: float) -> Answer:
        return await allocations_of(maker, transport, address, telemetry, work, timeout=timeout)

    async def resident(work: Work, timeout: float) -> Answer:
        return await resident_over(maker, transport, address, telemetry, work, timeout=timeout)

    async def with_keys(work: Work, timeout: float) -> Answer:
        from benchmarks.keyed import keyed  # noqa: PLC0415 - only where linkbus is

        return await keyed(telemetry, work, timeout=timeout)

    return {
        "round": round_,
        "allocations": allocations,
        "resident": resident,
        "keyed": with_keys,
    }


def _own_output() -> TextIO:
    """Keep standard output for answers: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


if __name__ == "__main__":
    main(sys.argv[1:])
