"""A broker's process, that a test may kill and restart: on the same ports, with its data."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.brokers.programs import Unavailable

_GONE_WITHIN = 30.0
"""Seconds within which a process that was killed is gone, with its children."""


class BrokerProcess(ABC):
    """One broker process, its port and its data.

    Ports lie below the range from which the system takes those of outgoing connections: a
    client that keeps trying a port of that range while the broker is down can connect to
    itself, and then the broker cannot bind.

    Attributes:
        port: Where it listens; the same after a restart.
    """

    name: str

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # the system counts the end of the thread that made a process as the end of us
        self._spawner = ThreadPoolExecutor(1)
        self._lock = threading.RLock()
        (self.port,) = free_ports(1)

    @abstractmethod
    def prepare(self, home: Path) -> None:
        """Bring what the broker needs, and write its configuration, before its first start."""

    @abstractmethod
    def command(self, home: Path) -> Sequence[str]:
        """Return what is run."""

    def environment(self, home: Path) -> Mapping[str, str]:
        """Return what is added to the environment."""
        return {}

    def is_ready(self) -> bool:
        """Whether it serves; asked while the process runs."""
        return accepts(self.port)

    @property
    def home(self) -> Path:
        """The folder with all that is the broker's."""
        if self._folder is None:
            msg = "the broker was not started"
            raise RuntimeError(msg)
        return self._folder

    @property
    def log(self) -> str:
        """What the broker has written, to be shown beside a failed test."""
        return (self.home / "broker.log").read_text(errors="replace")

    def start(self, timeout: float = 60.0) -> None:
        """Start the process, unless it runs, and wait until it serves.

        Raises:
            Unavailable: It ended, or was not ready within `timeout` seconds.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start(timeout)

    def stop(self) -> None:
        """End the process as an operator would."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once, with SIGKILL."""
        self._signal(signal.SIGKILL)

    def wait_until_settled(self) -> None:  # noqa: B027 - most need none
        """Wait until the newest queue survives SIGKILL too."""

    def restart(self, *, at_once: bool = False) -> None:
        """Kill the process and start it again, on the same ports and data.

        Args:
            at_once: All queues have settled.
        """
        with self._lock:
            if not at_once:
                self.wait_until_settled()
            self.kill()
            self.start()

    def remove(self) -> None:
        """Kill the process and delete its data; nothing is left of it."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _start(self, timeout: float) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"linkbus-{self.name.lower()}-"))
            atexit.register(self.remove)
            self.prepare(self._folder)
        with (self.home / "broker.log").open("ab") as log:
            self._process = self._spawner.submit(
                subprocess.Popen,
                [*_until_we_die(), *self.command(self.home)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment(self.home)},
                start_new_session=True,
            ).result()
        self._wait_until_ready(time.monotonic() + timeout)  # what it needs is there by now

    def _wait_until_ready(self, deadline: float) -> None:
        process = self._process
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            if self.is_ready():
                return
            _pause()
        log = self.log[-3000:]
        self.kill()
        msg = f"{self.name} did not start:\n{log}"
        raise Unavailable(msg)

    def _signal(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process.pid, number)
        try:
            process.wait(_GONE_WITHIN)
        except subprocess.TimeoutExpired:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait(10)
        self._wait_for_children(process.pid)

    def _wait_for_children(self, group: int) -> None:
        """Wait for what outlives its leader: else a probe of the port reaches the dying one."""
        _signal_group(group, signal.SIGKILL)
        deadline = time.monotonic() + _GONE_WITHIN
        while _signal_group(group, 0):
            if time.monotonic() > deadline:
                msg = f"processes of {self.name} outlived SIGKILL by {_GONE_WITHIN:g} seconds"
                raise RuntimeError(msg)
            _pause()


def accepts(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses, below the range of outgoing connections.

    Raises:
        Unavailable: There are not so many.
    """
    taken: list[socket.socket] = []
    try:
        for _ in range(1000):
            candidate = socket.socket()
            taken.append(candidate)
            try:
                candidate.bind(("127.0.0.1", random.randrange(20_000, 32_000)))  # noqa: S311 - no secret
            except OSError:
                taken.pop().close()
            if len(taken) == count:
                return [one.getsockname()[1] for one in taken]
        msg = "no free port was found below the range of outgoing connections"
        raise Unavailable(msg)
    finally:
        for one in taken:
            one.close()


def _signal_group(group: int, number: int) -> bool:
    """Signal a process group; False when there is none any more."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _until_we_die() -> Sequence[str]:
    """Return what makes the system end the broker when this process is killed itself."""
    return ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()


def _pause() -> None:
    threading.Event().wait(0.05)
