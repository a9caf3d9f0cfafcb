"""Options and URLs of the SQS transport: what they mean, and what is refused."""

from __future__ import annotations

import pytest
from aiobotocore.session import AioSession

from linkbus import UsageError
from linkbus.transports.sqs import SQSTransport, from_url


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"visibility_timeout": 0}, "'visibility_timeout' must be a positive number, not 0"),
        ({"visibility_timeout": True}, "'visibility_timeout' must be a positive number, not True"),
        ({"poll_wait": 1.5}, "'poll_wait' must be a whole number, not 1.5"),
        ({"poll_wait": True}, "'poll_wait' must be a whole number, not True"),
        ({"visibility_timeout": 43_200}, "'visibility_timeout' is at most 21600"),
        ({"poll_wait": 21}, "'poll_wait' is at most 20, not 21"),
        ({"poll_wait": 0}, "'poll_wait' must be a positive number, not 0"),
        ({"senders": "8"}, "'senders' must be a whole number, not '8'"),
        ({"connect_timeout": 0}, "'connect_timeout' must be a positive number, not 0"),
        ({"request_timeout": "1"}, "'request_timeout' must be a positive number, not '1'"),
        ({"endpoint_url": "127.0.0.1:9324"}, "'endpoint_url' is http://host:port"),
        ({"endpoint_url": "https://key:secret@host"}, "without credentials"),
        ({"client": object(), "region_name": "eu-west-1"}, "'client' has a region"),
        ({"client": object(), "session": AioSession()}, "give no others"),
    ],
)
def test_what_is_refused(options, what):
    """Each message names the option."""
    with pytest.raises(UsageError, match=what):
        SQSTransport(**options)


def test_capabilities():
    """Order and dead letters are what the transport was told of its queues."""
    standard = SQSTransport().capabilities
    assert (standard.ordering, standard.native_dead_letter) == ("none", False)
    assert (standard.max_headers, standard.max_message_bytes) == (9, 1_024_000)
    told = SQSTransport(fifo=True, native_dead_letter=True, max_message_bytes=1000).capabilities
    assert (told.ordering, told.native_dead_letter, told.max_message_bytes) == ("key", True, 1000)


def test_room_for_context():
    """What the core may give is less than what SQS takes."""
    assert SQSTransport()._options.limit_bytes == 1_048_576


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqs://", "<SQSTransport of the AWS chain>"),
        ("sqs:///", "<SQSTransport of the AWS chain>"),
        ("sqs://eu-central-1", "<SQSTransport eu-central-1>"),
        ("sqs://us-gov-west-1/", "<SQSTransport us-gov-west-1>"),
        ("sqs://127.0.0.1:9324", "<SQSTransport http://127.0.0.1:9324>"),
        ("sqs://[::1]:9324", "<SQSTransport http://[::1]:9324>"),
    ],
)
def test_urls(url, shown):
    """The chain decides, or a region is named, or a server."""
    assert repr(from_url(url)) == shown


def test_options_in_a_url_are_text():
    """They become what the constructor wants, and stand beside what is not text."""
    session = AioSession()
    made = from_url(
        "sqs://127.0.0.1:9324",
        region_name="x",
        fifo="true",
        visibility_timeout="2",
        request_timeout="1.5",
        session=session,
    )
    assert made.capabilities.ordering == "key"


@pytest.mark.parametrize(
    ("url", "options", "what"),
    [
        ("sqs:eu-west-1", {}, "an SQS URL is"),
        ("sns://eu-west-1", {}, "an SQS URL is"),
        ("sqs://localhost", {}, "an SQS URL is"),
        ("sqs://:9324", {}, "an SQS URL is"),
        ("sqs://host:port", {}, "an SQS URL is"),
        ("sqs://host:1/queue", {}, "an SQS URL is"),
        ("sqs://key:secret@host:1", {}, "never credentials"),
        ("sqs://eu-west-1?fifo=true", {}, "an SQS URL is"),
        ("sqs://eu-west-1", {"region_name": "eu-west-2"}, "contradicts the URL"),
        ("sqs://", {"queue": "orders"}, "SQS has no option 'queue'"),
        ("sqs://", {"fifo": "perhaps"}, "'fifo' is true or false"),
        ("sqs://", {"session": "mine"}, "give it in the program"),
    ],
)
def test_urls_that_are_refused(url, options, what):
    """What is wrong is said, and nothing of a URL that may have a password."""
    with pytest.raises(UsageError, match=what) as caught:
        from_url(url, **options)
    assert "secret" not in str(caught.value)


def test_the_same_region_twice_is_one():
    """An option that says what the URL says contradicts nothing."""
    assert repr(from_url("sqs://eu-west-1", region_name="eu-west-1")).endswith("eu-west-1>")


def test_a_url_is_described_by_its_name():
    """Spans are named for the queue, and a name needs no description."""
    transport = SQSTransport()
    url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"
    assert transport.describe(url) == {"messaging.destination.name": "orders.fifo"}
    assert transport.describe("orders", "default") == {}


async def test_what_is_not_open_has_no_client():
    """Using it before `open` is an error of the program, and closing it is nothing."""
    transport = SQSTransport()
    with pytest.raises(UsageError, match="not open"):
        _ = transport.raw
    with pytest.raises(UsageError, match="not open"):
        await transport.send("orders", [])
    await transport.aclose()
