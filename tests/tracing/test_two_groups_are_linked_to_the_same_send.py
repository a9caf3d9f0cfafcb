"""Shape 15: two groups process one message in two traces, linked to the same span."""

from flows import expect, process_next


async def test_two_groups(bus, spans):
    """Each group's process span is a root, linked to the one send span."""
    async with (
        bus.consumer("orders", group="billing") as billing,
        bus.consumer("orders", group="shipping") as shipping,
    ):
        await bus.producer("orders").send(b"order")
        await process_next(billing)
        await process_next(shipping)
    expect(
        spans,
        """
        A  send orders     PRODUCER
        B  process orders  CONSUMER  {messaging.consumer.group.name=billing}
                                     ⇢ A/send orders {linkbus.link.relation=producer}
        C  process orders  CONSUMER  {messaging.consumer.group.name=shipping}
                                     ⇢ A/send orders {linkbus.link.relation=producer}
        """,
        attributes=["messaging.consumer.group.name"],
    )
