"""What a redrive takes, where it ends, and what it shows before it is done."""

from __future__ import annotations

from time import time

import anyio
import pytest

import linkbus
from linkbus import CapabilityError, UsageError
from linkbus._redrive import Letter, Redrive
from linkbus.abc import Capabilities
from tests.unit.redrives import ORIGIN, PATIENCE, dead, give, redriven, redriving
from tests.unit.scripted import ScriptedTransport, ended, scripted

# Where it ends


async def test_it_ends_when_no_dead_letter_comes():
    """After `patience` seconds that is all."""
    redrive, sent = await redriven()
    assert (redrive.sent, sent, redrive.is_drained) == (0, [], True)


async def test_it_sends_no_more_than_it_may():
    """The rest is given back, though it was received already."""
    async with redriving("a1", "a2", "b1", max_messages=2) as (redrive, transport, task):
        assert await ended(task) is None
        assert (redrive.sent, redrive.is_drained) == (2, False)
        assert transport.receiver.outcomes[-1] == ("b1", "release")


async def test_what_was_sent_later_stays():
    """A dead letter that is newer than the redrive is held, and released in the end."""
    later = dead("2", sent_at=time() + 60)
    async with redriving(dead("1", sent_at=time() - 60), later, dead("3")) as (
        redrive,
        transport,
        task,
    ):
        assert await ended(task) is None
        assert (redrive.sent, redrive.newer) == (2, 1)
        assert transport.receiver.outcomes == [("1", "ack"), ("3", "ack"), ("2", "release")]


async def test_what_comes_back_stays():
    """A message that failed again has the same origin, whatever the clocks say."""
    redrive, sent = await redriven(dead("1", ORIGIN), dead("2", ORIGIN), dead("3", {"id": "8"}))
    assert (sent, redrive.newer) == (["1", "3"], 1)


@pytest.mark.parametrize("origin", [{"source": "orders", "attempts": 3}, "nonsense", None])
async def test_an_origin_that_names_no_message_is_not_compared(origin):
    """Messages of other producers have no ids: equal origins are not one message."""
    redrive, sent = await redriven(dead("1", origin), dead("2", origin))
    assert (sent, redrive.newer) == (["1", "2"], 0)


async def test_it_ends_though_newer_ones_never_do():
    """A thousand of them, and nothing else, say that the rest is newer too."""
    newer = [dead(f"{n}", sent_at=time() + 60) for n in range(1500)]
    redrive, sent = await redriven(dead("old"), *newer, patience=60.0)
    assert sent == ["old"]
    assert 1000 <= redrive.newer < 1500
    assert not redrive.is_drained


# A preview


async def test_a_preview_shows_what_there_is_and_leaves_it():
    """What is known of each dead letter; all are released, and nothing is sent."""
    letters = [dead("1", ORIGIN, sent_at=5.0), dead("2"), dead("3", sent_at=time() + 60)]
    async with scripted() as (bus, transport):
        redrive = Redrive(bus, "orders.dead", "orders", patience=PATIENCE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(give, transport, *letters)
            shown = await redrive.preview()
        assert shown == [
            Letter("1", "orders", 3, "KeyError", 5.0),
            Letter("2", None, None, None, None),
        ]
        assert transport.receiver.outcomes == [(one, "release") for one in "123"]
        assert (transport.sent, redrive.newer, redrive.is_drained) == ([], 1, True)


@pytest.mark.parametrize(
    "origin",
    [{"source": 1, "attempts": "3", "error": []}, {"attempts": True}, {**ORIGIN, "source": "dead"}],
)
async def test_a_preview_believes_no_malformed_lineage(origin):
    """Nor what says where the dead letter itself was: that is the broker's own."""
    async with scripted() as (bus, transport):
        redrive = Redrive(bus, "dead", "orders", patience=PATIENCE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(give, transport, dead("1", origin))
            assert await redrive.preview() == [Letter("1", None, None, None, None)]


@pytest.mark.parametrize(("max_messages", "count"), [(None, 1000), (150, 150)])
async def test_a_preview_has_an_end(max_messages, count):
    """It holds what it shows, so that is so many, or a thousand."""
    async with scripted() as (bus, transport):
        redrive = Redrive(bus, "orders.dead", "orders", max_messages=max_messages)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(give, transport, *[dead(f"{n}") for n in range(1500)])
            assert len(await redrive.preview()) == count
        assert not redrive.is_drained


# Groups, and what is refused


class SomeGroups(ScriptedTransport):
    """A transport on which queues have no groups, as RabbitMQ."""

    def describe(self, destination, group=None):
        if destination.startswith("/") and group != "default":
            raise CapabilityError
        return {}


@pytest.mark.parametrize(
    ("source", "can", "named", "group"),
    [
        ("dead", True, None, "linkbus-redrive"),
        ("dead", True, "mine", "mine"),
        ("/dead", True, None, None),
        ("dead", False, None, None),
    ],
)
def test_the_group_is_what_the_source_can_have(source, can, named, group):
    """One of its own, so that others' work is not taken for done; none where there are none."""
    bus = linkbus.Bus(SomeGroups(Capabilities(groups=can)))
    assert Redrive(bus, source, "orders", group=named).group == group


def test_a_group_that_cannot_be_is_refused():
    """It is not left out silently."""
    with pytest.raises(CapabilityError, match="no groups here"):
        Redrive(linkbus.Bus(ScriptedTransport()), "dead", "orders", group="mine")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"destination": "dead"}, "they would circle"),
        ({"max_messages": 0}, "not at least 1"),
        ({"max_messages": -1}, "not at least 1"),
        ({"patience": 0.0}, "more than 0"),
        ({"patience": float("nan")}, "more than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(options, reason):
    """Before anything is opened."""
    with pytest.raises(UsageError, match=reason):
        Redrive(linkbus.Bus(ScriptedTransport()), "dead", **{"destination": "orders"} | options)
