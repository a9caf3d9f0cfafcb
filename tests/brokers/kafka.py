"""A Kafka broker of one node, in KRaft mode, that a test may kill and restart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.brokers.maven import jars
from tests.brokers.process import BrokerProcess, free_ports
from tests.brokers.programs import run

VERSION = "4.1.0"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{VERSION}",
    "org.slf4j:slf4j-simple:1.7.36",
)
USER, PASSWORD = "alice", "alice's secret"
"""Who may log in at `sasl_bootstrap`."""

_CLUSTER = "bGlua2J1cy1rYWZrYS10ZQ"
_JAVA = (
    "java",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl}
controller.listener.names=CONTROLLER
listener.security.protocol.map=\
PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={data}
auto.create.topics.enable=false
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=250
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
"""


class KafkaBroker(BrokerProcess):
    """One broker and controller.

    Args:
        properties: More lines for `server.properties`.
    """

    name = "Kafka"

    def __init__(self, properties: Sequence[str] = ()) -> None:
        super().__init__()
        self._more = tuple(properties)
        self._sasl_port, self._controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.sasl_bootstrap = f"127.0.0.1:{self._sasl_port}"

    def prepare(self, home: Path) -> None:
        """Write the properties and format the storage."""
        lines = _PROPERTIES.format(
            port=self.port,
            sasl=self._sasl_port,
            controller=self._controller,
            data=home / "data",
            user=USER,
            password=PASSWORD,
        )
        properties = home / "server.properties"
        properties.write_text("\n".join([lines, *self._more]))
        run([*_java(), "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(properties)])

    def command(self, home: Path) -> Sequence[str]:
        """Return the broker's own main class."""
        return [*_java(), "kafka.Kafka", str(home / "server.properties")]


def _java() -> Sequence[str]:
    return [*_JAVA, "-cp", str(jars(f"kafka-{VERSION}", COORDINATES) / "*")]
