"""Java programs for tests: their jars, fetched once from Maven Central into a cache folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PACKAGES = {"java": "default-jre-headless", "mvn": "maven"}
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>{name}</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{dependencies}</dependencies></project>
"""
_DEPENDENCY = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
)


class Unavailable(Exception):  # noqa: N818 - a state of this machine, not a fault
    """What a broker needs is not on this machine and could not be brought here."""


def jars(name: str, coordinates: Sequence[str]) -> Path:
    """Return a folder with the jars of `coordinates` and all they depend on.

    Two processes may ask at once: one fetches, the other waits. A fetch that was
    interrupted leaves nothing behind that would be taken for a result.

    Args:
        name: What the folder is called; change it with the versions.
        coordinates: `group:artifact:version`, each.

    Raises:
        Unavailable: Java or Maven is missing and cannot be installed, or the fetch failed.
    """
    cache = _cache()
    target = cache / name
    require("java")
    if target.is_dir():
        return target
    require("mvn")
    cache.mkdir(parents=True, exist_ok=True)
    with _only_one(cache / f"{name}.lock"):
        if not target.is_dir():
            _fetch(name, coordinates, target)
    return target


def require(program: str) -> None:
    """Make sure that a program exists; install it when this is root on a Debian.

    Raises:
        Unavailable: It is missing; the message says what to install.
    """
    if shutil.which(program):
        return
    package = _PACKAGES[program]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _run(["apt-get", "update", "-qq"])
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package])
    if not shutil.which(program):
        msg = f"`{program}` is missing: install it (on Debian: apt-get install {package})"
        raise Unavailable(msg)


def _fetch(name: str, coordinates: Sequence[str], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{name}.") as folder:
        pom = Path(folder, "pom.xml")
        dependencies = "".join([_DEPENDENCY.format(*it.split(":")) for it in coordinates])
        pom.write_text(_POM.format(name=name, dependencies=dependencies))
        fetched = Path(folder, "jars")
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
        _run(["mvn", "-q", "-B", "-f", str(pom), goal, f"-DoutputDirectory={fetched}"])
        fetched.rename(target)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(  # noqa: S603 - fixed commands of this file
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        msg = f"`{' '.join(command)}` failed:\n{done.stdout[-2000:]}"
        raise Unavailable(msg)


def _cache() -> Path:
    given = os.environ.get("LINKBUS_TEST_CACHE")
    return Path(given) if given else Path(__file__).parents[2] / ".cache"


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
