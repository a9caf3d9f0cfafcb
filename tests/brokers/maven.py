"""Java programs for tests: their jars, fetched once from Maven Central into a cache folder."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.brokers.programs import require, run

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>{name}</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{dependencies}</dependencies></project>
"""
_DEPENDENCY = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
)


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


def _fetch(name: str, coordinates: Sequence[str], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{name}.") as folder:
        pom = Path(folder, "pom.xml")
        dependencies = "".join([_DEPENDENCY.format(*it.split(":")) for it in coordinates])
        pom.write_text(_POM.format(name=name, dependencies=dependencies))
        fetched = Path(folder, "jars")
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
        run(["mvn", "-q", "-B", "-f", str(pom), goal, f"-DoutputDirectory={fetched}"])
        fetched.rename(target)


def _cache() -> Path:
    given = os.environ.get("LINKBUS_TEST_CACHE")
    return Path(given) if given else Path(__file__).parents[2] / ".cache"


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
