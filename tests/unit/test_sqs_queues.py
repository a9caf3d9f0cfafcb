"""Queues by name and URL, and the targets of redrive policies."""

from __future__ import annotations

import pytest

from linkbus import TransportError
from linkbus.transports.sqs._queues import Queue, target_of


def test_a_name_says_what_a_queue_is():
    """SQS has it so: names of FIFO queues end alike."""
    assert Queue("a", "orders.fifo", "u").is_fifo
    assert not Queue("a", "orders.fifo.old", "u").is_fifo
    assert Queue("a", "orders", "u").facts == {"aws.sqs.queue.url": "u"}


def test_a_target_has_an_account_and_a_name():
    """Its queue may belong to another account."""
    policy = '{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:dead","maxReceiveCount":3}'
    assert target_of(policy) == ("123456789012", "dead")


@pytest.mark.parametrize("policy", ["", "{}", "[]", "null", '{"deadLetterTargetArn":"dead"}'])
def test_a_policy_without_a_target(policy):
    """It is an error, and no guess."""
    with pytest.raises(TransportError, match="names no target"):
        target_of(policy)
