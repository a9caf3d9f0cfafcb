"""Fixtures with real brokers; load this module as a pytest plugin.

Brokers are started when the tests are collected and some of them need one: not within a
test, whose time is limited, and once for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.brokers.kafka import KafkaBroker
from tests.brokers.maven import Unavailable
from tests.brokers.topics import create_topic

GIVEN = "LINKBUS_TEST_KAFKA"
"""Names a running broker, `host:port`, to use instead."""
REQUIRED = "LINKBUS_REQUIRE_BROKERS"
"""With "1", a broker that cannot be started fails the tests that need it."""

_FIXTURES = ("kafka", "kafka_to_kill")

Brokers = dict[str, KafkaBroker | Unavailable]
_BROKERS = pytest.StashKey[Brokers]()


class Kafka:
    """A Kafka to test against.

    Attributes:
        bootstrap: `host:port`.
        broker: The process, unless the broker was given by name.
    """

    def __init__(self, bootstrap: str, broker: KafkaBroker | None = None) -> None:
        self.bootstrap = bootstrap
        self.broker = broker

    def create_topic(self, *, partitions: int = 1, config: dict[str, str] | None = None) -> str:
        """Return a new topic that can be used at once."""
        return create_topic(self.bootstrap, partitions=partitions, config=config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the brokers that the collected tests need."""
    brokers = session.config.stash.setdefault(_BROKERS, {})
    if session.config.option.collectonly or os.environ.get(GIVEN):
        return
    asked = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    for name in asked.intersection(_FIXTURES):
        brokers[name] = _started()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove every broker, after an interruption too."""
    for broker in config.stash.get(_BROKERS, {}).values():
        if isinstance(broker, KafkaBroker):
            broker.remove()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the brokers wrote during a test that failed."""
    report = yield
    if report.when == "call" and report.failed:
        for name, broker in item.config.stash.get(_BROKERS, {}).items():
            if name in getattr(item, "fixturenames", ()) and isinstance(broker, KafkaBroker):
                report.sections.append((f"log of {name}", broker.log[-4000:]))
    return report


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Kafka:
    """Return a Kafka that all tests share: they use topics and groups of their own."""
    given = os.environ.get(GIVEN)
    if given:
        return Kafka(given)
    broker = _started_before(request.config, "kafka")
    return Kafka(broker.bootstrap, broker)


@pytest.fixture
def kafka_to_kill(request: pytest.FixtureRequest) -> KafkaBroker:
    """Return a broker, running, that the test may kill and restart."""
    if os.environ.get(GIVEN):
        pytest.skip(f"{GIVEN} names a broker that is not ours to kill")
    broker = _started_before(request.config, "kafka_to_kill")
    broker.start()
    return broker


def _started() -> KafkaBroker | Unavailable:
    broker = KafkaBroker()
    try:
        broker.start()
    except Unavailable as reason:
        return reason
    return broker


def _started_before(config: pytest.Config, name: str) -> KafkaBroker:
    broker = config.stash[_BROKERS][name]
    if isinstance(broker, KafkaBroker):
        return broker
    give_up: Callable[[str], None] = pytest.skip
    if os.environ.get(REQUIRED) == "1":
        give_up = pytest.fail
    give_up(f"no Kafka: {broker}")
    raise broker
