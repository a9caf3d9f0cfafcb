"""The options of the Kafka transport, given in a program or in a URL."""

from __future__ import annotations

import ssl

import pytest
from aiokafka import codec

from linkbus import UsageError
from linkbus.transports.kafka import KafkaTransport, from_url
from linkbus.transports.kafka._options import ms


def test_defaults() -> None:
    """It is made without I/O, and says what it can and where it goes."""
    transport = KafkaTransport()
    assert transport.system == "kafka"
    assert transport.attributes == {
        "server.address": "localhost",
        "server.port": 9092,
        "messaging.client.id": "linkbus",
    }
    can = transport.capabilities
    assert (can.groups, can.ordering, can.durable, can.repeated_headers) == (
        True,
        "key",
        True,
        True,
    )
    assert (can.max_batch, can.max_message_bytes) == (10_000, 1_000_000)
    assert not can.counts_deliveries
    assert repr(transport) == "<KafkaTransport localhost:9092>"


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("kafka://", "localhost", 9092),
        ("kafka://broker", "broker", 9092),
        ("kafka://one:1,two:2/", "one", 1),
        ("kafka://[::1]:3", "::1", 3),
        ("kafka://[::1]", "::1", 9092),
    ],
)
def test_servers_of_a_url(url: str, host: str, port: int) -> None:
    """Hosts, ports, or their defaults; the first is what spans name."""
    attributes = from_url(url).attributes
    assert (attributes["server.address"], attributes["server.port"]) == (host, port)


@pytest.mark.parametrize(
    "url",
    ["http://x", "kafka:x", "kafka://x?linger=1", "kafka://u:p@x:1", "kafka://x/y", "kafka://x:y"],
)
def test_a_malformed_url(url: str) -> None:
    """It is refused, and what may be a password in it is not repeated."""
    with pytest.raises(UsageError) as raised:
        from_url(url)
    assert "u:p" not in str(raised.value)


def test_servers_of_a_program() -> None:
    """A sequence is as good as commas; none is refused."""
    assert KafkaTransport(["a:1", "b:2"]).attributes["server.address"] == "a"
    with pytest.raises(UsageError, match="host:port"):
        KafkaTransport([])


def test_options_as_text() -> None:
    """A URL gives numbers and booleans as text; other values pass as they are."""
    transport = from_url(
        "kafka://x",
        linger="0.5",
        max_message_bytes="500",
        client_id="me",
        allow_sasl_without_tls="true",
        session_timeout=20.0,
    )
    assert transport.capabilities.max_message_bytes == 500
    assert transport.attributes["messaging.client.id"] == "me"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("lingr", "1", "there are: .*linger"),
        ("servers", "x", "no option 'servers'"),
        ("linger", "soon", "'linger' is a number"),
        ("max_gap", "1.5", "'max_gap' is a whole number"),
        ("allow_sasl_without_tls", "perhaps", "true or false"),
        ("ssl_context", "x", "give it in the program"),
        ("linger", "-1", "positive number"),
        ("linger", "nan", "positive number"),
        ("max_gap", True, "positive number"),
        ("compression_type", "rar", "gzip"),
        ("security_protocol", "TLS", "SASL_SSL"),
        ("heartbeat_interval", "10", "below 'session_timeout'"),
    ],
)
def test_a_bad_option(name: str, value: object, said: str) -> None:
    """It is refused with its name and what would be right."""
    with pytest.raises(UsageError, match=said):
        from_url("kafka://x", **{name: value})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sasl_plain_username": "u", "sasl_plain_password": "secret"}, "without TLS"),
        ({"sasl_mechanism": "OAUTHBEARER"}, "without TLS"),
        ({"allow_sasl_without_tls": True}, "needs sasl_plain_username"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512"}, "needs sasl_plain"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, "token_provider"),
    ],
)
def test_credentials_are_complete_and_protected(options: dict[str, object], said: str) -> None:
    """Without TLS they are refused, unless allowed; and they are never repeated."""
    with pytest.raises(UsageError, match=said) as raised:
        from_url("kafka://x", **({"security_protocol": "SASL_PLAINTEXT"} | options))
    assert "secret" not in str(raised.value)


def test_kerberos_needs_no_tls() -> None:
    """Its credentials do not cross the network."""
    KafkaTransport(security_protocol="SASL_PLAINTEXT", sasl_mechanism="GSSAPI")


def test_tls_checks_certificates_by_default() -> None:
    """Without a context of the application's the system's certificates are used."""
    own = ssl.create_default_context()
    for given, security in ((None, "SSL"), (own, "SSL"), (None, "PLAINTEXT")):
        options = KafkaTransport(security_protocol=security, ssl_context=given)._options
        context = options.connection["ssl_context"]
        if security == "PLAINTEXT":
            assert context is None
        else:
            assert context is not None
            assert context.check_hostname
            assert given is None or context is given


def test_servers_reach_the_client_with_brackets() -> None:
    """An IPv6 address is told to aiokafka as it wants it."""
    connection = KafkaTransport("[::1]:3,b")._options.connection
    assert connection["bootstrap_servers"] == ["[::1]:3", "b:9092"]


def test_compression_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library that is missing is named when the transport is made."""
    monkeypatch.setattr(codec, "has_zstd", lambda: False)
    with pytest.raises(UsageError, match="pip install"):
        KafkaTransport(compression_type="zstd")


def test_milliseconds() -> None:
    """Whole ones, as aiokafka counts."""
    assert (ms(0.5), ms(0.0004), ms(-1.0)) == (500, 0, 0)
