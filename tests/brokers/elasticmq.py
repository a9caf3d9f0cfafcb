"""ElasticMQ, a server that speaks SQS, keeps its queues, and may be killed and restarted."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen
from uuid import uuid4

from tests.brokers.maven import jars
from tests.brokers.process import BrokerProcess

VERSION = "1.6.14"
COORDINATES = (f"org.elasticmq:elasticmq-server_2.13:{VERSION}",)

_STORED = 0.5
"""Seconds after which a queue survives SIGKILL: it is stored after the answer."""
_CONFIGURATION = """
include classpath("application.conf")
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = "127.0.0.1", sqs-limits = strict }}
rest-stats.enabled = false
messages-storage {{ enabled = {kept}, uri = {messages}, prune-data-on-init = false }}
"""


class ElasticMQ(BrokerProcess):
    """One server.

    What it stores it reads while its queues change, which at times fails, and then its
    next answer takes 5 seconds. So only a server that is to be killed stores anything.

    Args:
        keeps: It has its queues and messages in files, and again after a restart.

    Attributes:
        endpoint: Its URL. Any region and any credentials will do.
    """

    name = "ElasticMQ"

    def __init__(self, *, keeps: bool = True) -> None:
        super().__init__()
        self._keeps = keeps
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._settled = 0

    def prepare(self, home: Path) -> None:
        """Write the configuration: the limits of SQS, and storage that each write reaches."""
        written = _CONFIGURATION.format(
            port=self.port,
            kept=json.dumps(self._keeps),
            messages=json.dumps(f"jdbc:h2:{home / 'messages'};WRITE_DELAY=0"),
        )
        (home / "elasticmq.conf").write_text(written)

    def command(self, home: Path) -> Sequence[str]:
        """Return the server's main class."""
        classpath = str(jars(f"elasticmq-{VERSION}", COORDINATES) / "*")
        options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        configuration = f"-Dconfig.file={home / 'elasticmq.conf'}"
        return ["java", *options, configuration, "-cp", classpath, "org.elasticmq.server.Main"]

    def is_ready(self) -> bool:
        """Whether it has its queues again: it answers before it has read them."""
        try:
            return self._count_queues() >= self._settled
        except (URLError, OSError):
            return False

    def wait_until_settled(self) -> None:
        """Wait until the newest queue is stored."""
        self._settled = self._count_queues()
        time.sleep(_STORED)  # nothing tells when it is

    def _count_queues(self) -> int:
        return asked(self.endpoint, "ListQueues").count("<QueueUrl>")


def create_queue(
    endpoint: str, *, fifo: bool = False, attributes: Mapping[str, str] | None = None
) -> str:
    """Create a queue and return its name."""
    name = f"queue-{uuid4().hex[:12]}" + (".fifo" if fifo else "")
    given = {**(attributes or {}), **({"FifoQueue": "true"} if fifo else {})}
    numbered = {"QueueName": name}
    for number, (key, value) in enumerate(given.items(), 1):
        numbered |= {f"Attribute.{number}.Name": key, f"Attribute.{number}.Value": value}
    asked(endpoint, "CreateQueue", numbered)
    return name


def asked(endpoint: str, action: str, fields: Mapping[str, str] | None = None) -> str:
    """Ask a server something in the plain way of SQS, unsigned, and return its answer."""
    query = urlencode({"Action": action, **(fields or {})})
    with urlopen(f"{endpoint}/?{query}", timeout=5) as answer:  # noqa: S310 - http, of our own
        return str(answer.read(), "utf-8")
