"""Shape 8: what was created in one trace and is sent in another stays linked to its making."""

import json

import pytest
from flows import TRACEPARENT, TRACEPARENT_IDS, expect, facts, ids, linked, only, process_next
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import (
    NonRecordingSpan,
    NoOpTracerProvider,
    SpanContext,
    TraceFlags,
    use_span,
)

import linkbus
from linkbus import Bus, Message, Tracing
from linkbus.transports.memory import MemoryTransport


async def test_created_and_sent_in_two_traces(bus, app, spans):
    """The send span and the process span both link to the create span."""
    producer = bus.producer("orders")
    with app.start_as_current_span("GET /order"):
        message = producer.create(b"order")
    with app.start_as_current_span("outbox"):
        await producer.send(message)
    async with bus.consumer("orders") as consumer:
        delivery = await process_next(consumer)
    expect(
        spans,
        """
        A  GET /order       INTERNAL
             create orders  PRODUCER
        B  outbox           INTERNAL
             send orders    CLIENT    ⇢ A/create orders
        C  process orders   CONSUMER  ⇢ A/create orders {linkbus.link.relation=producer}
        """,
    )
    assert delivery.id == message.id
    assert facts(only(spans, "create orders")) == {
        "messaging.system": "memory",
        "messaging.operation.name": "create",
        "messaging.operation.type": "create",
        "messaging.destination.name": "orders",
        "messaging.message.id": message.id,
        "messaging.message.body.size": 5,
    }


async def test_what_create_gives_has_all_that_it_was_given(bus):
    """A created message has the key, the headers and the id that it was made with."""
    made = bus.producer("orders").create(b"a", key="k", headers={"tenant": "a"}, id="7")
    assert (made.body, made.key, made.id) == (b"a", "k", "7")
    assert dict(made.headers) == {"tenant": "a"}
    assert set(made.context) == {"traceparent"}


async def test_through_an_outbox(bus, app, spans, provider, transport):
    """A context that was stored as text, and sent by another bus, is what leaves."""
    with app.start_as_current_span("GET /order"):
        made = bus.producer("orders").create(b"order")
    row = json.dumps({"id": made.id, "context": made.context})
    other = Bus(MemoryTransport(transport.broker), tracing=Tracing(tracer_provider=provider))
    async with other:
        stored = json.loads(row)
        await other.producer("orders").send(
            Message(b"order", id=stored["id"], context=stored["context"])
        )
    async with bus.consumer("orders") as consumer:
        await process_next(consumer)
    create = ids(only(spans, "create orders"))
    assert linked(only(spans, "send orders")) == linked(only(spans, "process orders")) == [create]
    assert only(spans, "send orders").kind.name == "CLIENT"


async def test_a_context_that_was_captured(bus, global_spans, spans):
    """What `capture_context` gave is a creation context: linked, and without a create span."""
    tracer = global_spans.tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("GET /order") as request:
        stored = linkbus.capture_context()
    message = Message(b"order", context=stored)
    async with bus.consumer("orders") as consumer:
        await bus.producer("orders").send(message)
        await bus.producer("orders").send_batch([message])
        headers = [(await process_next(consumer)).headers for _ in range(2)]
    assert spans.named("create orders") == []
    assert {s.kind.name for s in spans.named("send orders")} == {"CLIENT"}
    assert [dict(given) for given in headers] == [stored, stored]
    processes = spans.named("process orders")
    assert [linked(span) for span in processes] == [[ids(request)], [ids(request)]]


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"traceparent": "junk"},
        {"traceparent": ""},
        {"traceparent": None},
        {"traceparent": b"\xff"},
        {"baggage": "a=b"},
        {"tracestate": "a=b"},
        {"unknown": "x"},
        {1: 2},
    ],
)
async def test_a_context_with_nothing_valid_in_it(bus, spans, context):
    """A stored context that is none counts as if it were not given, alone and in a batch."""
    message = Message(b"order", context=context)
    async with bus.consumer("orders") as consumer:
        await bus.producer("orders").send(message)
        await bus.producer("orders").send_batch([message])
        await process_next(consumer)
        await process_next(consumer)
    single, batch = spans.named("send orders")
    create = only(spans, "create orders")
    assert (single.kind.name, batch.kind.name) == ("PRODUCER", "CLIENT")
    assert [linked(s) for s in spans.named("process orders")] == [[ids(single)], [ids(create)]]


async def test_a_header_is_never_a_creation_context(bus, spans):
    """A traceparent among the headers is replaced by the send span's own."""
    async with bus.consumer("orders") as consumer:
        await bus.producer("orders").send(b"order", headers={"traceparent": TRACEPARENT})
        await process_next(consumer)
    assert linked(only(spans, "process orders")) == [ids(only(spans, "send orders"))]


async def test_a_stored_context_beats_a_header(bus, spans):
    """With both, the stored context is what leaves, and it leaves alone."""
    other = TRACEPARENT.replace("b7ad6b7169203331", "1111111111111111")
    message = Message(b"", headers={"Traceparent": other}, context={"traceparent": TRACEPARENT})
    async with bus.consumer("orders") as consumer:
        await bus.producer("orders").send(message)
        delivery = await process_next(consumer)
    assert list(delivery.headers.items()) == [("traceparent", TRACEPARENT)]
    assert linked(only(spans, "process orders")) == [TRACEPARENT_IDS]


async def test_where_nothing_is_sampled(spans):
    """An unsampled creation context is carried all the same, marked as not sampled."""
    off = Tracing(tracer_provider=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    bus = Bus(MemoryTransport(), tracing=off)
    made = bus.producer("orders").create(b"order")
    assert int(made.context["traceparent"][-2:], 16) & 1 == 0


async def test_without_an_sdk():
    """Where nothing records, `create` keeps the context that is current, if there is one."""
    silent = Tracing(tracer_provider=NoOpTracerProvider())
    producer = Bus(MemoryTransport(), tracing=silent).producer("orders")
    assert producer.create(b"order").context is None
    with use_span(
        NonRecordingSpan(SpanContext(*TRACEPARENT_IDS, is_remote=True, trace_flags=TraceFlags(1)))
    ):
        assert producer.create(b"order").context == {"traceparent": TRACEPARENT}


async def test_a_stored_context_with_more_in_it(bus, spans):
    """Only what the propagator writes leaves, and no more of it than is read again."""
    stored = {
        "traceparent": TRACEPARENT,
        "tenant": "evil",
        "linkbus": "{}",
        "baggage": "a=" + "b" * 10_000,
        "tracestate": "c=d",
    }
    await bus.producer("orders").send(Message(b"", headers={"tenant": "good"}, context=stored))
    async with bus.consumer("orders") as consumer:
        delivery = await process_next(consumer)
    assert dict(delivery.headers) == {
        "traceparent": TRACEPARENT,
        "tracestate": "c=d",
        "tenant": "good",
    }
    assert linked(only(spans, "process orders")) == [TRACEPARENT_IDS]
