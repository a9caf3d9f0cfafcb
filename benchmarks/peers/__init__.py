"""All contenders. To add one, write a file here and a line in `PEERS`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from benchmarks.contender import Maker, Mode, Peer

BROKERS = ("kafka", "rabbitmq", "sqs")
EVERYWHERE = ("memory", *BROKERS)

_LINKBUS = "benchmarks.peers.linkbus_bus:Linkbus"
_FASTSTREAM_KAFKA = "benchmarks.peers.kafka_faststream"
_FASTSTREAM_RABBITMQ = "benchmarks.peers.rabbitmq_faststream:RabbitMQFastStream"
_TASKIQ = "benchmarks.peers.memory_taskiq:MemoryTaskiq"
_TASKIQ_RABBITMQ = "benchmarks.peers.rabbitmq_taskiq:RabbitMQTaskiq"
_DRAMATIQ = "benchmarks.peers.rabbitmq_dramatiq:RabbitMQDramatiq"
_CLIENTS = {
    "memory": "memory_queue:MemoryQueue",
    "kafka": "kafka_client:KafkaClient",
    "rabbitmq": "rabbitmq_client:RabbitMQClient",
    "sqs": "sqs_client:SQSClient",
}
_BY_HAND = {
    "memory": "memory_queue:MemoryQueueByHand",
    "kafka": "kafka_client:KafkaClientByHand",
    "rabbitmq": "rabbitmq_client:RabbitMQClientByHand",
    "sqs": "sqs_by_hand:SQSClientByHand",
}

PEERS: Sequence[Peer] = (
    *[
        Peer("raw", (transport,), f"benchmarks.peers.{client}", Mode.NO_SDK, is_basic=True)
        for transport, client in _CLIENTS.items()
    ],
    Peer(
        "linkbus tracing cut out",
        ("memory",),
        "benchmarks.peers.linkbus_without_tracing:LinkbusWithoutTracing",
        Mode.NO_SDK,
    ),
    Peer("linkbus no SDK", EVERYWHERE, _LINKBUS, Mode.NO_SDK, is_basic=True),
    Peer("linkbus passing a context", EVERYWHERE, _LINKBUS, Mode.PASSING),
    Peer("linkbus sampler off", EVERYWHERE, _LINKBUS, Mode.SAMPLER_OFF),
    Peer("linkbus recording", EVERYWHERE, _LINKBUS, Mode.RECORDING, is_basic=True),
    Peer(
        "linkbus recording one context",
        ("memory", "kafka"),
        "benchmarks.peers.linkbus_bus:LinkbusOneContext",
        Mode.RECORDING,
        singles=False,
    ),
    *[
        Peer(
            "by hand",
            (transport,),
            f"benchmarks.peers.{client}",
            Mode.RECORDING,
            is_basic=True,
        )
        for transport, client in _BY_HAND.items()
    ],
    Peer(
        "by hand sampler off",
        ("memory",),
        f"benchmarks.peers.{_BY_HAND['memory']}",
        Mode.SAMPLER_OFF,
        batches=False,
    ),
    Peer("contrib", ("kafka",), "benchmarks.peers.kafka_contrib:KafkaContrib", Mode.RECORDING),
    Peer(
        "contrib",
        ("rabbitmq",),
        "benchmarks.peers.rabbitmq_contrib:RabbitMQContrib",
        Mode.RECORDING,
    ),
    Peer("contrib", ("sqs",), "benchmarks.peers.sqs_contrib:SQSContrib", Mode.RECORDING),
    Peer("faststream", ("kafka",), f"{_FASTSTREAM_KAFKA}:KafkaFastStream", Mode.NO_SDK, share=0.05),
    Peer(
        "faststream recording",
        ("kafka",),
        f"{_FASTSTREAM_KAFKA}:KafkaFastStream",
        Mode.RECORDING,
        share=0.05,
    ),
    Peer(
        "faststream ack first",
        ("kafka",),
        f"{_FASTSTREAM_KAFKA}:KafkaFastStreamAckFirst",
        Mode.NO_SDK,
        share=0.5,
    ),
    Peer(
        "faststream ack first recording",
        ("kafka",),
        f"{_FASTSTREAM_KAFKA}:KafkaFastStreamAckFirst",
        Mode.RECORDING,
        share=0.5,
    ),
    Peer("faststream", ("rabbitmq",), _FASTSTREAM_RABBITMQ, Mode.NO_SDK, batches=False, share=0.5),
    Peer(
        "faststream recording",
        ("rabbitmq",),
        _FASTSTREAM_RABBITMQ,
        Mode.RECORDING,
        batches=False,
        share=0.5,
    ),
    Peer("taskiq", ("memory",), _TASKIQ, Mode.NO_SDK, batches=False, share=0.2),
    Peer("taskiq recording", ("memory",), _TASKIQ, Mode.RECORDING, batches=False, share=0.2),
    Peer("taskiq", ("rabbitmq",), _TASKIQ_RABBITMQ, Mode.NO_SDK, batches=False, share=0.5),
    Peer(
        "taskiq recording",
        ("rabbitmq",),
        _TASKIQ_RABBITMQ,
        Mode.RECORDING,
        batches=False,
        share=0.5,
    ),
    Peer("dramatiq", ("rabbitmq",), _DRAMATIQ, Mode.NO_SDK, batches=False, share=0.5),
)


def peer_named(name: str, transport: str) -> Peer:
    """Return a contender.

    Raises:
        LookupError: There is none of this name on this transport.
    """
    for peer in peers_on(transport):
        if peer.name == name:
            return peer
    known = ", ".join(peer.name for peer in peers_on(transport))
    msg = f"no contender {name!r} on {transport}; there are: {known}"
    raise LookupError(msg)


def peers_on(transport: str) -> list[Peer]:
    """Return what runs on a transport, in the order of the tables."""
    return [peer for peer in PEERS if transport in peer.transports]


def maker_of(peer: Peer) -> Maker:
    """Import a contender's class."""
    module, _, name = peer.where.partition(":")
    maker: Maker = getattr(import_module(module), name)
    return maker
