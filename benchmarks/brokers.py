"""The brokers of a benchmark: started as the tests do, or those that are named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from tests.brokers.elasticmq import ElasticMQ
from tests.brokers.kafka import KafkaBroker
from tests.brokers.rabbitmq import RabbitMQBroker

TRANSPORTS = ("memory", "kafka", "rabbitmq", "sqs")


@contextmanager
def running(transport: str, given: str | None = None) -> Iterator[str]:
    """Give the address of a broker, which is there as long as the block.

    Args:
        transport: Its transport.
        given: The address of one that runs already.
    """
    if given is not None:
        yield given
        return
    with _STARTERS[transport]() as address:
        yield address


@contextmanager
def _memory() -> Iterator[str]:
    yield ""


@contextmanager
def _kafka() -> Iterator[str]:
    broker = KafkaBroker()
    try:
        broker.start()
        yield broker.bootstrap
    finally:
        broker.remove()


@contextmanager
def _rabbitmq() -> Iterator[str]:
    broker = RabbitMQBroker()
    try:
        broker.start()
        yield broker.url
    finally:
        broker.remove()


@contextmanager
def _sqs() -> Iterator[str]:
    broker = ElasticMQ(keeps=False)
    try:
        broker.start()
        yield broker.endpoint
    finally:
        broker.remove()


_STARTERS: Mapping[str, Callable[[], AbstractContextManager[str]]] = {
    "memory": _memory,
    "kafka": _kafka,
    "rabbitmq": _rabbitmq,
    "sqs": _sqs,
}
