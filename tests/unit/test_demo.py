"""The demonstration: what it prints, in colour and without."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from linkbus import _demo, cli

TRACES = """\
  A  POST /order     SERVER
       send orders   PRODUCER
  B  POST /order     SERVER
       send orders   PRODUCER
  C  POST /order     SERVER
       send orders   PRODUCER
  D  process orders  CONSUMER  ⇢ A/send orders
       charge card   INTERNAL
  E  process orders  CONSUMER  ⇢ B/send orders
       charge card   INTERNAL
  F  process orders  CONSUMER  ⇢ C/send orders
       charge card   INTERNAL
  G  nightly report  INTERNAL  ⇢ A/POST /order  ⇢ B/POST /order  ⇢ C/POST /order
"""


async def shown(*, color: bool = False, width: int = 100) -> str:
    written: list[str] = []
    assert await _demo.show(written.append, color=color, width=width)
    return "".join(written)


async def test_it_tells_what_happens_and_shows_the_traces():
    """Three orders are published, billed and reported on, and each link is there."""
    text = await shown()
    assert TRACES in text
    assert text.count("publishes order") == text.count("bills order") == len(_demo.ORDERS)
    assert text == await shown(), "it is the same each time"


async def test_colours_change_nothing_but_colours():
    """Without its escape sequences the coloured text is the plain one."""
    colored = await shown(color=True)
    assert "\x1b[" in colored
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == await shown()


async def test_it_fits_a_terminal_of_eighty_columns():
    """No line is wider than the terminal, and all of it is seen without scrolling."""
    lines = (await shown(width=80)).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 40


def test_it_says_why_there_is_nothing_to_see():
    """With OpenTelemetry switched off it runs all the same, and says so."""
    done = subprocess.run(
        [sys.executable, "-c", "from linkbus import cli; raise SystemExit(cli.main(['demo']))"],
        env={**os.environ, "OTEL_SDK_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert done.returncode == cli.FAILED
    assert "bills order 19" in done.stdout
    assert "is OTEL_SDK_DISABLED set?" in done.stdout
