"""Timers of the memory transport: earliest first, and no keeping of what was cancelled."""

import gc
import weakref
from math import inf

from linkbus.transports.memory._timers import Timed, Timers


class Thing(Timed):
    """Something that falls due."""

    __slots__ = ("__weakref__",)


def test_the_earliest_falls_due_first():
    """Things fall due in the order of their times, whatever the order of setting."""
    timers = Timers[Thing]()
    late, early, never = Thing(), Thing(), Thing()
    timers.set(late, 2.0)
    timers.set(early, 1.0)
    timers.set(never, inf)
    assert timers.earliest() == 1.0
    assert timers.pop_due(0.5) == []
    assert timers.pop_due(2.0) == [early, late]
    assert timers.pop_due(2.0) == []
    assert early.due is None


def test_without_timers_nothing_falls_due():
    """With no timer set the earliest time is infinity."""
    assert Timers[Thing]().earliest() == inf


def test_setting_anew_replaces_the_time():
    """A thing falls due once, at the time that was set last, sooner or later."""
    timers = Timers[Thing]()
    thing = Thing()
    timers.set(thing, 2.0)
    timers.set(thing, 5.0)
    timers.set(thing, 5.0)
    assert timers.earliest() == 5.0
    timers.set(thing, 1.0)
    assert list(timers) == [thing]
    assert timers.pop_due(1.0) == [thing]
    assert timers.pop_due(9.0) == []


def test_a_time_that_is_set_back_counts_once():
    """A thing that is given an earlier time of its own again is there once, and falls due once."""
    timers = Timers[Thing]()
    thing = Thing()
    for due in (2.0, 1.0, 2.0):
        timers.set(thing, due)
    assert list(timers) == [thing]
    assert timers.pop_due(2.0) == [thing]


def test_what_is_cancelled_does_not_fall_due():
    """A cancelled thing never falls due, and cancelling again changes nothing."""
    timers = Timers[Thing]()
    thing, other = Thing(), Thing()
    timers.set(thing, 1.0)
    timers.set(other, 2.0)
    timers.cancel(thing)
    timers.cancel(thing)
    assert timers.earliest() == 2.0
    assert timers.pop_due(3.0) == [other]


def test_dead_entries_are_dropped_behind_one_that_lives():
    """Cancelled things are let go though an earlier timer stays, and the rest is in order."""
    timers = Timers[Thing]()
    first, last = Thing(), Thing()
    timers.set(last, 500.0)
    timers.set(first, 0.0)
    gone = []
    for number in range(1, 400):
        thing = Thing()
        timers.set(thing, float(number))
        gone.append(weakref.ref(thing))
        timers.cancel(thing)
    del thing
    gc.collect()
    assert sum(ref() is not None for ref in gone) < 100
    assert timers.pop_due(500.0) == [first, last]


def test_setting_one_thing_again_and_again_keeps_few_entries():
    """A thing whose time is moved a thousand times still falls due once, at the last time."""
    timers = Timers[Thing]()
    thing = Thing()
    for number in range(1000):
        timers.set(thing, float(number))
    assert len(timers._heap) < 100
    assert timers.pop_due(1000.0) == [thing]
