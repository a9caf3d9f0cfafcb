"""What the log is not told."""

from __future__ import annotations

import logging

import pytest
from aiormq import spec
from aiormq.abc import DeliveredMessage
from pamqp.header import ContentHeader

from linkbus.transports.rabbitmq._discretion import Discretion


def test_messages_are_withheld(caplog: pytest.LogCaptureFixture) -> None:
    """Only records that show a message are, and only in between."""
    message = DeliveredMessage(spec.Basic.Return(), ContentHeader(), b"secret", channel=None)  # type: ignore[arg-type] # a record needs none
    logger = logging.getLogger("aiormq.channel")
    discretion = Discretion()
    discretion.begin()
    try:
        logger.error("Unhandled message %r returning", message)
        logger.error("Got message but no active getter")
        logger.error("%(a)s", {"a": "b"})
    finally:
        discretion.end()
    assert caplog.messages == ["Got message but no active getter", "b"]
    logger.error("Unhandled message %r returning", message)
    assert "secret" in caplog.text
