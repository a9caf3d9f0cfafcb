"""The tree of errors."""

from __future__ import annotations

import pickle

import pytest

from linkbus import (
    CapabilityError,
    ConnectError,
    DeliveryError,
    DestinationNotFound,
    LinkbusError,
    MessageError,
    SendError,
    SendResult,
    SendStatus,
    SettleError,
    TransportError,
    UsageError,
)


@pytest.mark.parametrize(
    ("error", "parents"),
    [
        (TransportError, {LinkbusError}),
        (ConnectError, {TransportError}),
        (SendError, {TransportError}),
        (SettleError, {TransportError}),
        (DestinationNotFound, {TransportError}),
        (MessageError, {LinkbusError, ValueError}),
        (DeliveryError, {LinkbusError}),
        (CapabilityError, {LinkbusError}),
        (UsageError, {LinkbusError, RuntimeError}),
    ],
)
def test_each_error_has_its_place(error: type[Exception], parents: set[type[Exception]]):
    """Who catches a parent catches it, and no more than that."""
    assert set(error.__bases__) == parents
    assert issubclass(error, LinkbusError)


@pytest.mark.parametrize("kind", [TransportError, ConnectError, SettleError, DestinationNotFound])
def test_a_transport_s_error_says_whether_to_try_again(kind: type[TransportError]):
    """Not unless it was said."""
    assert not kind("lost").retryable
    assert kind("lost", retryable=True).retryable
    assert str(kind("lost")) == "lost"
    assert str(kind()) == ""


@pytest.mark.parametrize("retryable", [True, False])
def test_a_send_error_has_the_result(retryable: bool):
    """Whether to try again is the result's."""
    result = SendResult(SendStatus.FAILED, "7", retryable=retryable)
    error = SendError("lost", result)
    assert error.result is result
    assert error.retryable is retryable


def test_a_send_error_crosses_processes():
    """Pickled and back, it still has its text and its result."""
    error = SendError("lost", SendResult(SendStatus.UNKNOWN, "7"))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(again), again.result) == ("lost", error.result)
