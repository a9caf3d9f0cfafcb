"""A check runs by itself, within its time, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import anyio
import broken_receivers as receivers
import broken_transports as broken
import pytest
from tiny_transport import TinyHarness, TinyTransport

from linkbus.abc import Capabilities, Transport
from linkbus.testing import CHECKS, Skipped, Trial, check, run_check

BY_TITLE = {one.title: one for one in CHECKS}
UNUSED = BY_TITLE["a transport that was opened and used for nothing closes"]


@check()
async def passes(trial: Trial) -> None:
    """Nothing is wrong."""


@check()
async def hangs(trial: Trial) -> None:
    """This never ends."""
    await anyio.sleep_forever()


@check()
async def forgets_a_coroutine(trial: Trial) -> None:
    """Something is not awaited."""
    anyio.sleep(1)  # not awaited: that is the defect


@check("groups", "durable")
async def needs_durable(trial: Trial) -> None:
    """A broker keeps what it has."""


@check("restart_broker")
async def needs_a_restart(trial: Trial) -> None:
    """A broker comes back."""


def test_a_check_passes():
    """A check on a transport that is right returns."""
    run_check(passes, TinyHarness())


def test_a_title_is_the_docstring():
    """The title of a check is its docstring, made to stand in brackets."""
    assert passes.title == "nothing is wrong"


def test_titles_are_sentences_of_their_own():
    """No two checks have one title, and none is cut off."""
    assert len(BY_TITLE) == len(CHECKS)
    assert all(len(title) > 15 and "  " not in title for title in BY_TITLE)


def test_checks_are_short():
    """No check is longer than 25 lines, so that its failure says what is wrong."""
    long = [one.title for one in CHECKS if one.run.__code__.co_firstlineno + 26 < last_line(one)]
    assert long == []


def last_line(one):
    """Return the number of the last line of a check."""
    return max(line for *_, line in one.run.__code__.co_lines() if line is not None)


def test_a_check_that_hangs_is_stopped():
    """A check that does not end fails and says where it waited."""
    with pytest.raises(AssertionError, match=r"not finished within 0\.1 seconds; it waited at: .*"):
        run_check(hangs, TinyHarness(), time_limit=0.1)


def test_what_is_lacking_is_named():
    """A check that does not apply is skipped, and the reason names the capability."""
    with pytest.raises(Skipped, match="lack durable"):
        run_check(needs_durable, TinyHarness())


def test_an_ordering_of_none_is_lacking():
    """The capability `ordering` is lacking when it is "none"."""
    ordered = BY_TITLE["messages of one key, sent one by one, come in order"]
    assert ordered.lacking(Capabilities(), TinyHarness()) == (
        "the transport's capabilities lack ordering"
    )


def test_no_restart_is_named():
    """A check with faults is skipped when the harness cannot restart the broker."""
    with pytest.raises(Skipped, match="does not override restart_broker"):
        run_check(needs_a_restart, TinyHarness())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (broken.LeaksATask, "4 tasks still run.*forgotten"),
        (broken.LosesAnError, "LookupError|never"),
    ],
)
def test_what_is_left_behind_is_found(kind: type[TinyTransport], words: str):
    """A task that still runs, and an error that nobody saw, fail any check."""
    with pytest.raises(AssertionError, match=words):
        run_check(UNUSED, TinyHarness(kind))


def test_a_coroutine_that_is_not_awaited_is_found():
    """A coroutine that was forgotten fails the check."""
    with pytest.raises(AssertionError, match="never awaited"):
        run_check(forgets_a_coroutine, TinyHarness())


def test_a_receiver_that_does_not_close_is_found():
    """A close that hangs is cut short, and the check says so."""
    harness = TinyHarness(type("Blocks", (TinyTransport,), {"receiver": receivers.BlocksOnClose}))
    harness.patience = 0.1
    sent = BY_TITLE["an empty body arrives empty"]
    with pytest.raises(AssertionError, match=r"aclose of BlocksOnClose did not return within 0\.1"):
        run_check(sent, harness)


def test_an_error_of_the_client_is_a_finding():
    """An error that is none of linkbus's is reported as what it is."""

    class Raises(TinyTransport):
        async def send(self, destination, batch):
            raise LookupError(destination)

    with pytest.raises(AssertionError, match=r"LookupError.*does not allow"):
        run_check(BY_TITLE["an empty body arrives empty"], TinyHarness(Raises))


class RestartingHarness(TinyHarness):
    """Restarts a broker that keeps its messages, or forgets them."""

    forgets = False

    def transport(self) -> Transport:
        transport = super().transport()
        transport.capabilities = Capabilities(durable=True, receive_cancel_safe=True)
        return transport

    async def restart_broker(self) -> None:
        if self.forgets:
            for groups in self.broker.groups.values():
                for group in groups.values():
                    group.waiting.clear()


FAULTS = [one for one in CHECKS if "restart_broker" in one.needs]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: one.title)
def test_checks_with_faults_run(fault):
    """With a harness that restarts the broker, the checks with faults run."""
    run_check(fault, RestartingHarness())


def test_a_broker_that_forgets_is_found(monkeypatch):
    """A broker that loses confirmed messages in a restart is found."""
    monkeypatch.setattr("linkbus.testing._checks.faults.RECOVERY", 0.3)
    harness = RestartingHarness()
    harness.forgets = True
    with pytest.raises(AssertionError, match="not given within"):
        run_check(BY_TITLE["confirmed messages survive a restart of the broker"], harness)


@pytest.mark.parametrize("plugins", [(), ("-p", "no:asyncio", "-p", "no:timeout")])
def test_an_author_writes_a_harness_and_a_class(tmp_path: Path, plugins: tuple[str, ...]):
    """The file of an author is collected as one test for each check, whatever else runs."""
    file = tmp_path / "test_mine.py"
    text = """
        from tiny_transport import TinyHarness
        import linkbus.testing
        from linkbus.testing import TransportConformance

        class TestMine(linkbus.testing.TransportConformance):
            harness = TinyHarness()
        """
    file.write_text(dedent(text))
    items = [
        f"{file}::TestMine::test_transport[{title}]"
        for title in (
            "a released message is given again",
            "confirmed messages survive a restart of the broker",
        )
    ]
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "pytest", "-v", "-rs", "-p", "no:cacheprovider", *plugins, *items],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parent), "PATH": ""},
        cwd=tmp_path,
        check=False,
    )
    assert "TestMine::test_transport[a released message is given again] PASSED" in done.stdout
    assert "the harness does not override restart_broker" in done.stdout
    assert "TransportConformance::" not in done.stdout
