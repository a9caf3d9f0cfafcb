"""What the numbers depend on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.pinning import Cores

_PACKAGES = (
    "linkbus",
    "anyio",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "aiokafka",
    "aio-pika",
    "aiobotocore",
    "faststream",
    "taskiq",
    "taskiq-aio-pika",
    "dramatiq",
)


def circumstances(cores: Cores) -> dict[str, str]:
    """Return versions, machine, commit, and how the machine was shared."""
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    if _git("status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    return {
        "commit": commit,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()}",
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "pinning": cores.told,
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands
            ["git", *command],  # noqa: S607 - whichever git is there
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parent,
        )
    except OSError:
        return ""
    return done.stdout.strip()
