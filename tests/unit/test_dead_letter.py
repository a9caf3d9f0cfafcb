"""Dead letters: copies that tell where they come from, or an error that says why not."""

from __future__ import annotations

import json

import pytest

from linkbus import Delivery, DeliveryError, Headers, SendResult, SendStatus, TransportError
from linkbus._dead_letter import send_copy
from linkbus.abc import Arrival, carried
from tests.unit.scripted import arrival, scripted

CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def copies_of(*arrivals: Arrival, error: BaseException | None = None, **capabilities):
    """Send copies of arrivals, and return the envelopes."""
    async with scripted(**capabilities) as (bus, transport):
        holder = bus.consumer("orders")._subscribe(1)
        producer = bus.producer("orders.dead")
        for one in arrivals:
            await send_copy(producer, Delivery(one, holder), error)
        assert {destination for destination, _ in transport.sent} <= {"orders.dead"}
        return transport.envelopes


async def test_a_copy_has_the_content_and_a_new_id():
    """Body, key and the application's headers; not the id."""
    (copy,) = await copies_of(
        Arrival(id="7", body=b"x", key="k", headers=Headers({"a": "1", "traceparent": CONTEXT}))
    )
    assert (copy.body, copy.key, copy.headers["a"]) == (b"x", "k", "1")
    assert copy.id != "7"
    assert "traceparent" not in copy.headers


async def test_a_copy_tells_where_it_comes_from():
    """Context, source, id, attempts and the type of the error, never its text."""
    headers = Headers({"traceparent": CONTEXT, "tracestate": "v=1"})
    one = Arrival(id="7", body=b"x", headers=headers, attempt=3)
    (copy,) = await copies_of(one, error=ValueError("secret"), counts_deliveries=True)
    assert carried(copy.headers)["origin"] == {
        "traceparent": CONTEXT,
        "tracestate": "v=1",
        "source": "orders",
        "attempts": 3,
        "id": "7",
        "error": "ValueError",
    }
    assert "secret" not in copy.headers["linkbus"]


async def test_a_copy_of_a_stranger_tells_what_is_known():
    """Without an id, a context or an error these are left out."""
    (copy,) = await copies_of(Arrival(id=None, body=b"x"))
    assert carried(copy.headers)["origin"] == {"source": "orders", "attempts": 1}


async def test_the_first_origin_wins():
    """What was dead-lettered before keeps its lineage."""
    origin = {"source": "invoices", "id": "1"}
    headers = Headers({"linkbus": json.dumps({"origin": origin, "id": "9"})})
    (copy,) = await copies_of(Arrival(id="7", body=b"x", headers=headers))
    assert carried(copy.headers) == {"origin": origin}


@pytest.mark.parametrize(
    "values",
    [
        ['{"origin": 1}'],
        ['{"origin": {}}'],
        ['{"origin": {"source": 5}}'],
        ['{"origin": {"source": "invoices", "traceparent": "junk"}}'],
        ['{"origin": {"source": "invoices"}}', '{"origin": {"source": "invoices"}}'],
        ["nonsense"],
    ],
)
async def test_a_malformed_origin_is_replaced(values: list[str]):
    """It steers nothing."""
    headers = Headers([("linkbus", value) for value in values])
    (copy,) = await copies_of(Arrival(id="7", body=b"x", headers=headers))
    assert carried(copy.headers)["origin"] == {"source": "orders", "attempts": 1, "id": "7"}


async def test_each_delivery_gets_a_copy_in_order():
    """Copies are sent one by one."""
    copies = await copies_of(arrival("a1"), arrival("b1"))
    assert [copy.body for copy in copies] == [b"a1", b"b1"]


@pytest.mark.parametrize(
    "answer",
    [
        TransportError("full"),
        [SendResult(SendStatus.FAILED, error=TransportError("full"))],
        [SendResult(SendStatus.UNKNOWN, error=TransportError("full"))],
    ],
    ids=["raised", "failed", "unknown"],
)
async def test_a_copy_that_is_not_confirmed_is_an_error(answer):
    """It names the destination and says what to do."""
    async with scripted() as (bus, transport):
        holder = bus.consumer("orders")._subscribe(1)
        transport.sends.append(answer)
        with pytest.raises(DeliveryError, match=r"dead-lettered to 'orders\.dead'.*full") as raised:
            await send_copy(
                bus.producer("orders.dead"), Delivery(arrival("a1"), holder), ValueError()
            )
        assert isinstance(raised.value.__cause__, TransportError)


async def test_a_copy_that_the_transport_cannot_take_is_an_error():
    """It is not dropped in silence."""
    with pytest.raises(DeliveryError, match="of at most 1"):
        await copies_of(arrival("a1"), max_message_bytes=1)


async def test_a_copy_of_what_could_be_sent_can_be_sent():
    """Its lineage does not count: a transport keeps room for what linkbus adds."""
    await copies_of(arrival("a1"), max_message_bytes=len(b"a1") + len("a"))
