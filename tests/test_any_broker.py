"""One program makes the same traces on every broker, but for what is the broker's own."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from linkbus.testing import SpanRecorder
from tests.brokers.fixtures import SQS, Kafka, RabbitMQ

PROGRAM = Path(__file__).parents[1] / "examples" / "07_any_broker.py"
MAIN: Callable[..., Awaitable[None]] = runpy.run_path(str(PROGRAM))["main"]

OWN = re.compile(
    r"(messaging\.(system|client\.id|kafka[\w.]*|rabbitmq[\w.]*|destination\.partition\.id"
    r"|destination\.(name|template))"
    r"|server\.(address|port)|aws\.[\w.]*)(=[^,}]*)?(, )?"
)
"""What a broker says of itself."""


@pytest.fixture
def places(
    kafka: Kafka, rabbitmq: RabbitMQ, sqs: SQS, monkeypatch: pytest.MonkeyPatch
) -> dict[str, tuple[str, str]]:
    """Return the URL of each broker, and a destination there that is new."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    address = sqs.endpoint.removeprefix("http://")
    return {
        "memory": ("memory://", "orders"),
        "kafka": (f"kafka://{kafka.bootstrap}", kafka.create_topic()),
        "rabbitmq": (rabbitmq.url, f"orders-{uuid4()}"),
        "sqs": (f"sqs://{address}?region_name=elasticmq", sqs.create_queue()),
    }


@pytest.mark.broker
@pytest.mark.timeout(120)
def test_one_program_prints_the_same_on_four_brokers(places: dict[str, tuple[str, str]]):
    """Unchanged, as a user runs it: the keys, the header, the bodies and the trees."""
    outputs = {}
    for broker, (url, name) in places.items():
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, str(PROGRAM), url, name],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, f"{broker}: {done.stderr}"
        outputs[broker] = done.stdout.replace(name, "orders").split()
    for broker, output in outputs.items():
        assert output == outputs["memory"], broker


@pytest.mark.broker
@pytest.mark.timeout(120)
async def test_all_attributes_are_the_same_but_the_brokers_own(places: dict[str, tuple[str, str]]):
    """Every attribute of every span and link, by name and value; ids and times by name."""
    trees = {}
    for broker, (url, name) in places.items():
        with SpanRecorder() as spans:
            await MAIN(url, name)
        printed = spans.tree(attributes=("*",), link_attributes=("*",), width=10_000)
        trees[broker] = OWN.sub("", printed.replace(name, "orders")).replace(", }", "}").split()
        assert f"messaging.system={'aws_sqs' if broker == 'sqs' else broker}" in printed
    for broker, tree in trees.items():
        assert tree == trees["memory"], broker
