"""What happens to the cost of a message when there is more of something."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import median
from subprocess import SubprocessError
from typing import cast

from benchmarks.budgets import HAND, NO_SDK, RAW, RECORDING
from benchmarks.crew import Crew, Worker
from benchmarks.curves import Curve
from benchmarks.peers import peer_named
from benchmarks.pinning import Cores, pin
from benchmarks.progress import Progress
from benchmarks.rounds import Work
from benchmarks.rows import Row
from benchmarks.running import measured, steps

_BATCHES = (1, 10, 100, 1_000, 10_000)
_BATCHED = (RAW, NO_SDK, RECORDING, HAND)
_KEYS = (1, 100, 10_000, 1_000_000)
_PROCESSES = (1, 2, 4, 8)
_MANY = {NO_SDK: 1_000_000, RECORDING: 300_000}
"""Messages; a recorded one takes four times as long."""
_ROUNDS = 2
_FLAT_MIB = 2.0
"""What resident memory may grow by after the first tenth of the messages."""
_ENOUGH = 100_000
"""Messages after which memory would show what stays."""
_LONG = 240.0
"""Seconds for a million messages."""

Points = dict[str, list[tuple[float, float]]]


def growth_steps(
    parts: Sequence[str], options: argparse.Namespace, transport: str | None = None
) -> int:
    """Return how often `grown` tells of its progress, on one transport or on all."""
    total = 0
    if "memory" in options.transport and transport in {None, "memory"}:
        if {"growth", "links"} & set(parts):
            total += len(_BATCHES) * steps(len(_BATCHED), _ROUNDS)
        total += len(_KEYS) * ("growth" in parts)
        total += 2 * bool({"growth", "memory"} & set(parts))
    if "kafka" in options.transport and transport in {None, "kafka"}:
        total += len(_PROCESSES) * ("growth" in parts)
    return total


def grown(
    parts: Sequence[str],
    options: argparse.Namespace,
    transport: str,
    *,
    address: str,
    cores: Cores,
    progress: Progress,
) -> list[Curve]:
    """Return the curves that are measured on a transport.

    Args:
        parts: What was asked for.
        options: With which messages.
        transport: Where.
        address: Of its broker.
        cores: How the machine is shared.
        progress: Told of each point.
    """
    curves: list[Curve] = []
    if transport == "memory":
        if {"growth", "links"} & set(parts):
            curves += _over_batches(cores, progress)
        if "growth" in parts:
            curves.append(_over_keys(options, cores, progress))
        if {"growth", "memory"} & set(parts):
            curves += _over_messages(options, cores, progress)
    if transport == "kafka" and "growth" in parts:
        curves.append(_over_processes(options, address, cores, progress))
    return curves


def _over_batches(cores: Cores, progress: Progress) -> list[Curve]:
    peers = [peer_named(name, "memory") for name in _BATCHED]
    whole: Points = {name: [] for name in _BATCHED}
    linked: Points = {RECORDING: [], HAND: []}
    with Crew(peers, "memory", "", cores) as crew:
        for batch in _BATCHES:
            work = Work(max(2_000, 3 * batch), batch=batch, senders=1)
            rows = {row.contender: row for row in measured(crew, work, _ROUNDS, progress)}
            for name, row in rows.items():
                if row.is_good:
                    whole[name].append((batch, median(row.walls("roundtrip"))))
            for name, floor in ((RECORDING, NO_SDK), (HAND, RAW)):
                _add_difference(linked[name], batch, rows[name], rows[floor])
    return [
        Curve("batch-size", "a message sent and handled in batches", "batch size", "µs", whole),
        Curve(
            "links",
            "a link of a process span, over the same without spans",
            "links on the span",
            "µs a link",
            linked,
        ),
    ]


def _add_difference(points: list[tuple[float, float]], at: int, row: Row, floor: Row) -> None:
    if row.is_good and floor.is_good:
        pairs = zip(row.walls("receive"), floor.walls("receive"), strict=False)
        points.append((at, median(more - less for more, less in pairs)))


def _over_keys(options: argparse.Namespace, cores: Cores, progress: Progress) -> Curve:
    points: Points = {NO_SDK: []}
    notes: list[str] = []
    with Crew([peer_named(NO_SDK, "memory")], "memory", "", cores) as crew:
        for keys in _KEYS:
            count = options.messages or max(50_000, keys)
            answer = crew.workers[0].ask("keyed", Work(count, keys=keys), _LONG)
            void = _void(answer.get("void"))
            if void is None:
                points[NO_SDK].append((keys, cast("float", answer["wall"])))
            else:
                notes.append(f"{keys:,} keys: void: {void}")
            progress.step(f"memory: {keys:,} keys", void)
    return Curve("keys", "a message sent and handled, 16 at once", "keys", "µs", points, notes)


def _over_messages(options: argparse.Namespace, cores: Cores, progress: Progress) -> list[Curve]:
    walls: Points = {}
    resident: Points = {}
    notes: list[str] = []
    peers = [peer_named(name, "memory") for name in _MANY]
    with Crew(peers, "memory", "", cores) as crew:
        for worker in crew.workers:
            name = worker.peer.name
            samples, void = _resident(worker, options.messages or _MANY[name])
            walls[name] = [(count, wall) for count, _, wall in samples]
            resident[name] = [(count, mib) for count, mib, _ in samples]
            notes.append(f"{name}: {_flatness(resident[name]) if void is None else void}")
            progress.step(f"memory: many messages: {name}", void)
    over = "messages so far"
    return [
        Curve("messages", "a message sent and handled", over, "µs", walls),
        Curve("resident-memory", "memory of the process", over, "MiB", resident, notes),
    ]


def _resident(
    worker: Worker, messages: int
) -> tuple[Sequence[tuple[float, float, float]], str | None]:
    answer = worker.ask("resident", Work(messages, senders=10), _LONG)
    void = _void(answer.get("void"))
    if void is not None:
        return [], void
    return cast("Sequence[tuple[float, float, float]]", answer["samples"]), None


def _flatness(points: Sequence[tuple[float, float]]) -> str:
    last, end = points[-1]
    if last < _ENOUGH:
        return f"not measured: {last:,.0f} messages are too few"
    count, begin = next(point for point in points if point[0] >= last / 10)
    word = "holds" if end - begin <= _FLAT_MIB else "MISSED"
    return f"{word}: {end - begin:+.2f} MiB from {count:,.0f} to {last:,.0f} ≤ {_FLAT_MIB:g} MiB"


def _over_processes(
    options: argparse.Namespace, address: str, cores: Cores, progress: Progress
) -> Curve:
    from benchmarks.together import PARTITIONS, shared_by  # noqa: PLC0415 - only where Kafka is

    points: Points = {NO_SDK: []}
    notes = [f"{PARTITIONS} partitions; the processes share all cores, the broker's included"]
    pin(cores.everything)  # which the processes inherit
    for processes in _PROCESSES:
        void = None
        try:
            micros = shared_by(processes, address, options.messages or 60_000)
            points[NO_SDK].append((processes, micros))
        except (AssertionError, SubprocessError, ValueError) as error:
            void = f"{type(error).__name__}: {error}"[:200]
            notes.append(f"{processes} processes: void: {void}")
        progress.step(f"kafka: {processes} processes", void)
    pin(cores.broker)
    return Curve(
        "processes", "a message handled, by all together", "processes", "µs", points, notes
    )


def _void(reason: object) -> str | None:
    return None if reason is None else str(reason)
