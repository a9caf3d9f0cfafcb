"""An application's own use of the clients that linkbus is built on, and their instrumentation."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aio_pika
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from opentelemetry.instrumentation.aio_pika import AioPikaInstrumentor
from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor
from opentelemetry.instrumentation.botocore import AiobotocoreInstrumentor, BotocoreInstrumentor
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from linkbus.abc import Transport
from linkbus.testing import SpanRecorder
from linkbus.transports.kafka import KafkaTransport
from linkbus.transports.rabbitmq import RabbitMQTransport
from linkbus.transports.sqs import SQSTransport
from tests.brokers.fixtures import SQS, Kafka, RabbitMQ
from tests.integration.rabbitmq_opening import new_name
from tests.integration.sqs_opening import OPTIONS, SESSION

Pairs = Sequence[tuple[str, str]]


class DirectClient(ABC):
    """A client that an application uses beside linkbus, open from `open` until its stack closes.

    Attributes:
        instrumentors: Of OpenTelemetry's contrib packages, for this client.
        orders: Where linkbus sends to and receives from.
        notes: Where the application does.
        kind: Of the span of a direct send.
    """

    instrumentors: Sequence[type[BaseInstrumentor]]
    orders: str
    notes: str
    kind = "PRODUCER"

    @abstractmethod
    def transport(self) -> Transport:
        """Make a transport of linkbus to the same broker."""

    @abstractmethod
    async def open(self, stack: AsyncExitStack) -> None:
        """Connect, and make what is received from before it is sent to."""

    @abstractmethod
    async def send(self, to: str, body: bytes, headers: Pairs = ()) -> None:
        """Send a message, and return when it was confirmed."""

    @abstractmethod
    async def receive(self, source: str, count: int) -> list[Pairs]:
        """Receive so many messages from the first on, and return all headers of each."""

    @abstractmethod
    def send_span(self, to: str) -> str:
        """Return what the instrumentation calls the span of a direct send."""

    @abstractmethod
    def receive_span(self, source: str) -> str:
        """Return what it calls that of a direct receive."""


class DirectKafka(DirectClient):
    """aiokafka."""

    instrumentors = (AIOKafkaInstrumentor,)

    def __init__(self, broker: Kafka) -> None:
        self.orders, self.notes = broker.create_topic(), broker.create_topic()
        self.servers = broker.bootstrap

    def transport(self) -> Transport:
        return KafkaTransport(self.servers, heartbeat_interval=0.2)

    async def open(self, stack: AsyncExitStack) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=self.servers)
        await self._producer.start()
        stack.push_async_callback(self._producer.stop)

    async def send(self, to: str, body: bytes, headers: Pairs = ()) -> None:
        given = [(name, value.encode()) for name, value in headers]
        await self._producer.send_and_wait(to, body, headers=given)

    async def receive(self, source: str, count: int) -> list[Pairs]:
        servers = self.servers
        consumer = AIOKafkaConsumer(source, bootstrap_servers=servers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            records = [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()
        return [[(name, value.decode()) for name, value in one.headers] for one in records]

    def send_span(self, to: str) -> str:
        return f"{to} send"

    def receive_span(self, source: str) -> str:
        return f"{source} receive"


class DirectRabbitMQ(DirectClient):
    """aio-pika, with fanout exchanges, as linkbus has them by default, and a queue for each."""

    instrumentors = (AioPikaInstrumentor,)

    def __init__(self, broker: RabbitMQ) -> None:
        self.orders, self.notes = new_name(), new_name()
        self.url = broker.url

    def transport(self) -> Transport:
        return RabbitMQTransport(self.url)

    async def open(self, stack: AsyncExitStack) -> None:
        connection = await aio_pika.connect(self.url)
        await stack.enter_async_context(connection)
        channel = await connection.channel()
        self._exchanges: dict[str, aio_pika.abc.AbstractExchange] = {}
        self._queues: dict[str, aio_pika.abc.AbstractQueue] = {}
        for name in (self.orders, self.notes):
            exchange = await channel.declare_exchange(name, "fanout", durable=True)
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(exchange)
            self._exchanges[name], self._queues[name] = exchange, queue

    async def send(self, to: str, body: bytes, headers: Pairs = ()) -> None:
        await self._exchanges[to].publish(aio_pika.Message(body, headers=dict(headers)), "")

    async def receive(self, source: str, count: int) -> list[Pairs]:
        came: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        tag = await self._queues[source].consume(came.put, no_ack=True)
        messages = [await came.get() for _ in range(count)]
        await self._queues[source].cancel(tag)
        return [[(name, str(value)) for name, value in one.headers.items()] for one in messages]

    def send_span(self, to: str) -> str:
        return f"{to}, send"

    def receive_span(self, source: str) -> str:
        return f"{source} receive"


class DirectSQS(DirectClient):
    """aiobotocore; what instruments botocore sees a part of it, too."""

    instrumentors = (BotocoreInstrumentor, AiobotocoreInstrumentor)
    kind = "CLIENT"

    def __init__(self, broker: SQS) -> None:
        self.orders, self.notes = broker.create_queue(), broker.create_queue()
        self._endpoint = broker.endpoint

    def transport(self) -> Transport:
        return SQSTransport(endpoint_url=self._endpoint, **OPTIONS)

    async def open(self, stack: AsyncExitStack) -> None:
        place = {"region_name": "elasticmq", "endpoint_url": self._endpoint}
        self._client: Any = await stack.enter_async_context(SESSION.create_client("sqs", **place))

    async def send(self, to: str, body: bytes, headers: Pairs = ()) -> None:
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in headers}
        await self._client.send_message(
            QueueUrl=self._url(to), MessageBody=body.decode(), MessageAttributes=attributes
        )

    async def receive(self, source: str, count: int) -> list[Pairs]:
        found: list[Pairs] = []
        while len(found) < count:
            answer = await self._client.receive_message(
                QueueUrl=self._url(source), WaitTimeSeconds=1, MessageAttributeNames=["All"]
            )
            for message in answer["Messages"]:
                attributes = message.get("MessageAttributes", {})
                found.append([(name, it["StringValue"]) for name, it in attributes.items()])
        return found

    def send_span(self, to: str) -> str:
        return "SQS.SendMessage"

    def receive_span(self, source: str) -> str:
        return "SQS.ReceiveMessage"

    def _url(self, queue: str) -> str:
        return f"{self._endpoint}/000000000000/{queue}"


CLIENTS = {"kafka": DirectKafka, "rabbitmq": DirectRabbitMQ, "sqs": DirectSQS}
"""By the names of the fixtures of their brokers."""


@pytest.fixture
def provider() -> TracerProvider:
    """Make the provider of all: of linkbus, of the instrumentation, of the application."""
    return TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)


@pytest.fixture
def spans(provider: TracerProvider) -> Iterator[SpanRecorder]:
    """Record what all of them make; in the end nothing is left open or current."""
    with SpanRecorder(provider) as recorder:
        yield recorder
    recorder.assert_no_leaks()


@pytest.fixture(params=CLIENTS)
def direct(request: pytest.FixtureRequest) -> DirectClient:
    """Return each client in turn, not open."""
    return CLIENTS[request.param](request.getfixturevalue(request.param))


@pytest.fixture
def instrument(direct: DirectClient, provider: TracerProvider) -> Iterator[Callable[[], None]]:
    """Return what instruments the client in the whole process, until the end of the test."""
    instrumentors = [one() for one in direct.instrumentors]

    def instrument_all() -> None:
        for one in instrumentors:
            one.instrument(tracer_provider=provider)

    yield instrument_all
    for one in instrumentors:
        one.uninstrument()


def of_instrumentation(spans: SpanRecorder) -> Counter[str]:
    """Count, by name, the spans that are the instrumentation's."""
    return Counter(
        span.name
        for span in spans.finished
        if span.instrumentation_scope is not None
        and span.instrumentation_scope.name.startswith("opentelemetry.instrumentation.")
    )
