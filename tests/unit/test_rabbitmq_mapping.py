"""Messages as AMQP has them."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time

import pytest
from aiormq import spec
from aiormq.abc import DeliveredMessage
from pamqp.header import ContentHeader

from linkbus import Headers, MessageError
from linkbus.abc import Arrival, Envelope
from linkbus.transports.rabbitmq._mapping import arrival, fits, properties

ROOM = 100_000


def there(envelope: Envelope, message_id: str | None = None) -> Arrival:
    """Write a message as bytes, read it, and return what arrives."""
    written = properties(envelope, message_id or envelope.id, ROOM)
    header = ContentHeader()
    header.unmarshal(ContentHeader(body_size=0, properties=written).marshal())
    return arrives(header, envelope.body)


def arrives(
    header: ContentHeader, body: bytes = b"", *, redelivered: bool = False, counts: bool = True
) -> Arrival:
    delivery = spec.Basic.Deliver("tag", 7, redelivered, "exchange", "")
    message = DeliveredMessage(delivery, header, body, channel=None)  # type: ignore[arg-type] # it is not read
    return arrival(message, 7, 60.0, counts=counts)


def headed(**headers: object) -> ContentHeader:
    return ContentHeader(properties=spec.Basic.Properties(headers=headers))


@pytest.mark.parametrize(
    "value",
    ["", "plain", "Grüße 🧾\x00", "\udcff\udcfe", "a\udc80ü"],
)
def test_headers_arrive_as_they_were(value: str) -> None:
    """Whatever a value is: text, or bytes that are none."""
    assert there(Envelope("1", b"", headers=Headers({"name": value}))).headers["name"] == value


@pytest.mark.parametrize("key", [None, "", "42", "ü🧾", "\udcff"])
def test_keys_arrive_as_they_were(key: str | None) -> None:
    """A key travels in the header `linkbus`."""
    assert there(Envelope("1", b"", key)).key == key


@pytest.mark.parametrize("sent_id", ["1", "ü", "", "\udcff", "x" * 256, "q\"'"])
def test_ids_arrive_as_they_were(sent_id: str) -> None:
    """As the property where that can be, else in the header `linkbus`."""
    message_id = sent_id if fits(sent_id) else "unique"
    assert there(Envelope(sent_id, b""), message_id).id == sent_id


def test_an_id_that_is_used_already() -> None:
    """The property is another one then, and the id arrives all the same."""
    it = there(Envelope("order-1", b"", "42"), "unique")
    assert (it.id, it.key) == ("order-1", "42")
    assert it.raw.header.properties.message_id == "unique"


@pytest.mark.parametrize(
    ("message_id", "does_fit"),
    [
        ("1", True),
        ("", False),
        ("x" * 255, True),
        ("x" * 256, False),
        ("ü" * 127, True),
        ("ü" * 128, False),
        ("\udcff", False),
    ],
)
def test_ids_that_fit(message_id: str, does_fit: bool) -> None:
    """A property is UTF-8 of 1 to 255 bytes."""
    assert fits(message_id) is does_fit


@pytest.mark.parametrize("key", [None, "42"])
def test_the_time_of_sending(key: str | None) -> None:
    """It is known to the millisecond, though AMQP has seconds."""
    before = time()
    it = there(Envelope("1", b"", key))
    assert it.sent_at is not None
    assert before - 0.001 <= it.sent_at <= time() + 0.001
    stamp = it.raw.header.properties.timestamp
    assert stamp.timestamp() == int(stamp.timestamp())
    assert abs(stamp.timestamp() - it.sent_at) <= 1


def test_everything_else() -> None:
    """Persistent, and the context beside the application's headers."""
    envelope = Envelope("1", b"body", headers=Headers({"a": "b"}), context={"traceparent": "00-1"})
    it = there(envelope)
    assert (it.body, it.attempt, it.receipt, it.lease) == (b"body", 1, 7, 60.0)
    assert sorted(it.headers) == ["a", "linkbus", "traceparent"]
    assert it.raw.header.properties.delivery_mode == 2
    assert it.attributes == {"messaging.rabbitmq.message.delivery_tag": 7}


def test_the_context_gives_way() -> None:
    """Where a frame has no room for it, the message leaves without; never it fails for that."""
    envelope = Envelope("1", b"", headers=Headers({"a": "x" * 100}), context={"t": "y" * 100})
    assert sorted(properties(envelope, "1", 300).headers or {}) == ["a", "linkbus", "t"]
    assert sorted(properties(envelope, "1", 200).headers or {}) == ["a", "linkbus"]
    with pytest.raises(MessageError, match="at most 100"):
        properties(envelope, "1", 100)


@pytest.mark.parametrize(
    ("envelope", "said"),
    [
        (
            Envelope("1", b"", headers=Headers({b"\xff".decode("utf-8", "surrogateescape"): ""})),
            "not",
        ),
        (Envelope("1", b"", headers=Headers.received([("n" * 129, "")])), "has 129 bytes"),
        (Envelope("1", b"", headers=Headers.received([("ü" * 65, "")])), "has 130 bytes"),
        (Envelope("1", b"", key="k" * 9000), "too long"),
    ],
)
def test_what_cannot_be_sent(envelope: Envelope, said: str) -> None:
    """It is refused, before aiormq would change or refuse it."""
    with pytest.raises(MessageError, match=said):
        properties(envelope, "1", ROOM)


@pytest.mark.parametrize(
    "own",
    [
        "no JSON",
        '{"sent":"soon"}',
        '{"sent":"²"}',
        '{"sent":"99999999999999999999"}',
        '{"sent":5,"id":6,"key":[]}',
        '{"id":"\\ud800","key":"\\ud800"}',
        "[]",
        7,
        b"\xff",
    ],
)
def test_a_header_of_ours_that_is_malformed(own: object) -> None:
    """It is nothing, and the message arrives by its properties."""
    header = headed(linkbus=own)
    header.properties.message_id = "theirs"
    header.properties.timestamp = datetime(2026, 1, 2, tzinfo=UTC)
    it = arrives(header)
    assert (it.id, it.key) == ("theirs", None)
    assert it.sent_at == datetime(2026, 1, 2, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("count", "redelivered", "counts", "attempt"),
    [
        (None, False, True, 1),
        (2, True, True, 3),
        (2, False, True, 1),
        (2, True, False, 1),
        (None, True, True, 1),
        ("2", True, True, 1),
        (-2, True, True, 1),
    ],
)
def test_attempts(count: object, redelivered: bool, counts: bool, attempt: int) -> None:
    """The broker's count, where it counts; a header of a producer is not believed."""
    header = headed() if count is None else headed(**{"x-delivery-count": count})
    assert arrives(header, redelivered=redelivered, counts=counts).attempt == attempt


def test_a_message_without_properties() -> None:
    """It has no id, no time and no headers."""
    it = arrives(ContentHeader())
    assert (it.id, it.sent_at, len(it.headers)) == (None, None, 0)
