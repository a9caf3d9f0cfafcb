"""Records and envelopes: what each has of the other."""

from __future__ import annotations

import pytest
from aiokafka import ConsumerRecord

from linkbus import MessageError
from linkbus._message import Headers
from linkbus.abc import Envelope
from linkbus.transports.kafka._mapping import arrival, key_and_headers


def received(
    *headers: tuple[str, bytes | None],
    key: bytes | None = None,
    value: bytes | None = b"",
    timestamp: int = 1500,
) -> ConsumerRecord[bytes | None, bytes | None]:
    return ConsumerRecord("t", 3, 42, timestamp, 0, key, value, None, 0, 0, headers)


def test_an_envelope_becomes_bytes() -> None:
    """Stable text becomes the bytes it stands for, and the id has its header."""
    envelope = Envelope("i", b"", "k\udcff", Headers({"größe": "\udcfe"}), {"traceparent": "tp"})
    assert key_and_headers(envelope) == (
        b"k\xff",
        [("größe", b"\xfe"), ("traceparent", b"tp"), ("linkbus", b'{"id":"i"}')],
    )
    assert key_and_headers(Envelope("i", b""))[0] is None


def test_what_linkbus_carries_is_kept() -> None:
    """A header of linkbus that is there already, and an id that must be quoted."""
    envelope = Envelope("i", b"", headers=Headers({"linkbus": '{"from":"t"}'}))
    assert key_and_headers(envelope)[1] == [("linkbus", b'{"from":"t","id":"i"}')]
    assert key_and_headers(Envelope('"', b""))[1] == [("linkbus", b'{"id":"\\""}')]


def test_a_name_that_is_not_utf8_cannot_be_sent() -> None:
    """Kafka's client refuses it, so the message is refused by name."""
    with pytest.raises(MessageError, match="names are UTF-8"):
        key_and_headers(Envelope("i", b"", headers=Headers.received([(b"\xff", "")])))


def test_a_record_becomes_an_arrival() -> None:
    """With all of its headers, and Kafka's facts."""
    record = received(("a", b"\xff"), ("a", None), key=b"\xff", value=b"body")
    one = arrival(record, "3", "receipt")
    assert (one.id, one.body, one.key, one.sent_at) == (None, b"body", "\udcff", 1.5)
    assert one.headers.get_all("a") == ["\udcff", ""]
    assert one.attributes == {
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 42,
    }
    assert (one.receipt, one.raw, one.lease, one.attempt) == ("receipt", record, None, 1)


def test_nulls() -> None:
    """No key is None, no value is an empty body that is marked, no time is None."""
    one = arrival(received(value=None, timestamp=-1), "3", None)
    assert (one.key, one.body, one.sent_at) == (None, b"", None)
    assert one.attributes["messaging.kafka.message.tombstone"] is True


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b'{"id":"abc123"}', "abc123"),
        (b'{"id":"a-b"}', "a-b"),
        (b'{"id":"a\\"b"}', 'a"b'),
        (b'{"x":1,"id":"abc"}', "abc"),
        (b'{"id":7}', None),
        (b'{"id":', None),
        (b"\xff", None),
        (b'{"id":"\xff"}', "\udcff"),
        (None, None),
    ],
)
def test_the_id_is_read_from_its_header(header: bytes | None, expected: str | None) -> None:
    """Whatever the header holds, it is the id that was sent, or none."""
    assert arrival(received(("linkbus", header)), "0", None).id == expected
