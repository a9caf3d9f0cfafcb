"""The public names, their signatures, and that each of them is explained."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from types import ModuleType

import pytest

import linkbus
import linkbus.abc
import linkbus.sampling
import linkbus.testing

NAMES = {
    "Bus connect Producer Consumer Message Headers Delivery Batch SendResult SendStatus Tracing",
    "RetryPolicy Retry Reject capture_context linked_span LinkedSpan",
    "LinkbusError TransportError ConnectError SendError SettleError DestinationNotFound",
    "MessageError DeliveryError CapabilityError UsageError",
}
CONTRACT = {
    "Transport Receiver Capabilities Envelope Arrival Settlement SettleResult SettleStatus",
    "SendResult SendStatus Outcome Lost carried",
}

SIGNATURES: dict[str, str] = {
    "Bus": "(transport, *, tracing=Tracing(), send_timeout=30.0)",
    "connect": "(url, *, tracing=Tracing(), send_timeout=30.0, **options)",
    "Bus.producer": "(self, destination, *, create_spans=True)",
    "Bus.consumer": "(self, source, *, group=None, concurrency=1, prefetch=None, retry=None, "
    "dead_letter=None, relation=None, drain_timeout=15.0)",
    "Producer.send": "(self, body, *, key=None, headers=(), id=None)",
    "Producer.send_batch": "(self, messages)",
    "Producer.create": "(self, body, *, key=None, headers=(), id=None)",
    "Consumer.receive": "(self, max_messages=1, *, timeout=None)",
    "Consumer.batches": "(self, *, max_messages, max_wait, max_bytes=None)",
    "Consumer.run": "(self, handler)",
    "Consumer.run_batches": "(self, handler, *, max_messages, max_wait)",
    "RetryPolicy": "(max_attempts=5, initial_delay=0.2, multiplier=2.0, max_delay=30.0, "
    "jitter=0.2, retry_on=(Exception,))",
    "Retry": "(delay=None)",
    "Reject": "(reason='')",
    "Delivery.ack": "(self)",
    "Delivery.release": "(self, delay=0.0)",
    "Delivery.reject": "(self, reason='')",
    "Message": "(body, *, key=None, headers=(), id=None, context=None)",
    "Headers": "(pairs=(), /)",
    "SendResult": "(status, id=None, error=None, retryable=False)",
    "Tracing": "(relation='link', tracer_provider=None, meter_provider=None, propagator=None, "
    "max_links=100, inbound='trust', spans=frozenset())",
    "TransportError": "(message='', *, retryable=False)",
    "SendError": "(message, result)",
    "capture_context": "()",
    "linked_span": "(name, contexts)",
    "LinkedSpan.link": "(self, context)",
    "abc.Transport.open": "(self)",
    "abc.Transport.send": "(self, destination, batch)",
    "abc.Transport.subscribe": "(self, source, group, *, prefetch, lost)",
    "abc.Transport.aclose": "(self)",
    "abc.Receiver.receive": "(self, max_messages, wait)",
    "abc.Receiver.settle": "(self, settlements)",
    "abc.Receiver.extend": "(self, arrivals, seconds)",
    "abc.Receiver.aclose": "(self)",
    "abc.Arrival": "(*, id, body, key=None, headers=Headers(), attempt=1, sent_at=None, "
    "receipt=None, lease=None, attributes={}, raw=None)",
    "abc.Settlement": "(arrival, outcome, delay=0.0)",
    "abc.SettleResult": "(status, error=None)",
    "abc.Capabilities": "(*, groups=False, ordering='none', native_dead_letter=False, "
    "delayed_release=False, extendable_lease=False, counts_deliveries=False, "
    "repeated_headers=False, max_batch=None, max_message_bytes=None, max_headers=None, "
    "durable=False, receive_cancel_safe=False)",
    "sampling.LinkedSampler": "(root, *, batches='any')",
    "testing.SpanRecorder": "(provider=None)",
    "testing.SpanRecorder.assert_linked": "(self, span, target, *, relation=None, "
    "transitive=False)",
    "testing.SpanRecorder.assert_every_message_linked": "(self, *, in_flight=())",
    "testing.assert_linked": "(spans, span, target, *, relation=None, transitive=False)",
    "testing.assert_every_message_linked": "(spans, *, in_flight=())",
}

DELIVERY = "body headers key id source attempt sent_at message raw key_bytes"
ENVELOPE = "id body key headers context wire_headers"


def found(path: str) -> Callable[..., object]:
    """Return what a dotted name below `linkbus` is."""
    thing: object = linkbus
    for name in path.split("."):
        thing = getattr(thing, name)
    assert callable(thing)
    return thing


def shown(path: str) -> str:
    """Return a signature without its annotations."""
    signature = inspect.signature(found(path))
    parameters = [
        one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()
    ]
    bare = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    return (
        str(bare)
        .replace("<Headers, empty>", "Headers()")
        .replace("<class 'Exception'>", "Exception")
        .replace(repr(linkbus.Tracing()), "Tracing()")
    )


def words(lines: set[str]) -> set[str]:
    return {word for line in lines for word in line.split()}


@pytest.mark.parametrize(("module", "names"), [(linkbus, NAMES), (linkbus.abc, CONTRACT)])
def test_the_names_are_those_of_the_design(module: ModuleType, names: set[str]):
    """`__all__` is sorted, has no other name, and every name is there."""
    assert set(module.__all__) == words(names)
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert hasattr(module, name)


def test_nothing_else_is_public():
    """What has no leading underscore is in `__all__`, or is a public module."""
    public = {name for name in vars(linkbus) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(linkbus, name), ModuleType)}
    assert public - modules == set(linkbus.__all__)
    assert modules <= {"abc", "testing", "transports", "sampling", "cli", "verify", "viewer"}


@pytest.mark.parametrize("name", sorted(words(NAMES)))
def test_every_name_is_explained_and_at_home(name: str):
    """It has a docstring, and says that it is of `linkbus`."""
    thing = getattr(linkbus, name)
    assert thing.__module__ == "linkbus"
    assert len(inspect.getdoc(thing) or "") > 20


@pytest.mark.parametrize("name", sorted(words(NAMES)))
def test_every_public_method_is_explained(name: str):
    """Its docstring begins with one sentence of less than 80 characters."""
    thing = getattr(linkbus, name)
    for attribute, value in vars(thing).items() if inspect.isclass(thing) else ():
        unwrapped = value.__func__ if isinstance(value, classmethod) else value
        if attribute.startswith("_") or not (
            inspect.isfunction(unwrapped) or isinstance(unwrapped, property)
        ):
            continue
        first = (inspect.getdoc(unwrapped) or "").split("\n")[0]
        assert re.fullmatch(r".{10,79}[.:]", first), f"{name}.{attribute}: {first!r}"


@pytest.mark.parametrize(("path", "signature"), SIGNATURES.items(), ids=SIGNATURES)
def test_signatures_are_those_of_the_design(path: str, signature: str):
    """Names, kinds and defaults of the arguments; others may follow by keyword."""
    if path == "linked_span":  # the design fixes its two arguments, no more
        assert list(inspect.signature(linkbus.linked_span).parameters)[:2] == ["name", "contexts"]
        return
    assert shown(path) == signature


@pytest.mark.parametrize("path", [path for path in SIGNATURES if path[0].islower() or "." in path])
def test_no_public_signature_has_any(path: str):
    """Nor a parameter or a return value without a type."""
    signature = inspect.signature(found(path))
    annotations = [
        one.annotation for one in signature.parameters.values() if one.name not in {"self"}
    ]
    for annotation in (*annotations, signature.return_annotation):
        if inspect.isclass(found(path)) and annotation is signature.return_annotation:
            continue
        assert annotation is not inspect.Parameter.empty
        assert not re.search(r"\bAny\b", str(annotation))


def test_a_delivery_and_an_envelope_have_their_facts():
    """Those that the design lists."""
    for name in DELIVERY.split():
        assert hasattr(linkbus.Delivery, name)
    for name in ENVELOPE.split():
        assert hasattr(linkbus.abc.Envelope, name)


@pytest.mark.parametrize(
    "cls", [linkbus.Message, linkbus.RetryPolicy, linkbus.SendResult, linkbus.Tracing]
)
def test_values_are_frozen_and_slotted(cls: type):
    """They may be shared by any tasks, and have no attributes of chance."""
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen
    assert not hasattr(cls, "__dict__") or "__dict__" not in dir(cls)


def test_errors_of_the_design_are_errors():
    """Every name that ends like one, and the two that read as requests."""
    errors = [name for name in linkbus.__all__ if name.endswith("Error")]
    for name in [*errors, "DestinationNotFound", "Retry", "Reject"]:
        assert issubclass(getattr(linkbus, name), linkbus.LinkbusError)
