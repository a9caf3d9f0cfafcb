"""Every example prints what its docstring says, and the README's code runs."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import linkbus
from tests.brokers.fixtures import Kafka

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
KAFKA = "localhost:9092 orders"
"""What the commands say where a test has its own broker and topic."""


def told(example: Path) -> tuple[str, str]:
    """Return the command and the output in the docstring of an example."""
    text = ast.get_docstring(ast.parse(example.read_text())) or ""
    found = re.search(r"^Run\b.*?\n\n    (python .*?)\n\nOutput:\n\n(.*)", text, re.M | re.S)
    assert found, f"{example.name} has no command and output in its docstring"
    output = [line.removeprefix("    ") for line in found[2].splitlines()]
    return found[1], "\n".join(output).strip()


def printed(arguments: list[str]) -> str:
    """Return what Python prints for these arguments, and check that it ends well."""
    done = subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "example", [one for one in EXAMPLES if KAFKA not in told(one)[0]], ids=lambda one: one.stem
)
def test_an_example_prints_what_its_docstring_says(example):
    """The command in the docstring prints the output in the docstring."""
    command, output = told(example)
    assert printed(shlex.split(command)[1:]) == output


@pytest.mark.broker
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "example", [one for one in EXAMPLES if KAFKA in told(one)[0]], ids=lambda one: one.stem
)
def test_an_example_on_kafka_prints_what_its_docstring_says(example, kafka: Kafka):
    """The same, on a broker and a topic of the test's own."""
    command, output = told(example)
    command = command.replace(KAFKA, f"{kafka.bootstrap} {kafka.create_topic()}")
    assert printed(shlex.split(command)[1:]) == output


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.stem)
def test_the_command_of_an_example_names_it(example):
    """Nobody is told to run another file, and the numbers are those of the files."""
    command, _ = told(example)
    assert shlex.split(command)[:2] == ["python", f"examples/{example.name}"]


def blocks() -> list[tuple[int, str, str, str]]:
    """Return the README's Python: its line, how it is marked, the code and the output below."""
    text = (ROOT / "README.md").read_text()
    pattern = r"(?:<!-- (\w+) -->\n)?```python\n(.*?)```(?:\n\nprints\n\n```text\n(.*?)```)?"
    return [
        (text[: one.start(2)].count("\n") + 1, one[1] or "fragment", one[2], one[3] or "")
        for one in re.finditer(pattern, text, re.S)
    ]


def test_the_readmes_programs_print_what_it_says():
    """A whole program prints what stands below it."""
    programs = [(code, output) for _, kind, code, output in blocks() if kind == "program"]
    assert programs
    for code, output in programs:
        assert printed(["-c", code]) == output.strip()


async def test_the_readmes_fragments_run_one_after_the_other(capsys):
    """A fragment runs in an open bus, with the names of those before it."""
    async with linkbus.connect("memory://") as bus:
        names: dict[str, object] = {"bus": bus, "linkbus": linkbus}
        for line, kind, code, _ in blocks():
            where = f"README.md, line {line}"
            compiled = compile(code, where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if kind == "fragment":
                running = FunctionType(compiled, names)()
                if running is not None:
                    await running
    assert "orders" in capsys.readouterr().out


def test_the_readmes_links_lead_to_files():
    """Every relative link of the Markdown files leads somewhere in this folder."""
    for page in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (ROOT / target).exists(), f"{page.name} links to {target}"
