"""The command: what it measures, prints, writes and refuses."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from measured_rows import row

from benchmarks.__main__ import main
from benchmarks.budgets import NO_SDK
from benchmarks.pinning import cores, shared_out
from benchmarks.plan import planned
from benchmarks.progress import Lines

PROJECT = Path(__file__).parents[2]


def options(**given: object) -> Namespace:
    usual = {
        "transport": ["memory"],
        "peers": [],
        "size": [100, 1000],
        "senders": [100, 1],
        "batch": [10, 100],
        "rounds": 0,
        "messages": 0,
    }
    return Namespace(**{**usual, **given})


def test_one_thing_varies_at_a_time():
    """Every contender runs at the usual work, the basic ones where size or senders differ."""
    items = planned(["send"], options())
    assert [(it.work.size, it.work.senders) for it in items] == [(100, 100), (1000, 100), (100, 1)]
    assert [it.is_usual for it in items] == [True, False, False]
    assert len(items[0].peers) > len(items[1].peers) > 3


def test_batches_have_enough_messages():
    """At least four of each size, all of them full, by contenders that have batches."""
    items = planned(["batch"], options(messages=100))
    assert [(it.work.batch, it.work.messages) for it in items] == [(10, 100), (100, 400)]
    assert planned(["batch"], options(messages=117))[0].work.messages == 110
    assert all(peer.batches for it in items for peer in it.peers)


def test_links_need_four_contenders():
    """What links cost is a difference of differences."""
    items = planned(["links"], options())
    assert all(len(it.peers) == 4 for it in items)


def test_a_peer_is_named_by_its_beginning():
    """`linkbus` is all of its modes; a peer that is not there is refused."""
    (item, *_) = planned(["send"], options(peers=["linkbus"]))
    assert len(item.peers) == 5
    with pytest.raises(LookupError, match="no contender"):
        planned(["send"], options(peers=["nobody"]))


def test_cores_are_shared_out():
    """The last one is for workers; a machine with one is not pinned, and says so."""
    assert shared_out({0, 1, 2})[:2] == ({2}, {0, 1})
    assert shared_out({0, 1, 2}).everything == {0, 1, 2}
    assert shared_out({0})[:2] == (None, None)
    assert shared_out({0}).everything is None
    assert "not pinned" in shared_out({0}).told
    assert cores().told


def test_without_a_terminal_there_is_a_line_for_each_round():
    """It says how far it is, and what is void."""
    to = io.StringIO()
    with Lines(2, to) as lines:
        lines.step("kafka: raw", None)
        lines.step("kafka: by hand", "a message was lost")
    assert to.getvalue().splitlines() == [
        "[1/2] kafka: raw",
        "[2/2] kafka: by hand (void: a message was lost)",
    ]


def test_two_contenders_from_end_to_end(tmp_path: Path):
    """The table is printed, and the file has rows, budgets and what they depend on."""
    file = tmp_path / "result.json"
    command = "roundtrip --transport memory --size 100 --senders 5 --messages 100 --rounds 2"
    peers = f"raw,{NO_SDK}"
    done = subprocess.run(  # noqa: S603 - this project, in this interpreter
        [sys.executable, "-m", "benchmarks", *command.split(), "--peers", peers, "--json", file],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=True,
        timeout=15,
    )
    assert "memory, roundtrip, 100 B, 5 senders, 100 messages a round" in done.stdout
    assert "send to handled, no SDK" in done.stdout
    assert "[8/8] memory memory held" in done.stderr
    data = json.loads(file.read_text())
    assert [it["contender"] for it in data["rows"]] == ["raw", NO_SDK]
    assert len(data["rows"][0]["send"]["rounds_wall_us"]) == 2
    assert data["budgets"][0]["limit"] == 25.0
    assert {"commit", "machine", "pinning", "python"} <= data["circumstances"].keys()


def test_an_interruption_loses_nothing_that_is_complete():
    """What was measured at the first size is printed, and no process is left."""
    command = "roundtrip --transport memory --peers raw --size 100,200 --senders 5 --rounds 500"
    with subprocess.Popen(  # noqa: S603 - this project, in this interpreter
        [sys.executable, "-m", "benchmarks", *command.split(), "--messages", "50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "200 B" in line:
                break
        running.send_signal(signal.SIGINT)
        printed, said = running.communicate(timeout=15)
    assert running.returncode == 130
    assert "interrupted" in said
    assert "memory, roundtrip, 100 B" in printed
    assert "memory, roundtrip, 200 B" not in printed


def test_what_it_does_not_know_is_refused(capsys: pytest.CaptureFixture[str]):
    """A transport, a part and a peer that are not there end it before anything is started."""
    for arguments, said in (
        (["--transport", "pigeon"], "no transport pigeon"),
        (["sned"], "no part sned"),
        (["send", "--peers", "nobody"], "no contender"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
        assert said in capsys.readouterr().err


def written(path: Path, ours: list[float], others: float = 20.0) -> str:
    told = {"commit": "abc", "machine": "m", "pinning": "p"}
    rows = [row("linkbus recording", ours), row("raw", [others] * len(ours))]
    path.write_text(json.dumps({"circumstances": told, "rows": [it.as_json() for it in rows]}))
    return str(path)


@pytest.mark.parametrize(
    ("new", "others", "status"),
    [
        ([13.0, 13.1, 13.2], 20.0, 1),
        ([10.2, 10.3, 10.4], 20.0, 0),
        ([5.0, 13.0, 20.0], 20.0, 0),
        ([5.0], 20.0, 0),
        ([20.0, 20.1, 20.2], 40.0, 0),
        ([10.0, 10.1, 10.2], 10.0, 1),
    ],
    ids=[
        "slower",
        "within the threshold",
        "within the spread",
        "faster",
        "on a slower machine",
        "on a quicker machine, and slower",
    ],
)
def test_what_became_slower_is_found(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    new: list[float],
    others: float,
    status: int,
):
    """By what the others took, beyond the threshold and in most rounds, and only then."""
    old = written(tmp_path / "old.json", [10.0, 10.1, 10.2])
    new_path = written(tmp_path / "new.json", new, others)
    assert main(["compare", "--rows", old, new_path]) == status
    printed = capsys.readouterr().out
    assert ("SLOWER" in printed) == bool(status)
    assert "memory linkbus recording 100 B senders=100 send" in printed


def test_without_others_the_clock_alone_counts(tmp_path: Path):
    """A result of linkbus by itself can be compared all the same."""
    told = {"commit": "abc", "machine": "m", "pinning": "p"}
    paths = []
    for name, wall in (("old", 10.0), ("new", 13.0)):
        rows = [row("linkbus recording", [wall] * 3).as_json()]
        paths.append(tmp_path / name)
        paths[-1].write_text(json.dumps({"circumstances": told, "rows": rows}))
    assert main(["compare", *map(str, paths)]) == 1
    assert main(["compare", *map(str, reversed(paths))]) == 0
