"""What is measured by each command, and how much of it: `all` takes a quarter of an hour."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.budgets import HAND, NO_SDK, RAW, RECORDING
from benchmarks.contender import Peer
from benchmarks.peers import peers_on
from benchmarks.rounds import Work

PARTS = ("send", "receive", "roundtrip", "batch", "links", "memory", "growth")

MESSAGES = {"memory": 3000, "kafka": 3000, "rabbitmq": 1500, "sqs": 100}
"""In a usual round: about half a second of the raw client."""
_BATCHED = {"memory": 6000, "kafka": 10_000, "rabbitmq": 3000, "sqs": 1200}
_ROUNDS = {"memory": (5, 3), "kafka": (5, 3), "rabbitmq": (5, 3), "sqs": (3, 2)}
"""Of the usual work, and of those where sizes and senders vary."""
_EACH = {"memory": 8, "kafka": 8, "rabbitmq": 8, "sqs": 4}
"""Messages of each sender, at least: those under way when the clock starts are begun already."""
_FEW_SENDERS = 10
_LARGE = 10_000
_SMALL = 10


@dataclass(frozen=True, slots=True)
class Item:
    """Some contenders at one work.

    Attributes:
        transport: Where.
        work: What each does in a round.
        rounds: How many count.
        is_usual: Every contender runs, and memory is measured too.
        peers: Who.
    """

    transport: str
    work: Work
    rounds: int
    is_usual: bool
    peers: Sequence[Peer]


def planned(parts: Sequence[str], options: argparse.Namespace) -> list[Item]:
    """Return what is measured round by round.

    Raises:
        LookupError: A peer that was named runs nowhere.
    """
    items: list[Item] = []
    for transport in options.transport:
        peers = _peers(transport, options.peers)
        if {"send", "receive", "roundtrip"} & set(parts):
            items += _singles(transport, peers, options)
        if "batch" in parts:
            items += _batches(transport, peers, options)
        elif "links" in parts:
            linked = [peer for peer in peers if peer.name in (RAW, NO_SDK, RECORDING, HAND)]
            items += _batches(transport, linked, options)
    if options.peers and not any(item.peers for item in items):
        msg = f"no contender {options.peers} on {options.transport}"
        raise LookupError(msg)
    return [item for item in items if item.peers]


def _peers(transport: str, named: Sequence[str]) -> list[Peer]:
    """Return those whose names are given, or begin with what is given: `linkbus` is all of it."""
    known = peers_on(transport)
    if not named:
        return known
    return [peer for peer in known if any(peer.name.startswith(name) for name in named)]


def _singles(transport: str, peers: Sequence[Peer], options: argparse.Namespace) -> list[Item]:
    """Vary one thing at a time: the first of each list is the usual one."""
    first = Work(0, options.size[0], options.senders[0])
    works = [first]
    works += [Work(0, size, first.senders) for size in options.size[1:]]
    works += [Work(0, first.size, senders) for senders in options.senders[1:]]
    able = [peer for peer in peers if peer.singles]
    basic = [peer for peer in able if peer.is_basic or options.peers]
    items = []
    for work in works:
        messages = options.messages or _messages(transport, work)
        scaled = Work(messages, work.size, work.senders)
        usual = work == first
        rounds = options.rounds or _ROUNDS[transport][not usual]
        items.append(Item(transport, scaled, rounds, usual, able if usual else basic))
    return items


def _messages(transport: str, work: Work) -> int:
    """Return fewer messages where each takes longer."""
    is_slow = work.senders < _FEW_SENDERS or work.size > _LARGE
    return max(50, MESSAGES[transport] // (4 if is_slow else 1), work.senders * _EACH[transport])


def _batches(transport: str, peers: Sequence[Peer], options: argparse.Namespace) -> list[Item]:
    items = []
    able = [peer for peer in peers if peer.batches]
    for batch in options.batch:
        usually = _BATCHED[transport] // (4 if batch <= _SMALL else 1)
        messages = max(options.messages or usually, 4 * batch)
        usual = batch == options.batch[0]
        rounds = options.rounds or _ROUNDS[transport][not usual]
        chosen = [peer for peer in able if usual or peer.is_basic or options.peers]
        work = Work(whole(messages, batch), options.size[0], 1, batch)
        items.append(Item(transport, work, rounds, usual, chosen))
    return items


def whole(messages: int, batch: int) -> int:
    """Return as many messages as fill batches: a client that waits for a full one gets it."""
    return messages - messages % batch if batch else messages
