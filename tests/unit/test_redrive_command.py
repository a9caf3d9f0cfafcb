"""What `linkbus redrive` does with a URL, signals, errors and the log, and what it says."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import time

import anyio
import pytest

import linkbus
from linkbus import ConnectError, Headers, TransportError
from linkbus._redrive import _command, _wording
from linkbus._redrive._calm_log import calm_log
from linkbus._redrive._command import DONE, FAILED, INTERRUPTED, perform
from linkbus._redrive._wording import Request
from linkbus._redrive_progress import progress
from linkbus.abc import Arrival, Transport
from linkbus.transports.memory import MemoryBroker, MemoryTransport
from tests.unit.redrives import give
from tests.unit.scripted import STALE, ScriptedTransport

DEFAULTS = {
    "url": "mine://",
    "source": "orders.dead",
    "destination": "orders",
    "group": None,
    "max_messages": None,
    "patience": 0.3,
    "is_dry_run": False,
    "is_verbose": False,
}


def asked(**options: object) -> Request:
    return Request(**DEFAULTS | options)


@contextmanager
def unseen(total: int | None) -> Iterator[Callable[[], None]]:
    """Show no progress."""
    yield lambda: None


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch):
    """Return a function that says what is behind the URL `mine://`."""

    class Entry:
        name = "mine"

        def __init__(self, transport: Callable[[], Transport]) -> None:
            self.load = lambda: lambda url: transport()

    def connecting(transport: Callable[[], Transport]) -> None:
        monkeypatch.setattr("linkbus._bus.entry_points", lambda group: [Entry(transport)])

    return connecting


@pytest.fixture
async def broker(connecting) -> MemoryBroker:
    """Return a broker at `mine://`, with three dead letters."""
    broker = MemoryBroker()
    connecting(lambda: MemoryTransport(broker))
    async with linkbus.Bus(MemoryTransport(broker)) as bus:
        for n in range(3):
            await bus.producer("orders.dead").send(b"secret", key="secret", id=f"id{n}")
    return broker


@pytest.fixture
def scripted(connecting) -> ScriptedTransport:
    """Return the transport at `mine://`."""
    transport = ScriptedTransport()
    connecting(lambda: transport)
    return transport


async def test_it_sends_all_and_sums_up(broker, capsys):
    """The result is on stdout; there is nothing else to say."""
    assert await perform(asked(), unseen) == DONE
    captured = capsys.readouterr()
    assert captured.out == (
        "3 messages sent from 'orders.dead' to 'orders'\n"
        "no more came to the group 'linkbus-redrive' for 0.3 s\n"
    )
    assert captured.err == ""
    assert await perform(asked(), unseen) == DONE
    assert capsys.readouterr().out.startswith("0 messages sent")


async def test_it_sends_as_many_as_it_may(broker, capsys):
    """Whether there are more it does not know."""
    assert await perform(asked(max_messages=1), unseen) == DONE
    assert capsys.readouterr().out == "1 message sent from 'orders.dead' to 'orders'\n"


async def test_progress_is_told_of_each_message(broker):
    """And of how many there are at most."""
    told: list[int | None] = []

    @contextmanager
    def noted(total: int | None) -> Iterator[Callable[[], None]]:
        told.append(total)
        yield lambda: told.append(1)

    await perform(asked(max_messages=2), noted)
    assert told == [2, 1, 1]


async def test_a_dry_run_changes_nothing(broker, capsys):
    """A table of what is known, without what is in the messages."""
    assert await perform(asked(is_dry_run=True), unseen) == DONE
    out = capsys.readouterr().out
    assert out == (
        "id   failed in  attempts  error  age\n"
        "id0  -          -         -      0 s\n"
        "id1  -          -         -      0 s\n"
        "id2  -          -         -      0 s\n"
        "3 messages would be sent from 'orders.dead' to 'orders'; none was\n"
        "no more came to the group 'linkbus-redrive' for 0.3 s\n"
    )
    await perform(asked(), unseen)
    assert capsys.readouterr().out.startswith("3 messages sent")


# What goes wrong


async def test_an_error_of_linkbus_is_said(scripted, capsys):
    """Its text, and what was sent until then; no traceback."""
    scripted.sends.append(TransportError("full"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(give, scripted, "a1")
        assert await perform(asked(), unseen) == FAILED
    captured = capsys.readouterr()
    assert captured.out == "0 messages sent from 'orders.dead' to 'orders'\n"
    assert captured.err.startswith("linkbus redrive: <Delivery a1 from 'orders.dead'")
    assert captured.err.count("\n") == 1


async def test_a_broker_that_is_not_there_is_said(scripted, capsys):
    """Before anything was done there is no summary."""
    scripted.failing = ConnectError("nobody there")
    assert await perform(asked(), unseen) == FAILED
    assert capsys.readouterr() == ("", "linkbus redrive: nobody there\n")


async def test_a_broker_that_is_gone_in_the_end_is_said(broker, connecting, capsys):
    """It gives no dead letters either, which says nothing of how many there are."""
    gone = ScriptedTransport()
    gone.failing = ConnectError("gone")
    transports = [gone, MemoryTransport(broker)]
    connecting(transports.pop)
    assert await perform(asked(), unseen) == FAILED
    captured = capsys.readouterr()
    assert captured.out.startswith("3 messages sent")
    assert captured.err == "linkbus redrive: gone\n"


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_lets_what_is_under_way_end(scripted, capsys, number):
    """Then it says what was sent, and that it was interrupted."""
    scripted.sends.append(gate := anyio.Event())
    codes: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, codes)
        await give(scripted, "a1", "a2")
        await scripted.watch.until(lambda: scripted.sent)
        signal.raise_signal(number)
        await until_said(capsys, "stopping")
        gate.set()
    assert codes == [INTERRUPTED]
    assert scripted.receiver.outcomes == [("a1", "ack"), ("a2", "release")]
    captured = capsys.readouterr()
    assert captured.out == "1 message sent from 'orders.dead' to 'orders'\n"
    assert captured.err == "interrupted: what was not sent is still in the dead letters\n"


async def test_a_second_signal_cuts_it_off(scripted, capsys):
    """What was under way may have been sent, and is released."""
    scripted.sends.append(anyio.Event())
    codes: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, codes)
        await give(scripted, "a1")
        await scripted.watch.until(lambda: scripted.sent)
        signal.raise_signal(signal.SIGINT)
        await until_said(capsys, "stopping")
        signal.raise_signal(signal.SIGINT)
    assert codes == [INTERRUPTED]
    assert scripted.receiver.outcomes == [("a1", "release")]
    assert capsys.readouterr().out == "0 messages sent from 'orders.dead' to 'orders'\n"


async def test_a_signal_ends_a_dry_run_at_once(scripted, capsys):
    """There is nothing that would have to be finished."""
    codes: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, codes, asked(is_dry_run=True, patience=60.0))
        await give(scripted, "a1")
        await scripted.watch.until(lambda: len(scripted.receiver.asked) > 1)
        signal.raise_signal(signal.SIGINT)
    assert codes == [INTERRUPTED]
    assert scripted.receiver.outcomes == [("a1", "release")]
    assert capsys.readouterr().out == ""


async def collect(codes: list[int], request: Request | None = None) -> None:
    codes.append(await perform(request or asked(patience=60.0), unseen))


async def until_said(capsys: pytest.CaptureFixture[str], word: str) -> None:
    with anyio.fail_after(5):
        while word not in capsys.readouterr().err:
            await anyio.wait_all_tasks_blocked()


# The log


def test_each_kind_of_warning_is_shown_once(capsys):
    """In a line, without the traceback that belongs to it."""
    logger = logging.getLogger("linkbus")
    with calm_log():
        for number in range(3):
            logger.warning("it failed %d times", number, exc_info=ValueError())
        logger.info("nobody wants to know")
    assert capsys.readouterr().err == "it failed 0 times\n"
    assert not logger.handlers


def test_clients_are_not_shown(capsys, monkeypatch):
    """They tell of the same, at length."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with calm_log():
        logging.getLogger("a_client").error("Unable to connect")
    assert capsys.readouterr().err == ""
    logging.getLogger("a_client").error("Unable to connect")
    assert capsys.readouterr().err == "Unable to connect\n"


