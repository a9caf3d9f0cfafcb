"""Programs that brokers need, installed where this may be done."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_PACKAGES = {
    "java": "default-jre-headless",
    "mvn": "maven",
    "rabbitmq-server": "rabbitmq-server",
}

_LOCK = Path(tempfile.gettempdir(), "linkbus-tests-install.lock")


class Unavailable(Exception):  # noqa: N818 - a state of this machine, not a fault
    """What a broker needs is not on this machine and could not be brought here."""


def require(program: str) -> None:
    """Make sure that a program exists; install it when this is root on a Debian.

    Many may ask at once: one installs, the others wait.

    Raises:
        Unavailable: It is missing; the message says what to install.
    """
    if shutil.which(program):
        return
    package = _PACKAGES[program]
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shutil.which(program) and os.geteuid() == 0 and shutil.which("apt-get"):
            run(["apt-get", "update", "-qq"])
            run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package])
    if not shutil.which(program):
        msg = f"`{program}` is missing: install it (on Debian: apt-get install {package})"
        raise Unavailable(msg)


def run(command: Sequence[str]) -> str:
    """Run a command to its end, and return what it printed.

    Raises:
        Unavailable: It failed; the message has the end of what it printed.
    """
    done = subprocess.run(  # noqa: S603 - fixed commands of the tests
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # no service is started by its package, and nothing is asked
        env={**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"},
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        msg = f"`{' '.join(command)}` failed:\n{done.stdout[-2000:]}"
        raise Unavailable(msg)
    return done.stdout
