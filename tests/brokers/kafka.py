"""A Kafka broker of one node, in KRaft mode, that a test may kill and restart."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.brokers.maven import Unavailable, jars

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


class KafkaBroker:
    """One broker process, its ports and its data.

    The ports stay the same over a restart. They lie below the range from which the
    system takes ports for outgoing connections: a client that keeps trying such a port
    while the broker is down can connect to itself, and then the broker cannot bind.

    Args:
        properties: More lines for `server.properties`.
    """

    def __init__(self, properties: Sequence[str] = ()) -> None:
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._more = tuple(properties)
        # the system counts the end of the thread that made a process as the end of us
        self._spawner = ThreadPoolExecutor(1)
        self._lock = threading.RLock()
        port, self._sasl_port, self._controller = _free_ports(3)
        self.port = port
        self.bootstrap = f"127.0.0.1:{port}"
        self.sasl_bootstrap = f"127.0.0.1:{self._sasl_port}"

    @property
    def log(self) -> str:
        """What the broker has written, to be shown beside a failed test."""
        return (self._home / "broker.log").read_text(errors="replace")

    def start(self, timeout: float = 60.0) -> None:
        """Start the process, unless it runs, and wait until it takes connections.

        Raises:
            Unavailable: It ended, or was not ready within `timeout` seconds.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start(time.monotonic() + timeout)

    def stop(self) -> None:
        """End the process as an operator would: it moves its groups and flushes its logs."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once, with SIGKILL."""
        self._signal(signal.SIGKILL)

    def restart(self) -> None:
        """Kill the process and start it again, on the same ports and data."""
        with self._lock:
            self.kill()
            self.start()

    def remove(self) -> None:
        """Kill the process and delete its data; nothing is left of it."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def _home(self) -> Path:
        if self._folder is None:
            msg = "the broker was not started"
            raise RuntimeError(msg)
        return self._folder

    @property
    def _properties(self) -> str:
        return str(self._home / "server.properties")

    def _start(self, deadline: float) -> None:
        classpath = str(jars(f"kafka-{VERSION}", COORDINATES) / "*")
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="linkbus-kafka-"))
            atexit.register(self.remove)
            self._format(classpath)
        with (self._home / "broker.log").open("ab") as log:
            self._process = self._spawner.submit(
                subprocess.Popen,
                [*_until_we_die(), *_JAVA, "-cp", classpath, "kafka.Kafka", self._properties],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ).result()
        self._wait_until_ready(deadline)

    def _format(self, classpath: str) -> None:
        lines = _PROPERTIES.format(
            port=self.port,
            sasl=self._sasl_port,
            controller=self._controller,
            data=self._home / "data",
            user=USER,
            password=PASSWORD,
        )
        Path(self._properties).write_text("\n".join([lines, *self._more]))
        tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", self._properties]
        done = subprocess.run(  # noqa: S603 - a fixed command
            [*_JAVA, "-cp", classpath, *tool], capture_output=True, text=True, check=False
        )
        if done.returncode:
            msg = f"the storage of Kafka could not be formatted:\n{done.stdout}{done.stderr}"
            raise Unavailable(msg)

    def _wait_until_ready(self, deadline: float) -> None:
        process = self._process
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            if _accepts(self.port):
                return
            threading.Event().wait(0.05)
        log = self.log[-3000:]
        self.kill()
        msg = f"Kafka {VERSION} did not start:\n{log}"
        raise Unavailable(msg)

    def _signal(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _until_we_die() -> Sequence[str]:
    """Return what makes the system kill the broker when this process is killed itself."""
    return ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _free_ports(count: int) -> list[int]:
    taken: list[socket.socket] = []
    try:
        for _ in range(1000):
            candidate = socket.socket()
            taken.append(candidate)
            try:
                candidate.bind(("127.0.0.1", random.randrange(20_000, 32_000)))  # noqa: S311 - no secret
            except OSError:
                taken.pop().close()
            if len(taken) == count:
                return [one.getsockname()[1] for one in taken]
        msg = "no free port was found below the range of outgoing connections"
        raise Unavailable(msg)
    finally:
        for one in taken:
            one.close()
