"""Credentials are kept out of aiokafka's log."""

from __future__ import annotations

import logging

import pytest
from aiokafka.protocol.admin import SaslAuthenticateRequest_v0
from aiokafka.protocol.metadata import MetadataRequest

from linkbus.transports.kafka._discretion import Discretion


def test_only_the_request_that_logs_in_is_withheld(caplog: pytest.LogCaptureFixture) -> None:
    """And only between `begin` and `end`."""
    logger = logging.getLogger("aiokafka.conn")
    login = SaslAuthenticateRequest_v0(b"secret")
    metadata = MetadataRequest([])
    discretion = Discretion()
    with caplog.at_level(logging.DEBUG, "aiokafka.conn"):
        discretion.begin()
        logger.debug("Request: %s", login)
        logger.debug("Request: %s", metadata)
        logger.debug("plain")
        discretion.end()
        during = len(caplog.records)
        logger.debug("Request: %s", login)
    assert during == 2
    assert len(caplog.records) == 3
