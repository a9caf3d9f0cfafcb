"""One call of `send`: what becomes of each envelope, in whatever way requests fail."""

from __future__ import annotations

from linkbus import ConnectError, MessageError, TransportError
from linkbus.abc import Envelope, SendResult, SendStatus
from linkbus.transports.sqs._call import Call
from linkbus.transports.sqs._queues import Queue

STANDARD = Queue("orders", "orders", "http://sqs/1/orders")
FIFO = Queue("orders.fifo", "orders.fifo", "http://sqs/1/orders.fifo")
LIMIT = 1000
PASSES = {"Id": "0", "Code": "InternalError", "SenderFault": False}
STAYS = {"Id": "0", "Code": "InvalidMessageContents", "SenderFault": True, "Message": "no"}


def call(queue: Queue, *keys: str | None, bodies: bytes = b"") -> Call:
    return Call(queue, [Envelope("7", bodies, key) for key in keys], LIMIT)


def states(one: Call) -> list[str]:
    """Return a letter for each result: sent, again (retryable), failed, unknown."""
    letters = []
    for result in one.results:
        again = result.status is SendStatus.FAILED and result.retryable
        letters.append("a" if again else result.status[0])
    return letters


def failed(error: Exception, *, retryable: bool = True) -> SendResult:
    return SendResult(SendStatus.FAILED, error=error, retryable=retryable)


def test_requests_go_side_by_side():
    """On a standard queue, in as many lanes as may be at once, and no more than requests."""
    lanes = call(STANDARD, *[None] * 45).lanes(2)
    assert [[len(part) for part in lane] for lane in lanes] == [[10, 10, 5], [10, 10]]
    assert call(STANDARD, None).lanes(8) == [[[0]]]


def test_bytes_split_requests():
    """Two messages that are too large together do not go together."""
    one = call(STANDARD, None, None, bodies=b"x" * 600)
    assert one.lanes(8) == [[[0]], [[1]]]
    assert one.size([0, 1]) == 2 * one.size([0]) > 1200


def test_a_fifo_queue_is_told_groups():
    """The key is the group; without one each message has its own; ids are new each time."""
    one = call(FIFO, "a", "a", "b c", None, None)
    entries = [one.entry(number) for number in range(5)]
    groups = [entry["MessageGroupId"] for entry in entries]
    assert groups[:2] == ["a", "a"]
    assert len(groups[2]) == 64
    assert groups[3] != groups[4]
    again = [one.entry(number)["MessageDeduplicationId"] for number in range(5)]
    assert len({*again, *[entry["MessageDeduplicationId"] for entry in entries]}) == 10
    assert one.entry(3)["MessageGroupId"] == groups[3]


def test_a_standard_queue_is_not():
    """A group there would mean another thing: fair queues."""
    assert set(call(STANDARD, "a").entry(0)) == {"MessageBody", "MessageAttributes"}


def test_a_request_that_is_taken():
    """All of it is sent, and nothing keeps the next one back."""
    one = call(FIFO, "a", "a", "a")
    one.note_answer([0, 1], {})
    assert one.still_wanted([2]) == [2]
    assert states(one) == ["s", "s", "s"]


def test_refused_entries():
    """On a standard queue each stands for itself."""
    one = call(STANDARD, "a", "a", "a", "a")
    one.note_answer([0, 1, 2, 3], {0: PASSES, 2: STAYS})
    assert states(one) == ["a", "s", "f", "s"]
    assert str(one.results[2].error) == (
        "a message for queue 'orders' was refused: InvalidMessageContents: no"
    )


def test_what_would_come_too_late_is_not_sent_again():
    """A refused entry of a FIFO queue, when a later one of its group was taken."""
    one = call(FIFO, "a", "b", "a", "a", "b")
    one.note_answer([0, 1, 2, 3, 4], {0: PASSES, 1: PASSES, 3: PASSES, 4: PASSES})
    assert states(one) == ["f", "a", "s", "a", "a"]


def test_later_requests_leave_out_failed_groups():
    """What comes after a failure waits for it; other groups go on."""
    one = call(FIFO, "a", "b", "a", "b", "c")
    one.note_answer([0, 1], {0: PASSES})
    assert one.still_wanted([2, 3, 4]) == [3, 4]
    assert states(one) == ["a", "s", "a", "s", "s"]
    assert "earlier one of its group" in str(one.results[2].error)


def test_a_message_that_does_not_fit_holds_back_its_group():
    """As the contract says of every failure; a standard queue has no such order."""
    batch = [Envelope("1", b"x" * 2000, "a"), Envelope("2", b"", "a"), Envelope("3", b"", "b")]
    ordered = Call(FIFO, batch, LIMIT)
    assert states(ordered) == ["f", "a", "s"]
    assert isinstance(ordered.results[0].error, MessageError)
    assert ordered.lanes(8) == [[[2]]]
    assert states(Call(STANDARD, batch, LIMIT)) == ["f", "s", "s"]


def test_nothing_is_left_to_send():
    """When no message fits there is no request."""
    assert call(STANDARD, None, bodies=b"x" * 2000).lanes(8) == []
    assert call(FIFO, None, bodies=b"x" * 2000).lanes(8) == []


def test_a_failed_request():
    """All of it has the result; on a FIFO queue the groups in it wait."""
    one = call(FIFO, "a", "b", "a")
    one.note_failure([0], failed(TransportError("refused"), retryable=False))
    assert one.still_wanted([1, 2]) == [1]
    assert states(one) == ["f", "s", "a"]


def test_when_sqs_is_not_reached_the_rest_is_not_tried():
    """However many requests there would be, each with its time limit."""
    one = call(STANDARD, *[None] * 3)
    error = ConnectError("gone", retryable=True)
    one.note_failure([0], SendResult(SendStatus.UNKNOWN, error=error))
    assert one.still_wanted([1]) == []
    one.note_failure([2], failed(error))
    assert states(one) == ["u", "a", "a"]
