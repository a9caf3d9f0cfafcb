"""The command `linkbus`: what it prints, and its exit codes."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from linkbus import cli
from linkbus._redrive._wording import Request
from linkbus._version import __version__


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package with a transport."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(scheme: str, module: str, *, extra: str = "none", code: str = "") -> None:
        (tmp_path / f"{module}.py").write_text(f"{code}\n\ndef from_url(url): ...\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
        folder = tmp_path / f"{module}-7.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {module}\nVersion: 7.0\nProvides-Extra: {extra}\n")
        points = f"[{cli.ENTRY_POINTS}]\n{scheme} = {module}:from_url\n"
        (folder / "entry_points.txt").write_text(points)

    return install


class Terminal:
    """Something that is a terminal, and remembers what it was given."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        return True


def test_the_version_is_printed(capsys):
    """`linkbus --version` says which it is, and ends well."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"linkbus {__version__}\n"


def test_without_a_command_help_is_printed(capsys):
    """`linkbus` alone lists the commands, and ends with 2."""
    assert cli.main([]) == cli.FAILED
    out = capsys.readouterr().out
    assert "demo" in out
    assert "transports" in out


def test_an_unknown_command_is_refused(capsys):
    """A command that there is not ends with 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["dance"])
    assert ended.value.code == cli.FAILED
    assert "dance" in capsys.readouterr().err


def test_the_demo_is_shown(capsys):
    """`linkbus demo` prints traces and links, without colours where nobody sees them."""
    assert cli.main(["demo"]) == 0
    out = capsys.readouterr().out
    assert "⇢ A/send orders" in out
    assert "\x1b" not in out


def test_a_terminal_is_shown_colours(monkeypatch):
    """On a terminal the demonstration is in colour."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cli.main(["demo"]) == 0
    assert "\x1b[1m" in terminal.text


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_may_refuse_colours(monkeypatch, name, value):
    """NO_COLOR and a terminal without colours are respected."""
    monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    cli.main(["demo"])
    assert "\x1b" not in terminal.text


def test_a_command_says_which_extra_it_needs(monkeypatch, capsys):
    """Where a module cannot be imported, the command that installs it is named; exit code 2."""
    monkeypatch.setitem(sys.modules, "linkbus._demo", None)
    assert cli.main(["demo"]) == cli.FAILED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith('pip install "linkbus[cli]"\n')


def test_redrive_asks_for_what_it_was_told(monkeypatch):
    """The arguments are the request's, and its exit code is the command's."""
    requests: list[Request] = []

    async def perform(request, progress):
        requests.append(request)
        return 130

    monkeypatch.setattr("linkbus._redrive._command.perform", perform)
    arguments = ["redrive", "memory://", "orders.dead", "orders"]
    assert cli.main(arguments) == 130
    options = ["--max", "5", "--dry-run", "--group", "mine", "--wait", "0.5", "--verbose"]
    assert cli.main([*arguments, *options]) == 130
    names = ("memory://", "orders.dead", "orders")
    assert requests == [
        Request(*names, None, None, 5.0, is_dry_run=False, is_verbose=False),
        Request(*names, "mine", 5, 0.5, is_dry_run=True, is_verbose=True),
    ]


def test_redrive_sends_dead_letters(capsys):
    """In memory, where there are none, that is soon done."""
    assert cli.main(["redrive", "memory://", "orders.dead", "orders", "--wait", "0.05"]) == 0
    assert capsys.readouterr().out.startswith("0 messages sent from 'orders.dead' to 'orders'\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nothing://", "orders.dead", "orders"], "no transport has the scheme 'nothing'"),
        (["memory://", "orders", "orders"], "they would circle"),
        (["memory://", "orders.dead", "orders", "--max", "0"], "leave it out to send all"),
        (["memory://", "orders.dead", "orders", "--wait", "-1"], "give more than 0"),
    ],
)
def test_redrive_says_what_is_wrong(capsys, arguments, reason):
    """What its user can mend ends with 2, and is no traceback."""
    assert cli.main(["redrive", *arguments]) == cli.FAILED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("linkbus redrive: ")
    assert reason in captured.err


def test_redrive_without_rich_says_what_to_install(monkeypatch, capsys):
    """Though nobody would see a bar: what is installed changes nothing but this."""
    monkeypatch.delitem(sys.modules, "linkbus._redrive_progress", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert cli.main(["redrive", "memory://", "orders.dead", "orders"]) == cli.FAILED
    assert capsys.readouterr().err.endswith('pip install "linkbus[cli]"\n')


WITHOUT_SDK = """
import sys
sys.modules["opentelemetry.sdk"] = None
from linkbus import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("demo", cli.FAILED, "linkbus demo: needs opentelemetry.sdk"),
        ("transports", 0, ""),
    ],
)
def test_without_the_sdk_only_the_demo_is_missing(command, code, message):
    """A command needs what it uses, and no more."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", WITHOUT_SDK, command],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr


def test_a_terminal_without_the_arrow_shows_something_else(monkeypatch):
    """What cannot be written in the terminal's encoding ends nothing."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    assert cli.main(["demo"]) == 0
    assert b"? A/send orders" in written.getvalue()


def test_transports_that_are_ready_are_listed(capsys):
    """Linkbus's own are there, with the version that brings them."""
    assert cli.main(["transports"]) == 0
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["memory://", "linkbus", __version__, "ready"] in listed


def test_a_transport_of_another_package_is_listed(install, capsys):
    """A plugin stands beside those of linkbus, by its scheme."""
    install("a-queue", "queue_package")
    cli.main(["transports"])
    first, *others = capsys.readouterr().out.splitlines()
    assert first.split() == ["a-queue://", "queue_package", "7.0", "ready"]
    assert any(line.startswith("memory://") for line in others)


def test_a_transport_that_needs_an_extra_says_which(install, capsys):
    """A missing client library is named, with the command that installs it."""
    install("a-queue", "queue_package", extra="a-queue", code="import its_client")
    assert cli.main(["transports"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith('  needs its_client: pip install "queue_package[a-queue]"')


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import its_client", "No module named 'its_client'"),
        ("1 / 0", "ZeroDivisionError('division by zero')"),
    ],
)
def test_a_broken_transport_does_not_hide_the_others(install, capsys, code, reason):
    """Whatever a module raises, the list goes on."""
    install("a-queue", "queue_package", code=code)
    assert cli.main(["transports"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.endswith(f"  cannot be imported: {reason}")
    assert any(line.startswith("memory://") for line in others)


def test_a_reader_that_has_seen_enough_is_no_error(monkeypatch):
    """`linkbus … | head -1` ends without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert cli.main(["transports"]) == 1
