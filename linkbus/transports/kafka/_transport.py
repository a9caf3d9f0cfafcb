"""KafkaTransport: opens, sends, subscribes, closes."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider

from linkbus._errors import UsageError
from linkbus.abc import Capabilities, Envelope, Lost, SendResult, Transport
from linkbus.transports._text_options import options_of
from linkbus.transports.kafka._discretion import Discretion
from linkbus.transports.kafka._options import Options, servers
from linkbus.transports.kafka._receiver import KafkaReceiver
from linkbus.transports.kafka._sending import Sending

_MAX_BATCH = 10_000


class KafkaTransport(Transport):
    """A Kafka cluster, reached through aiokafka; see the module for what it does.

    All durations are in seconds.

    Args:
        bootstrap_servers: `host:port`, many with commas or as a sequence.
        client_id: What the brokers know this program as.
        security_protocol: "PLAINTEXT", "SSL", "SASL_PLAINTEXT" or "SASL_SSL".
        ssl_context: For TLS; None: the system's certificates, and host names checked.
        sasl_mechanism: "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI".
        sasl_plain_username: For PLAIN and SCRAM.
        sasl_plain_password: For PLAIN and SCRAM; in no repr and no log.
        sasl_oauth_token_provider: For OAUTHBEARER.
        sasl_kerberos_service_name: For GSSAPI.
        sasl_kerberos_domain_name: For GSSAPI.
        allow_sasl_without_tls: Credentials may cross the network in the clear.
        compression_type: "gzip", "snappy", "lz4" or "zstd".
        linger: How long the client waits for more messages to send with the first.
        max_batch_bytes: How much the client packs into one batch of a partition. Not more
            than `max.message.bytes` of the topics, or whole batches are refused.
        max_message_bytes: Of body, key and headers; see `Capabilities`. A topic's own
            `max.message.bytes` must be at least 32 KiB larger.
        connect_timeout: For reaching a first broker.
        request_timeout: For one request to a broker, before it is tried again.
        delivery_timeout: For one `send`; after it the outcome is UNKNOWN.
        topic_timeout: For a topic to be found or made, before it counts as missing.
        metadata_max_age: How long the client believes what it knows of topics.
        session_timeout: After it the group gives a silent member's partitions to others.
        heartbeat_interval: Between two signs of life; a rebalance is noticed by them.
        rebalance_grace: For the core to finish what it works on when partitions go.
        commit_interval: From a settlement to its commit, at most.
        max_gap: Messages of one partition that may be held above its watermark. When an
            old one stays unsettled for so long, the partition waits for it.
        isolation_level: "read_committed" or "read_uncommitted".
        fetch_max_wait: How long a broker may wait for `fetch_min_bytes`.
        fetch_min_bytes: What a broker waits for.
        fetch_max_bytes: In one answer of a broker.
        fetch_max_partition_bytes: In one answer, of one partition.

    Raises:
        UsageError: An option is malformed, or options contradict each other.
    """

    system = "kafka"

    def __init__(
        self,
        bootstrap_servers: str | Sequence[str] = "localhost:9092",
        *,
        client_id: str = "linkbus",
        security_protocol: str = "PLAINTEXT",
        ssl_context: ssl.SSLContext | None = None,
        sasl_mechanism: str = "PLAIN",
        sasl_plain_username: str | None = None,
        sasl_plain_password: str | None = None,
        sasl_oauth_token_provider: AbstractTokenProvider | None = None,
        sasl_kerberos_service_name: str = "kafka",
        sasl_kerberos_domain_name: str | None = None,
        allow_sasl_without_tls: bool = False,
        compression_type: str | None = None,
        linger: float = 0.0,
        max_batch_bytes: int = 65_536,
        max_message_bytes: int = 1_000_000,
        connect_timeout: float = 10.0,
        request_timeout: float = 20.0,
        delivery_timeout: float = 30.0,
        topic_timeout: float = 3.0,
        metadata_max_age: float = 300.0,
        session_timeout: float = 10.0,
        heartbeat_interval: float = 3.0,
        rebalance_grace: float = 15.0,
        commit_interval: float = 0.5,
        max_gap: int = 10_000,
        isolation_level: str = "read_committed",
        fetch_max_wait: float = 0.5,
        fetch_min_bytes: int = 1,
        fetch_max_bytes: int = 52_428_800,
        fetch_max_partition_bytes: int = 1_048_576,
    ) -> None:
        self._options = options = Options(
            servers=servers(bootstrap_servers),
            client_id=client_id,
            security_protocol=security_protocol,
            ssl_context=ssl_context,
            sasl_mechanism=sasl_mechanism,
            sasl_plain_username=sasl_plain_username,
            sasl_plain_password=sasl_plain_password,
            sasl_oauth_token_provider=sasl_oauth_token_provider,
            sasl_kerberos_service_name=sasl_kerberos_service_name,
            sasl_kerberos_domain_name=sasl_kerberos_domain_name,
            allow_sasl_without_tls=allow_sasl_without_tls,
            compression_type=compression_type,
            linger=linger,
            max_batch_bytes=max_batch_bytes,
            max_message_bytes=max_message_bytes,
            connect_timeout=connect_timeout,
            request_timeout=request_timeout,
            delivery_timeout=delivery_timeout,
            topic_timeout=topic_timeout,
            metadata_max_age=metadata_max_age,
            session_timeout=session_timeout,
            heartbeat_interval=heartbeat_interval,
            rebalance_grace=rebalance_grace,
            commit_interval=commit_interval,
            max_gap=max_gap,
            isolation_level=isolation_level,
            fetch_max_wait=fetch_max_wait,
            fetch_min_bytes=fetch_min_bytes,
            fetch_max_bytes=fetch_max_bytes,
            fetch_max_partition_bytes=fetch_max_partition_bytes,
        )
        self._sending = Sending(options)
        self._discretion = Discretion()
        host, port = options.servers[0]
        self.capabilities = Capabilities(
            groups=True,
            ordering="key",
            delayed_release=True,
            repeated_headers=True,
            max_batch=_MAX_BATCH,
            max_message_bytes=max_message_bytes,
            durable=True,
            receive_cancel_safe=True,
        )
        self.attributes: Mapping[str, str | int] = {
            "server.address": host,
            "server.port": port,
            "messaging.client.id": client_id,
        }

    def __repr__(self) -> str:
        host, port = self._options.servers[0]
        return f"<KafkaTransport {host}:{port}>"

    @property
    def raw(self) -> AIOKafkaProducer:
        """The `AIOKafkaProducer`, for what linkbus does not offer; another after a failure.

        Raises:
            UsageError: The transport is not open.
        """
        if self._sending.producer is None:
            msg = "the Kafka transport is not open"
            raise UsageError(msg)
        return self._sending.producer

    async def open(self) -> None:
        """Connect a producer; consumers connect when they subscribe."""
        if self._options.security_protocol.startswith("SASL"):
            self._discretion.begin()
        try:
            await self._sending.open()
        except BaseException:  # cancelled, too: `aclose` is not called
            self._discretion.end()
            raise

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        """Send to a topic; SENT means that all of its replicas in sync have it."""
        return await self._sending.send(destination, batch)

    async def subscribe(
        self,
        source: str,
        group: str,
        *,
        prefetch: int,
        lost: Lost,
    ) -> KafkaReceiver:
        """Join a consumer group with a consumer of its own."""
        await self._sending.find(source)
        receiver = KafkaReceiver(self._options, source, group, lost)
        await receiver.join()
        return receiver

    async def aclose(self) -> None:
        """Disconnect the producer, after what it has was sent or a few seconds have passed."""
        await self._sending.aclose()
        self._discretion.end()


def from_url(url: str, **options: object) -> KafkaTransport:
    """Make a transport from `kafka://host:port,host2:port`; options may be text.

    Raises:
        UsageError: The URL or an option is malformed, or there is no such option.
    """
    scheme, separator, rest = url.partition("://")
    if scheme != "kafka" or not separator or "?" in rest:
        msg = "a Kafka URL is kafka://host:port,host2:port"
        raise UsageError(msg)
    given = options_of("Kafka", KafkaTransport, options)
    bound = inspect.signature(KafkaTransport).bind(servers_of(rest), **given)
    return KafkaTransport(*bound.args, **bound.kwargs)


def servers_of(rest: str) -> str:
    """Return the servers in a URL, without a slash at its end."""
    return rest.removesuffix("/") or "localhost"
