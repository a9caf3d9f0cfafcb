"""Worker processes, as the process that asks them sees them."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import Self, cast

from benchmarks.contender import Peer
from benchmarks.pinning import Cores
from benchmarks.rounds import Work

Answer = Mapping[str, object]

_GRACE = 20.0
"""Seconds that a worker has beyond the time limit of what it was asked."""


class Worker:
    """One long-lived process with one contender.

    Args:
        peer: What it runs.
        transport: Where.
        address: Of the broker.
        cores: How the machine is shared.
    """

    def __init__(self, peer: Peer, transport: str, address: str, cores: Cores) -> None:
        self.peer = peer
        post = {
            "peer": peer.name,
            "transport": transport,
            "address": address,
            "cores": None if cores.client is None else sorted(cores.client),
        }
        self._process = subprocess.Popen(  # noqa: S603 - this package, in this interpreter
            [sys.executable, "-m", "benchmarks.worker", json.dumps(post)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, duty: str, work: Work, timeout: float = 60.0) -> Answer:
        """Let it do something and return its answer; a worker that is lost answers `void`.

        Args:
            duty: `round`, `allocations` or `resident`.
            work: With these numbers.
            timeout: Seconds.
        """
        process = self._process
        if process.stdin is None or process.stdout is None or process.poll() is not None:
            return {"void": f"its process ended with status {process.poll()}"}
        command = {"do": duty, "work": asdict(work), "timeout": timeout}
        try:
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
        except OSError as error:
            return {"void": f"its process is gone: {error}"}
        ready, _, _ = select.select([process.stdout], [], [], timeout + _GRACE)
        if not ready:
            process.kill()
            return {"void": f"no answer within {timeout + _GRACE:g} s"}
        line = process.stdout.readline()
        if not line:
            return {"void": f"its process ended with status {process.wait()}"}
        return cast("Answer", json.loads(line))

    def close(self) -> None:
        """Let it end, or end it."""
        process = self._process
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5.0)


class Crew:
    """A worker for each of several contenders on one transport.

    Args:
        peers: The contenders.
        transport: Where they run.
        address: Of the broker.
        cores: How the machine is shared.
    """

    def __init__(self, peers: Sequence[Peer], transport: str, address: str, cores: Cores) -> None:
        self.transport = transport
        self.workers: list[Worker] = []
        self._given = (peers, transport, address, cores)

    def __enter__(self) -> Self:
        peers, transport, address, cores = self._given
        self.workers = [Worker(peer, transport, address, cores) for peer in peers]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            worker.close()
