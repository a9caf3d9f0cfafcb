"""What SQS's answer to a request means for each message in it."""

from __future__ import annotations

from linkbus import SettleError, TransportError
from linkbus.abc import SettleResult
from linkbus.transports.sqs._settling import OK, answers_to

GONE = {"Id": "1", "Code": "ReceiptHandleIsInvalid", "SenderFault": True}
LATER = {"Id": "2", "Code": "InternalError", "SenderFault": False}
NEVER = {"Id": "3", "Code": "InvalidAddress", "SenderFault": True}


def test_answers():
    """Each stands at its place: told, not ours any more, to be told again, refused."""
    answers = answers_to({1: GONE, 2: LATER, 3: NEVER}, 4, "acknowledging", may_be_stale=True)
    told, gone, later, never = answers
    assert told is OK
    assert isinstance(gone, SettleResult)
    assert (gone.status, type(gone.error)) == ("stale", SettleError)
    assert isinstance(later, TransportError)
    assert later.retryable
    assert isinstance(never, SettleResult)
    assert (never.status, type(never.error)) == ("failed", TransportError)


def test_a_copy_is_not_stale():
    """What the target of a redrive policy refuses was ours, and still is."""
    refusal = {"Id": "0", "Code": "InvalidParameterValue", "SenderFault": True}
    (answer,) = answers_to({0: refusal}, 1, "copying", may_be_stale=False)
    assert isinstance(answer, SettleResult)
    assert answer.status == "failed"
