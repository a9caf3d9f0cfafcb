"""Topics of the memory transport: what is held, for whom, and within which bounds."""

import pytest

from linkbus._errors import TransportError, UsageError
from linkbus._headers import Headers
from linkbus.abc import Envelope, SendStatus
from linkbus.transports.memory import MemoryBroker


def envelope(body: bytes = b"", key: str | None = None, **headers: str) -> Envelope:
    return Envelope(f"id-{body!r}", body, key, Headers(headers))


def statuses(broker: MemoryBroker, *batch: Envelope) -> list[SendStatus]:
    return [result.status for result in broker.append("orders", batch)]


def bodies(broker: MemoryBroker, group: str, *, settle: bool = False) -> list[bytes]:
    """Take all that a group may have, and acknowledge it if told so."""
    member = broker.join("orders", group)
    receipts = member.group.take(member, 1000)
    if settle:
        for receipt in receipts:
            member.group.ack(receipt, 0.0)
    return [receipt.held.body for receipt in receipts]


def test_each_group_gets_every_message():
    """Two groups are given the same messages, in order."""
    broker = MemoryBroker()
    for group in ("a", "b"):
        broker.join("orders", group)
    broker.append("orders", [envelope(b"1"), envelope(b"2")])
    assert bodies(broker, "a") == [b"1", b"2"]
    assert bodies(broker, "b") == [b"1", b"2"]


def test_topics_are_apart():
    """What is sent to one topic is not in another."""
    broker = MemoryBroker()
    broker.append("invoices", [envelope(b"1")])
    assert bodies(broker, "a") == []


def test_a_new_group_begins_with_the_oldest_message_still_held():
    """A later group gets what another has not settled, and nothing that all have."""
    broker = MemoryBroker()
    broker.append("orders", [envelope(b"1")])
    assert bodies(broker, "a", settle=True) == [b"1"]
    broker.append("orders", [envelope(b"2"), envelope(b"3")])
    assert bodies(broker, "b") == [b"2", b"3"]


def test_messages_are_kept_before_there_is_a_group():
    """The first group gets what was sent before it."""
    broker = MemoryBroker()
    broker.append("orders", [envelope(b"1"), envelope(b"2")])
    assert bodies(broker, "a") == [b"1", b"2"]


def test_a_message_is_held_until_every_group_has_settled_it():
    """The place of a message is free when the last group has acknowledged it."""
    broker = MemoryBroker(max_messages=1)
    broker.join("orders", "a")
    broker.join("orders", "b")
    assert statuses(broker, envelope(b"1")) == [SendStatus.SENT]
    bodies(broker, "a", settle=True)
    assert statuses(broker, envelope(b"2")) == [SendStatus.FAILED]
    bodies(broker, "b", settle=True)
    assert statuses(broker, envelope(b"2")) == [SendStatus.SENT]


def test_a_full_topic_says_which_bound_and_which_group():
    """The error is retryable, and names the topic, the bound and who is behind."""
    broker = MemoryBroker(max_messages=2)
    broker.join("orders", "fast")
    broker.join("orders", "slow")
    broker.append("orders", [envelope(b"1"), envelope(b"2")])
    bodies(broker, "fast", settle=True)
    (result,) = broker.append("orders", [envelope(b"3")])
    assert result.retryable
    assert isinstance(result.error, TransportError)
    assert result.error.retryable
    message = str(result.error)
    assert "'orders' is full" in message
    assert "max_messages=2" in message
    assert "'slow' is the furthest behind, with 2 unsettled" in message


def test_a_topic_without_groups_says_so_when_it_is_full():
    """Nobody is behind where nobody consumes."""
    broker = MemoryBroker(max_messages=1)
    _, result = broker.append("orders", [envelope(b"1"), envelope(b"2")])
    assert "no group has consumed it yet" in str(result.error)


def test_bytes_of_body_key_and_headers_are_bounded():
    """What is counted is the UTF-8 of text and the stored bytes of anything else."""
    stray = b"\xff".decode("utf-8", "surrogateescape")
    costly = envelope(b"12345", key="\N{EURO SIGN}", name=stray, n="\N{EURO SIGN}")
    size = 5 + 3 + (4 + 1) + (1 + 3)
    broker = MemoryBroker(max_bytes=size + 10)
    assert statuses(broker, costly, envelope(b"x" * 11)) == [SendStatus.SENT, SendStatus.FAILED]
    assert statuses(broker, envelope(b"x" * 5, a="1234")) == [SendStatus.SENT]
    (result,) = broker.append("orders", [envelope(b"y")])
    assert f"1 bytes more than its {size + 10} exceed max_bytes={size + 10}" in str(result.error)


def test_bytes_are_free_again_when_a_message_is_settled():
    """Acknowledging gives the bytes back."""
    broker = MemoryBroker(max_bytes=10)
    for _ in range(5):
        assert statuses(broker, envelope(b"x" * 8)) == [SendStatus.SENT]
        bodies(broker, "a", settle=True)


def test_an_empty_topic_takes_any_one_message():
    """A message that the bound can never hold with others is held alone."""
    broker = MemoryBroker(max_bytes=10)
    big, small = envelope(b"x" * 50), envelope(b"y")
    assert statuses(broker, big, small) == [SendStatus.SENT, SendStatus.FAILED]


def test_after_a_failure_later_messages_of_its_key_fail_and_smaller_others_go_in():
    """The order of a key is kept over a partial failure, and other keys are not held up."""
    broker = MemoryBroker(max_bytes=20)
    batch = [
        envelope(b"1" * 10, key="a"),
        envelope(b"2" * 15, key="b"),
        envelope(b"3", key="b"),
        envelope(b"4", key="a"),
        envelope(b"5" * 15),
        envelope(b"6"),
    ]
    results = broker.append("orders", batch)
    sent = [result.status is SendStatus.SENT for result in results]
    assert sent == [True, False, False, True, False, True]
    assert all(result.retryable for result in results if result.error)
    assert "no room for an earlier message of this key" in str(results[2].error)
    assert bodies(broker, "g") == [b"1" * 10, b"4", b"6"]


@pytest.mark.parametrize("bound", ["max_messages", "max_bytes", "lease"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_bound_that_is_not_positive_is_refused(bound, value):
    """A broker that could hold nothing is not made, and the error names the argument."""
    with pytest.raises(UsageError, match=bound):
        MemoryBroker(**{bound: value})
