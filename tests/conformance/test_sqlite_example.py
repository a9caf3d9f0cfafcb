"""The example of a transport of one's own keeps the contract, and what it confirms lasts."""

import importlib.util
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import anyio
import pytest

from linkbus import ConnectError
from linkbus.abc import Transport
from linkbus.testing import TransportConformance, TransportHarness

EXAMPLE = Path(__file__).parents[2] / "examples" / "05_your_own_transport.py"
spec = importlib.util.spec_from_file_location("your_own_transport", EXAMPLE)
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


class SQLiteHarness(TransportHarness):
    """One file for all transports; there is no broker beside it that could be restarted."""

    quiet = 0.1

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = count()

    def transport(self) -> Transport:
        return example.SQLiteTransport(str(self._path), lease=1.0)

    def new_destination(self) -> str:
        return f"queue-{next(self._numbers)}"


class TestSQLite(TransportConformance):
    @pytest.fixture(autouse=True)
    def _queue(self, tmp_path):
        """Give each check a file of its own."""
        self.harness = SQLiteHarness(tmp_path / "queue.db")


SEND_AND_DIE = """
import os, runpy, signal, sys
import anyio
from linkbus.abc import Envelope

async def main():
    transport = runpy.run_path(sys.argv[1])["SQLiteTransport"](sys.argv[2])
    await transport.open()
    await transport.send("orders", [Envelope("7", b"confirmed")])
    os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""


def test_what_is_confirmed_survives_the_death_of_its_process(tmp_path):
    """A message is in the file when `send` returns, though nothing was closed after it."""
    path = str(tmp_path / "queue.db")
    child = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", SEND_AND_DIE, str(EXAMPLE), path], timeout=15, check=False
    )
    assert child.returncode == -signal.SIGKILL

    async def receive() -> list[bytes]:
        transport = example.SQLiteTransport(path)
        await transport.open()
        receiver = await transport.subscribe("orders", "g", prefetch=1, lost=lambda *_: None)
        bodies = [arrival.body for arrival in await receiver.receive(10, 0)]
        await receiver.aclose()
        await transport.aclose()
        return bodies

    assert anyio.run(receive) == [b"confirmed"]


def test_a_file_that_cannot_be_opened_is_a_connect_error(tmp_path):
    """Opening fails with linkbus's error, and SQLite's is its cause."""
    transport = example.SQLiteTransport(str(tmp_path / "no such folder" / "queue.db"))
    with pytest.raises(ConnectError) as caught:
        anyio.run(transport.open)
    assert type(caught.value.__cause__).__module__ == "sqlite3"
