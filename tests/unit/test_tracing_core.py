"""What a transport says of a destination is on its spans, and names them."""

from collections.abc import Callable, Mapping

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from linkbus import Message, Tracing
from linkbus._tracing._core import TracingCore, label_of
from linkbus._tracing._incoming import Incoming
from linkbus._tracing._processing import ConsumerTracer
from linkbus._tracing._sending import ProducerTracer
from linkbus.abc import Arrival
from linkbus.testing import SpanRecorder

NAME, TEMPLATE = "messaging.destination.name", "messaging.destination.template"

Describe = Callable[[str, str | None], Mapping[str, str | int]]


def core(describe: Describe) -> TracingCore:
    return TracingCore(Tracing(), "aws_sqs", lambda: {"server.port": 1}, describe)


def test_a_destination_of_which_nothing_is_said():
    """It is called as the application calls it."""
    base = core(lambda *_: {}).base("orders")
    assert base == {"messaging.system": "aws_sqs", NAME: "orders", "server.port": 1}
    assert label_of(base) == "orders"


def test_the_name_that_a_transport_gives():
    """A URL is no name for spans: the transport has a better one."""
    base = core(lambda url, _: {NAME: url.rpartition("/")[2]}).base("https://host/1/orders")
    assert base[NAME] == label_of(base) == "orders"


def test_the_template_names_the_spans():
    """Where the conventions want a name of many parts, spans have the plain one."""
    base = core(lambda name, group: {NAME: f"{name}:{group}", TEMPLATE: name}).base("a", "b")
    assert (base[NAME], label_of(base)) == ("a:b", "a")


def test_a_transport_that_fails_to_describe(caplog):
    """Tracing changes no outcome: the application's name is left."""

    def describe(name: str, group: str | None) -> Mapping[str, str | int]:
        raise ValueError(name)

    assert core(describe).base("orders")[NAME] == "orders"


@pytest.mark.parametrize("operation", ["send", "create", "process"])
def test_every_span_has_it(operation: str):
    """Of producers and of consumers."""
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    with SpanRecorder(provider) as spans:
        made = TracingCore(
            Tracing(tracer_provider=spans.tracer_provider), "x", dict, lambda *_: {NAME: "short"}
        )
        producer = ProducerTracer(made, "a long one", create_spans=True)
        producer.begin_batch([Message(b"")], ["1"])[1].end(None)
        consumer = ConsumerTracer(made, "a long one", "group", None)
        consumer.begin(Incoming(Arrival(id="1", body=b""), consumer), None).finish("ack")
    (span,) = spans.named(f"{operation} short")
    assert span.attributes[NAME] == "short"
