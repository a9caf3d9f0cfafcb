"""Shape 9: what `linkbus redrive` sends is linked to the dead letter, and to its origin."""

from flows import expect, handle, ids, linked, nothing, reject

from linkbus._redrive import Redrive


async def test_whatever_the_destination(bus, app, spans):
    """Its sender is the redrive, its origin where it was made before it failed."""
    with app.start_as_current_span("GET /order"):
        await bus.producer("orders").send(b"order")
    await handle(bus.consumer("orders", dead_letter="orders.dead"), reject)
    await Redrive(bus, "orders.dead", "repaired", patience=0.05).run()
    await handle(bus.consumer("repaired"), nothing)
    expect(
        spans,
        """
        A  GET /order           INTERNAL
             send orders        PRODUCER
        B  process orders       CONSUMER  ERROR  ⇢ A/send orders {linkbus.link.relation=producer}
             send orders.dead   PRODUCER
        C  process orders.dead  CONSUMER  ⇢ B/send orders.dead {linkbus.link.relation=producer}
                                          ⇢ A/send orders {linkbus.link.relation=origin}
             send repaired      PRODUCER
        D  process repaired     CONSUMER  ⇢ C/send repaired {linkbus.link.relation=producer}
                                          ⇢ A/send orders {linkbus.link.relation=origin}
        """,
    )


async def test_it_may_fail_again(bus, spans):
    """Redriven twice, it is linked to where it was made first."""
    await bus.producer("orders").send(b"order")
    for _ in range(2):
        await handle(bus.consumer("orders", dead_letter="orders.dead"), reject)
        await Redrive(bus, "orders.dead", "orders", patience=0.05).run()
    await handle(bus.consumer("orders"), nothing)
    sends = spans.named("send orders")
    assert linked(spans.named("process orders")[-1]) == [ids(sends[2]), ids(sends[0])]


async def test_a_preview_makes_no_span(bus, spans):
    """What was only looked at was not processed."""
    await bus.producer("orders.dead").send(b"order")
    await Redrive(bus, "orders.dead", "orders", patience=0.05).preview()
    assert [span.name for span in spans.finished] == ["send orders.dead"]
