"""Who may import whom, and how large a module may be."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import linkbus

ROOT = Path(linkbus.__file__).parent
MAX_LINES = 400
FILES = sorted(ROOT.rglob("*.py"))

LAYERS = [
    "_version",
    "_errors",
    "_text",
    "_headers",
    "_message _own_header",
    "_seam",
    "abc",
    "_backoff _bell _cancelled _retry",
    "_tracing",
    "_delivery _outgoing",
    "_producer _buffer _leases _receiving _settling",
    "_dead_letter _keeping",
    "_subscription",
    "_batching _handling",
    "_workers",
    "_consumer",
    "_bus",
    "_redrive",
    "__init__",
]
"""The core, from below. A module imports from lower lines only; `_tracing` is one module."""

OUTSIDE = {"testing", "verify", "viewer", "cli", "_demo", "_redrive_progress"}
"""What stands on the public names only, like a stranger's program."""

CLIENTS = {
    "memory": {"anyio"},
    "kafka": {"aiokafka", "anyio"},
    "rabbitmq": {"aio_pika", "aiormq", "anyio", "pamqp", "yarl"},
    "sqs": {"aiobotocore", "aiohttp", "anyio", "botocore"},
}
"""What each transport may import that is not in the standard library."""

OPENTELEMETRY = {
    "baggage",
    "context",
    "metrics",
    "propagate",
    "trace",
}
"""What the core's tracing may import of OpenTelemetry: its API, never the SDK."""


def imports(path: Path, *, at_run_time: bool = False) -> Iterator[tuple[str, int]]:
    """Give the modules that a file imports, wherever in it, with the line.

    `from a import b` gives `a.b` too, for `b` may be a module.
    """
    tree = ast.parse(path.read_text())
    skipped = _only_for_types(tree) if at_run_time else set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def _only_for_types(tree: ast.Module) -> set[ast.AST]:
    """Return what is below `if TYPE_CHECKING`."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


def of_linkbus(name: str) -> list[str] | None:
    """Return the parts of a module of linkbus below it, None for any other module."""
    parts = name.split(".")
    return parts[1:] if parts[0] == "linkbus" else None


def layer_of(part: str) -> int | None:
    for number, line in enumerate(LAYERS):
        if part in line.split():
            return number
    return None


def core_files() -> list[Path]:
    return [
        path
        for path in FILES
        if path.relative_to(ROOT).parts[0] not in {*OUTSIDE, "transports"}
        and path.stem not in {*OUTSIDE, "sampling"}
    ]


def below(name: str) -> list[Path]:
    return [path for path in FILES if path.relative_to(ROOT).parts[0] in {name, f"{name}.py"}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_too_long(path: Path):
    """400 lines are the most; one idea a file."""
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_are_absolute(path: Path):
    """A relative import says nothing about layers."""
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"line {node.lineno}"


@pytest.mark.parametrize("path", core_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_imports_downwards_only(path: Path):
    """Each module knows those below it; names for types only do not count."""
    top = path.relative_to(ROOT).parts[0].removesuffix(".py")
    own = layer_of(top)
    assert own is not None, f"{top} has no layer: give it one in {__file__}"
    for name, line in imports(path, at_run_time=True):
        parts = of_linkbus(name)
        if not parts or parts[0] == top:
            continue
        other = layer_of(parts[0])
        if other is None:  # a name of the package, which only strangers import from
            assert name == "linkbus", f"line {line} imports {name}"
        else:
            assert other < own, f"line {line} imports {name}, which is not below {top}"


def test_the_core_does_not_import_its_own_front():
    """`linkbus` itself is imported by strangers, not by its parts."""
    for path in core_files():
        for name, line in imports(path, at_run_time=True):
            assert name != "linkbus", f"{path}:{line}"


def test_only_tracing_imports_opentelemetry():
    """In the core and in the transports; it takes the API, and never the SDK."""
    for path in FILES:
        relative = path.relative_to(ROOT)
        if relative.parts[0].removesuffix(".py") in {*OUTSIDE, "sampling"}:
            continue
        found = [(n.split("."), line) for n, line in imports(path) if n.startswith("opentelemetry")]
        assert not found or relative.parts[0] == "_tracing", f"{path}:{found[0][1]}"
        for parts, line in found:
            assert len(parts) == 1 or parts[1] in OPENTELEMETRY, f"{path}:{line} {parts}"


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_a_transport_knows_the_contract_and_its_client_only(name: str):
    """Its own package, what all transports share, `abc`, `_message`, `_errors`, the client."""
    allowed = CLIENTS[name] | set(sys.stdlib_module_names)
    files = [path for path in below("transports") if name in path.relative_to(ROOT).parts[1]]
    assert files
    for path in files:
        for imported, line in imports(path):
            where = f"{path}:{line} imports {imported}"
            parts = of_linkbus(imported)
            if parts is None:
                assert imported.split(".")[0] in allowed, where
            elif parts[0] == "transports":
                assert parts[1] == name or parts[1].startswith("_"), where
            else:
                assert parts[0] in {"abc", "_message", "_errors"}, where


def test_every_transport_is_looked_after():
    """A transport that is added is added to `CLIENTS`."""
    there = {
        path.name.removesuffix(".py")
        for path in (ROOT / "transports").iterdir()
        if not path.name.startswith("_")
    }
    assert there == set(CLIENTS)


def test_what_transports_share_knows_no_client():
    """A module beside the transports serves each of them: it stands on errors and `abc`."""
    for path in (ROOT / "transports").glob("_*.py"):
        for imported, line in imports(path):
            parts = of_linkbus(imported)
            where = f"{path}:{line} imports {imported}"
            if parts is None:
                assert imported.split(".")[0] in sys.stdlib_module_names, where
            else:
                assert parts[0] in {"abc", "_errors"}, where


@pytest.mark.parametrize("name", sorted(OUTSIDE))
def test_what_stands_outside_uses_public_names_only(name: str):
    """The kit, the command and the demonstration could be a stranger's."""
    for path in below(name):
        for imported, line in imports(path):
            parts = of_linkbus(imported)
            if not parts:
                continue
            ours = parts[0] in {name, *OUTSIDE}
            is_public = parts[0] in {*linkbus.__all__, "abc", "sampling", "transports"}
            assert ours or is_public, f"{path}:{line} imports {imported}"


def test_importing_linkbus_imports_no_client_and_no_sdk():
    """What happens to be installed changes nothing."""
    seen: set[Path] = set()
    for path in core_files():
        seen.add(path)
        for name, line in imports(path, at_run_time=True):
            top = name.split(".")[0]
            known = top in sys.stdlib_module_names or top in {"linkbus", "anyio", "opentelemetry"}
            assert known, f"{path}:{line} imports {name}"
    assert len(seen) > 20


def test_layers_are_named_once():
    """Each module of the core has one place, and each place has a module."""
    named = [part for line in LAYERS for part in line.split()]
    assert len(named) == len(set(named))
    for part in named:
        assert (ROOT / f"{part}.py").exists() or (ROOT / part).is_dir(), part
    assert all(layer_of(a.split()[0]) < layer_of(b.split()[0]) for a, b in pairwise(LAYERS))
