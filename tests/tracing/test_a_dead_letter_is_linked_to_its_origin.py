"""Shape 9: dead letters, and what is redriven, link to where the message was first made."""

import json

import pytest
from flows import (
    TRACEPARENT,
    TRACEPARENT_IDS,
    expect,
    facts,
    handle,
    ids,
    link_facts,
    linked,
    nothing,
    only,
    process_batch,
    process_next,
    reject,
    send_raw,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from linkbus import Bus, Tracing
from linkbus.transports.memory import MemoryBroker, MemoryTransport

STRANGER = "00-11111111111111111111111111111111-2222222222222222-01"


async def dead_lettered(bus, count=1):
    """Send messages that end as dead letters."""
    for _ in range(count):
        await bus.producer("orders").send(b"order", headers={"tenant": "a"})
    await handle(bus.consumer("orders", dead_letter="orders.dead"), reject, count)


async def redrive(bus, destination="orders"):
    """Send one dead letter on, with all of its headers."""

    async def resend(delivery):
        await bus.producer(destination).send(delivery.body, headers=delivery.headers)

    await handle(bus.consumer("orders.dead"), resend)


def origin_of(context):
    """Return the header of a dead letter of this origin."""
    return {"linkbus": json.dumps({"origin": context})}


async def test_from_the_first_send_to_the_second_process(bus, app, spans):
    """Whoever processes the dead letter, or what was redriven, links to both contexts."""
    with app.start_as_current_span("GET /order"):
        await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders", dead_letter="orders.dead"), reject)
    await redrive(bus)
    await handle(bus.consumer("orders"), nothing)
    expect(
        spans,
        """
        A  GET /order           INTERNAL
             send orders        PRODUCER
        B  process orders       CONSUMER  ERROR  ⇢ A/send orders {linkbus.link.relation=producer}
             send orders.dead   PRODUCER
        C  process orders.dead  CONSUMER  ⇢ B/send orders.dead {linkbus.link.relation=producer}
                                          ⇢ A/send orders {linkbus.link.relation=origin}
             send orders        PRODUCER
        D  process orders       CONSUMER  ⇢ C/send orders {linkbus.link.relation=producer}
                                          ⇢ A/send orders {linkbus.link.relation=origin}
        """,
    )


async def test_the_mirrors_name_the_sender(bus, spans):
    """There is one creation context, so the span names that one, whatever else it links to."""
    await dead_lettered(bus)
    await handle(bus.consumer("orders.dead"), nothing)
    found = facts(only(spans, "process orders.dead"))
    sender = only(spans, "send orders.dead").context
    assert found["linkbus.link.span_id"] == f"{sender.span_id:016x}"
    assert "linkbus.links" not in found


async def test_a_batch_of_dead_letters(bus, spans):
    """A batch links to every sender, and after them to every origin; only senders count."""
    await dead_lettered(bus, 2)
    async with bus.consumer("orders.dead") as consumer:
        await process_batch(consumer, 2)
    process = only(spans, "process orders.dead")
    senders = [ids(span) for span in spans.named("send orders.dead")]
    origins = [ids(span) for span in spans.named("send orders")]
    assert linked(process) == [*senders, *origins]
    relations = [one.get("linkbus.link.relation") for one in link_facts(process)]
    assert relations == [None, None, "origin", "origin"]
    assert facts(process)["linkbus.link.count"] == 2
    assert len(facts(process)["linkbus.links"]) == 2


async def test_origins_above_the_limit(provider, spans):
    """What is too much for one span is on its children, the origins too."""
    tracing = Tracing(tracer_provider=provider, max_links=2)
    async with Bus(MemoryTransport(), tracing=tracing) as bus:
        await dead_lettered(bus, 2)
        async with bus.consumer("orders.dead") as consumer:
            await process_batch(consumer, 2)
    process, rest = only(spans, "process orders.dead"), only(spans, "process orders.dead links")
    assert linked(process) == [ids(span) for span in spans.named("send orders.dead")]
    assert linked(rest) == [ids(span) for span in spans.named("send orders")]


async def test_the_first_origin_stays(bus, spans):
    """A dead letter that is redriven and dies again tells of its first making."""
    await dead_lettered(bus)
    await redrive(bus)
    await handle(bus.consumer("orders", dead_letter="orders.dead"), reject)
    await handle(bus.consumer("orders.dead"), nothing)
    last = spans.named("process orders.dead")[-1]
    assert linked(last)[1] == ids(spans.named("send orders")[0])


async def test_sent_elsewhere(bus, spans):
    """A send to any other destination than the source leaves the lineage behind."""
    await dead_lettered(bus)
    await redrive(bus, "invoices")
    async with bus.consumer("invoices") as consumer:
        delivery = await process_next(consumer)
    assert linked(only(spans, "process invoices")) == [ids(only(spans, "send invoices"))]
    assert "linkbus" not in delivery.headers
    assert delivery.headers["tenant"] == "a"


async def test_the_copy_has_a_context_and_an_id_of_its_own(bus, spans):
    """Exactly one traceparent is in it, its own; the error's type is told and not its text."""

    async def fail(delivery):
        raise ValueError(delivery.body)

    sent = await bus.producer("orders").send(b"secret")
    await handle(bus.consumer("orders", dead_letter="orders.dead"), fail)
    async with bus.consumer("orders.dead") as consumer:
        delivery = await process_next(consumer)
    sender = only(spans, "send orders.dead").context
    assert delivery.id != sent.id
    assert [value[3:52] for value in delivery.headers.get_all("traceparent")] == [
        f"{sender.trace_id:032x}-{sender.span_id:016x}"
    ]
    origin = json.loads(delivery.headers["linkbus"])["origin"]
    assert origin.pop("traceparent")[36:52] == f"{only(spans, 'send orders').context.span_id:016x}"
    assert origin == {"source": "orders", "id": sent.id, "attempts": 1, "error": "ValueError"}
    assert "secret" not in str(delivery.headers)


@pytest.mark.parametrize(
    "header",
    [
        "nonsense",
        "[1]",
        '{"origin":1}',
        '{"origin":{}}',
        '{"origin":{"source":5}}',
        '{"origin":{"traceparent":1}}',
        '{"origin":{"traceparent":"00-1-2-3"}}',
        '{"origin":{"traceparent":"' + "0" * 600 + '"}}',
        '{"origin":{"traceparent":"\\u00e9"}}',
        "[" * 5000,
        '{"origin":{"traceparent":"' + TRACEPARENT + '"},"more":"' + "x" * 9000 + '"}',
    ],
    ids=[
        "text",
        "list",
        "number",
        "nothing",
        "source",
        "not text",
        "short",
        "long",
        "not ascii",
        "deep",
        "large",
    ],
)
async def test_a_malformed_origin(provider, spans, header):
    """It is counted and steers nothing: the message is processed, and linked to its sender."""
    broker = MemoryBroker()
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    await send_raw(broker, b"", {"traceparent": TRACEPARENT, "linkbus": header})
    await send_raw(broker, b"", {"traceparent": TRACEPARENT, "linkbus": header})
    tracing = Tracing(tracer_provider=provider, meter_provider=meters)
    bus = Bus(MemoryTransport(broker), tracing=tracing)
    async with bus, bus.consumer("orders") as consumer:
        await process_next(consumer)
        await process_batch(consumer, 1)
    for process in spans.named("process orders"):
        assert linked(process) == [TRACEPARENT_IDS]
        assert facts(process)["linkbus.link.invalid"] == 1
        assert facts(process).get("linkbus.link.missing", 0) == 0
    metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    (counted,) = [metric for metric in metrics if metric.name == "linkbus.context.invalid"]
    assert sum(point.value for point in counted.data.data_points) == 2


async def test_a_malformed_origin_does_not_win(provider, spans):
    """A message that brings one has its true lineage when it becomes a dead letter."""
    broker = MemoryBroker()
    false = origin_of({"traceparent": "00-1-2-3", "source": "invoices"})
    await send_raw(broker, b"", {"traceparent": TRACEPARENT, **false})
    async with Bus(MemoryTransport(broker), tracing=Tracing(tracer_provider=provider)) as bus:
        await handle(bus.consumer("orders", dead_letter="orders.dead"), reject)
        await handle(bus.consumer("orders.dead"), nothing)
    assert linked(only(spans, "process orders.dead"))[1:] == [TRACEPARENT_IDS]


async def test_an_origin_without_a_context(provider, spans):
    """A message that was first made without a context has nothing to link to, and is not wrong."""
    broker = MemoryBroker()
    await send_raw(broker, b"", {"traceparent": TRACEPARENT, **origin_of({"source": "orders"})})
    async with Bus(MemoryTransport(broker), tracing=Tracing(tracer_provider=provider)) as bus:
        await handle(bus.consumer("orders"), nothing)
    assert linked(only(spans, "process orders")) == [TRACEPARENT_IDS]
    assert "linkbus.link.invalid" not in facts(only(spans, "process orders"))


@pytest.mark.parametrize("inbound", ["trust", "untrusted", "ignore"])
async def test_a_stranger_s_origin(provider, spans, inbound):
    """It is believed as far as the message's own context is."""
    broker = MemoryBroker()
    await send_raw(
        broker, b"", {"traceparent": TRACEPARENT, **origin_of({"traceparent": STRANGER})}
    )
    tracing = Tracing(tracer_provider=provider, inbound=inbound)
    async with Bus(MemoryTransport(broker), tracing=tracing) as bus:
        await handle(bus.consumer("orders"), nothing)
    found = link_facts(only(spans, "process orders"))[1:]
    assert (
        found
        == {
            "trust": [{"linkbus.link.relation": "origin"}],
            "untrusted": [{"linkbus.link.relation": "origin", "linkbus.link.trusted": False}],
            "ignore": [],
        }[inbound]
    )
