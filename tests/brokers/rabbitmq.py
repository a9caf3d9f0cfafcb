"""A RabbitMQ node that a test may kill and restart, with a name and ports of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.brokers.process import BrokerProcess, free_ports
from tests.brokers.programs import Unavailable, require

_INSTALLED = Path("/usr/lib/rabbitmq/lib")
"""Where Debian has the scripts themselves; those in /usr/sbin change the user and the folders."""
_ERLANG = "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}"
"""Two schedulers are enough, and other nodes need not reach this one."""
_SETTLED = 6.0
"""Seconds after which a quorum queue survives SIGKILL on RabbitMQ 3.10.

One that was declared within about a second before it comes back without its Ra server:
it is listed, and publishing to it hangs, then fails.
"""
_RUN = """
trap 'kill -9 0' TERM
epmd -address 127.0.0.1 &
until epmd -names >/dev/null 2>&1; do sleep 0.05; done
"$1" & wait
"""
"""Runs the node beside a port mapper of its own, which the node would leave behind otherwise."""


class RabbitMQBroker(BrokerProcess):
    """One node.

    Args:
        settings: Lines of `rabbitmq.conf`.

    Attributes:
        url: Its URL, with credentials.
    """

    name = "RabbitMQ"

    def __init__(self, settings: Sequence[str] = ()) -> None:
        super().__init__()
        self._settings = tuple(settings)
        self._distribution, self._mapper = free_ports(2)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def prepare(self, home: Path) -> None:
        """Write the configuration: it listens on the loopback only, and has no plugins."""
        require("rabbitmq-server")
        lines = [f"listeners.tcp.1 = 127.0.0.1:{self.port}", "log.console = true", *self._settings]
        (home / "rabbitmq.conf").write_text("\n".join([*lines, ""]))
        (home / "enabled_plugins").write_text("[].\n")

    def command(self, home: Path) -> Sequence[str]:
        """Return a shell, the leader of the group that the node belongs to."""
        return ["sh", "-c", _RUN, "rabbitmq", _script("rabbitmq-server")]

    def environment(self, home: Path) -> Mapping[str, str]:
        """Return the node's name, ports and folders."""
        return {
            "HOME": str(home),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper),
            "RABBITMQ_NODENAME": f"linkbus-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_CONF_ENV_FILE": str(home / "none"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
        }

    def is_ready(self) -> bool:
        """Whether the node has started all of it, its queues too."""
        return super().is_ready() and self._answers("await_startup", "--timeout", "30")

    def wait_until_settled(self) -> None:
        """Wait until the newest quorum queue has settled."""
        time.sleep(_SETTLED)  # nothing tells when it has

    def control(self, *command: str) -> str:
        """Run a command of `rabbitmqctl` on the node, and return what it printed."""
        done = self._run_control(command)
        done.check_returncode()
        return done.stdout

    def _answers(self, *command: str) -> bool:
        return self._run_control(command).returncode == 0

    def _run_control(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - fixed commands of the tests
            [_script("rabbitmqctl"), "--quiet", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **self.environment(self.home)},
            text=True,
            timeout=60,
            check=False,
        )


def _script(name: str) -> str:
    for folder in sorted(_INSTALLED.glob("rabbitmq_server-*/sbin"), reverse=True):
        return str(folder / name)
    found = shutil.which(name)
    if found is None:
        msg = f"`{name}` is missing: install RabbitMQ"
        raise Unavailable(msg)
    return found
