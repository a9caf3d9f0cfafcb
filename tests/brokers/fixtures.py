"""Fixtures with real brokers; load this module as a pytest plugin.

Brokers are started when the tests are collected and some of them need one: not within a
test, whose time is limited, and once for all of them. Each kind has two: one that tests
share, and one that tests may kill.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest

from tests.brokers.elasticmq import ElasticMQ, create_queue
from tests.brokers.kafka import KafkaBroker
from tests.brokers.process import BrokerProcess
from tests.brokers.programs import Unavailable
from tests.brokers.rabbitmq import RabbitMQBroker
from tests.brokers.topics import create_topic

REQUIRED = "LINKBUS_REQUIRE_BROKERS"
"""With "1", a broker that cannot be started fails the tests that need it."""
GIVEN = {
    "kafka": "LINKBUS_TEST_KAFKA",
    "rabbitmq": "LINKBUS_TEST_RABBITMQ",
    "sqs": "LINKBUS_TEST_SQS",
}
"""Each names a running broker to use instead: `host:port`, an AMQP URL, an endpoint's URL."""

_MAKERS: Mapping[str, Callable[[], BrokerProcess]] = {
    "kafka": KafkaBroker,
    "kafka_to_kill": KafkaBroker,
    "rabbitmq": RabbitMQBroker,
    "rabbitmq_to_kill": RabbitMQBroker,
    "sqs": partial(ElasticMQ, keeps=False),
    "sqs_to_kill": ElasticMQ,
}
"""By the names of the fixtures."""
_BROKERS = pytest.StashKey[dict[str, BrokerProcess | Unavailable]]()

Broker = TypeVar("Broker", bound=BrokerProcess)


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


class RabbitMQ:
    """A RabbitMQ to test against.

    Attributes:
        url: Its AMQP URL, with credentials.
        broker: The process, unless the broker was given by name.
    """

    def __init__(self, url: str, broker: RabbitMQBroker | None = None) -> None:
        self.url = url
        self.broker = broker


class SQS:
    """A server of SQS to test against.

    Attributes:
        endpoint: Its URL.
        broker: The process, unless the server was given by name.
    """

    def __init__(self, endpoint: str, broker: ElasticMQ | None = None) -> None:
        self.endpoint = endpoint
        self.broker = broker

    def create_queue(
        self, *, fifo: bool = False, attributes: Mapping[str, str] | None = None
    ) -> str:
        """Create a queue and return its name."""
        return create_queue(self.endpoint, fifo=fifo, attributes=attributes)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the brokers that the collected tests need, together."""
    brokers = session.config.stash.setdefault(_BROKERS, {})
    if session.config.option.collectonly:
        return
    asked = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    given = {kind for kind, variable in GIVEN.items() if os.environ.get(variable)}
    needed = [
        name for name in _MAKERS if name in asked and name.removesuffix("_to_kill") not in given
    ]
    with ThreadPoolExecutor(max(1, len(needed))) as starting:
        brokers.update(zip(needed, starting.map(_started, needed), strict=True))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove every broker, after an interruption too."""
    for broker in config.stash.get(_BROKERS, {}).values():
        if isinstance(broker, BrokerProcess):
            broker.remove()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the brokers wrote during a test that failed."""
    report = yield
    if report.when == "call" and report.failed:
        for name, broker in item.config.stash.get(_BROKERS, {}).items():
            if name in getattr(item, "fixturenames", ()) and isinstance(broker, BrokerProcess):
                report.sections.append((f"log of {name}", broker.log[-4000:]))
    return report


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Kafka:
    """Return a Kafka that all tests share: they use topics and groups of their own."""
    if given := os.environ.get(GIVEN["kafka"]):
        return Kafka(given)
    broker = _started_before(request.config, "kafka", KafkaBroker)
    return Kafka(broker.bootstrap, broker)


@pytest.fixture(scope="session")
def rabbitmq(request: pytest.FixtureRequest) -> RabbitMQ:
    """Return a RabbitMQ that all tests share: they use exchanges and queues of their own."""
    if given := os.environ.get(GIVEN["rabbitmq"]):
        return RabbitMQ(given)
    broker = _started_before(request.config, "rabbitmq", RabbitMQBroker)
    return RabbitMQ(broker.url, broker)


@pytest.fixture(scope="session")
def sqs(request: pytest.FixtureRequest) -> SQS:
    """Return a server of SQS that all tests share: they use queues of their own."""
    if given := os.environ.get(GIVEN["sqs"]):
        return SQS(given)
    broker = _started_before(request.config, "sqs", ElasticMQ)
    return SQS(broker.endpoint, broker)


@pytest.fixture
def kafka_to_kill(request: pytest.FixtureRequest) -> KafkaBroker:
    """Return a broker, running, that the test may kill and restart."""
    return _to_kill(request.config, "kafka", KafkaBroker)


@pytest.fixture
def rabbitmq_to_kill(request: pytest.FixtureRequest) -> RabbitMQBroker:
    """Return a node, running, that the test may kill and restart."""
    return _to_kill(request.config, "rabbitmq", RabbitMQBroker)


@pytest.fixture
def sqs_to_kill(request: pytest.FixtureRequest) -> ElasticMQ:
    """Return a server of SQS, running, that the test may kill and restart."""
    return _to_kill(request.config, "sqs", ElasticMQ)


def _to_kill(config: pytest.Config, kind: str, of: type[Broker]) -> Broker:
    if os.environ.get(GIVEN[kind]):
        pytest.skip(f"{GIVEN[kind]} names a broker that is not ours to kill")
    broker = _started_before(config, f"{kind}_to_kill", of)
    broker.start()
    return broker


def _started(name: str) -> BrokerProcess | Unavailable:
    broker = _MAKERS[name]()
    try:
        broker.start()
    except Unavailable as reason:
        return reason
    return broker


def _started_before(config: pytest.Config, name: str, of: type[Broker]) -> Broker:
    brokers = config.stash[_BROKERS]
    if name not in brokers:  # a test asked for the fixture while it ran
        brokers[name] = _started(name)
    broker = brokers[name]
    if isinstance(broker, of):
        return broker
    give_up: Callable[[str], None] = pytest.skip
    if os.environ.get(REQUIRED) == "1":
        give_up = pytest.fail
    give_up(f"no {of.name}: {broker}")
    raise AssertionError(name)