@pytest.mark.parametrize("is_verbose", [True, False])
async def test_who_asks_for_it_is_shown_everything(broker, monkeypatch, is_verbose):
    """`--verbose` leaves the log as it is."""
    shown: list[int] = []
    monkeypatch.setattr(_command, "calm_log", lambda: unseen(shown.append(1)))
    await perform(asked(is_verbose=is_verbose), unseen)
    assert shown == ([] if is_verbose else [1])


# Words


async def test_what_could_not_be_acknowledged_is_said(scripted, capsys):
    """So are newer dead letters, each with what that means."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, [], asked())
        await scripted.watch.until(lambda: scripted.receivers)
        scripted.receiver.settles.append([STALE])
        scripted.receiver.give("a1", Arrival(id="2", body=b"", sent_at=time() + 60))
    captured = capsys.readouterr()
    assert captured.out == (
        "1 message sent from 'orders.dead' to 'orders'\n"
        "1 of them could not be acknowledged: they are dead letters still, and will be sent "
        "once more\n"
        "1 newer dead letter left where they are: sent after this began, or back again\n"
        "no more came for 0.3 s\n"
    )
    assert captured.err.startswith("<Delivery a1 from 'orders.dead', attempt 1> was sent, and")


async def test_a_table_shows_no_control_characters(scripted, capsys):
    """Nor endless texts: lineage is what somebody else wrote."""
    origin = {"source": "\x1b[2Jorders", "attempts": 3, "error": "E" * 500}
    headers = Headers({"linkbus": json.dumps({"origin": origin})})
    letter = Arrival(id=None, body=b"", headers=headers)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, [], asked(is_dry_run=True))
        await give(scripted, letter)
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == ["-", "?[2Jorders", "3", "E" * 60, "-"]


async def test_a_table_with_an_end_says_so(scripted, capsys, monkeypatch):
    """Where nobody said how many to show."""
    monkeypatch.setattr(_wording, "MOST_SHOWN", 1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, [], asked(is_dry_run=True))
        await give(scripted, "a1")
    assert "there may be more: --max says how many to show\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (86_400 * 400, "400 d")],
)
def test_an_age_is_short(seconds, text):
    """In the largest unit of which there is one."""
    assert _wording._age(seconds) == text


# Progress


class Terminal(io.StringIO):
    """A terminal that remembers what it was given."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr a terminal with colours."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_a_terminal_is_shown_how_far_it_is(monkeypatch):
    """What was sent, of how many if that is known."""
    terminal = on_terminal(monkeypatch)
    with progress(2000) as step:
        for _ in range(1500):
            step()
    assert "1,500 of 2,000 sent, 1,500/s" in terminal.getvalue()
    assert "\x1b[3" in terminal.getvalue()


def test_nobody_may_know_how_many_there_are(monkeypatch):
    """Then only what was sent is shown."""
    terminal = on_terminal(monkeypatch)
    with progress(None) as step:
        step()
    assert "1 sent, 1/s" in terminal.getvalue()


def test_what_is_said_meanwhile_stands_above(monkeypatch):
    """The bar is drawn anew below it, and removed in the end."""
    terminal = on_terminal(monkeypatch)
    with progress(None):
        sys.stderr.write("stopping\n")
    assert "\rstopping" in terminal.getvalue().replace("\x1b[2K", "")
    assert terminal.getvalue().endswith("\x1b[2K")


def test_a_terminal_may_refuse_colours(monkeypatch):
    """NO_COLOR is respected."""
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    with progress(1) as step:
        step()
    assert "1 of 1 sent" in terminal.getvalue()
    assert "\x1b[3" not in terminal.getvalue()


def test_where_there_is_no_terminal_nothing_is_shown(capsys, monkeypatch):
    """A file gets no bars, even where colours are forced."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress(1) as step:
        step()
    assert capsys.readouterr() == ("", "")
