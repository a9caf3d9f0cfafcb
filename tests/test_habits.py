"""Habits that no linter checks: tests say what they test, and nothing sleeps."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PROJECT = TESTS.parent
TEST_FILES = sorted(TESTS.rglob("test_*.py"))
SHAPELESS = {"utils", "util", "helpers", "helper", "common", "base", "types", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def cases_of(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function) and node.name.startswith("test_"):
            yield node


def is_one_sentence(text: str) -> bool:
    """Whether a docstring is one paragraph that ends once."""
    plain = re.sub(r"`[^`]*`", "", " ".join(text.split()))
    return "\n\n" not in text and plain.endswith(".") and not re.search(r"[.!?] [A-Z]", plain)


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_every_test_says_what_it_tests(path: Path):
    """A docstring of one sentence, for each function whose name begins with `test_`."""
    for test in cases_of(path):
        docstring = ast.get_docstring(test) or ""
        assert is_one_sentence(docstring), f"{test.name}, line {test.lineno}: {docstring!r}"


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_sleeps(path: Path):
    """`sleep(0)` is none; where no event would do, the reason stands beside the call."""
    lines = path.read_text().splitlines()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "sleep":
            is_none = ast.unparse(node).endswith("sleep(0)")
            assert is_none or "  # " in lines[node.lineno - 1], f"line {node.lineno}"


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_mocks(path: Path):
    """The memory transport and the scripted one are real; a mock proves itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"mock", "unittest", "unittest.mock", "Mock", "AsyncMock"}


def test_files_are_named_for_their_subject():
    """No module of a kind: what it is about is its name."""
    folders = [PROJECT / name for name in ("linkbus", "tests", "benchmarks", "examples")]
    found = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(found) > 50
    for path in found:
        words = {part.strip("_") for part in path.relative_to(PROJECT).with_suffix("").parts}
        assert not words & SHAPELESS, path


@pytest.mark.parametrize(
    ("docstring", "is_one"),
    [
        ("It works.", True),
        ("`a.B` and 1.5 s: it works, as\n    it should.", True),
        ("It works", False),
        ("", False),
        ("It works. It does more.", False),
        ("It works.\n\nAnd more.", False),
    ],
)
def test_one_sentence_is_recognized(docstring: str, is_one: bool):
    """The rule is neither too strict nor too mild."""
    assert is_one_sentence(docstring) is is_one
