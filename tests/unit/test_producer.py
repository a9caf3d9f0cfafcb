"""Producer: what is sent, what is tried again, and what its results and errors say."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from linkbus import (
    DestinationNotFound,
    Message,
    MessageError,
    SendError,
    SendResult,
    SendStatus,
    TransportError,
    UsageError,
)
from tests.unit.scripted import scripted

SENT = SendResult(SendStatus.SENT)
LOST = TransportError("lost", retryable=True)
BUSY = SendResult(SendStatus.FAILED, error=LOST, retryable=True)
BAD = SendResult(SendStatus.FAILED, error=TransportError("bad"))
UNKNOWN = SendResult(SendStatus.UNKNOWN, error=TransportError("no answer"))


def messages(*ids: str) -> list[Message]:
    return [Message(b"x", id=one, key=one[0]) for one in ids]


def statuses(results: list[SendResult]) -> list[tuple[str | None, str]]:
    return [(result.id, result.status.value) for result in results]


async def test_a_message_is_sent_whole():
    """Body, key, headers and id arrive at the transport, and the id in the result."""
    async with scripted(repeated_headers=True) as (bus, transport):
        result = await bus.producer("orders").send(
            b"x", key=b"\xff", headers=[("a", 1), ("a", None)], id="7"
        )
        assert result == SendResult(SendStatus.SENT, "7")
        (envelope,) = transport.envelopes
        assert (envelope.id, envelope.body, envelope.key) == ("7", b"x", "\udcff")
        assert list(envelope.headers.items()) == [("a", "1"), ("a", "")]
        assert transport.sent == [("orders", ["7"])]
        assert bus.producer("orders").destination == "orders"


async def test_a_message_without_an_id_gets_a_new_one_each_time():
    """The result says which."""
    async with scripted() as (bus, transport):
        producer, message = bus.producer("orders"), Message(b"x")
        ids = {(await producer.send(message)).id for _ in range(3)}
        assert len(ids) == 3
        assert {one.id for one in transport.envelopes} == ids


async def test_a_whole_message_is_given_alone():
    """`send(message)` with a key, headers or an id beside it is a UsageError."""
    async with scripted() as (bus, _):
        for options in ({"key": "k"}, {"headers": {"a": "1"}}, {"id": "7"}):
            with pytest.raises(UsageError, match="takes no key, headers or id"):
                await bus.producer("orders").send(Message(b"x"), **options)


async def test_a_bus_that_is_not_open_sends_nothing():
    """Every way to send is a UsageError."""
    async with scripted() as (bus, _):
        producer = bus.producer("orders")
    for send in (producer.send(b"x"), producer.send_batch([Message(b"x")])):
        with pytest.raises(UsageError, match="closed"):
            await send


async def test_a_failure_that_may_pass_is_sent_again_with_the_same_id():
    """Whether the transport answered it or raised it."""
    async with scripted() as (bus, transport):
        transport.sends.extend([[BUSY], LOST, SendError("s", BUSY)])
        result = await bus.producer("orders").send(b"x")
        assert [ids for _, ids in transport.sent] == [[result.id]] * 4


async def test_send_timeout_bounds_the_attempts():
    """After it the error says that the message is not there, and may be sent again."""
    async with scripted(send_timeout=0.02) as (bus, transport):
        transport.sends.extend([[BUSY]] * 100)
        with pytest.raises(SendError, match=r"after 0.02 s of attempts \(lost\)") as raised:
            await bus.producer("orders").send(b"x", id="7")
        assert raised.value.retryable
        assert raised.value.result == SendResult(SendStatus.FAILED, "7", LOST, retryable=True)
        assert raised.value.__cause__ is LOST
        assert 1 < len(transport.sent) < 5


async def test_without_send_timeout_there_is_one_attempt():
    """0 seconds: the transport is called once."""
    async with scripted(send_timeout=0) as (bus, transport):
        transport.sends.append([BUSY])
        with pytest.raises(SendError):
            await bus.producer("orders").send(b"x")
        assert len(transport.sent) == 1


@pytest.mark.parametrize(
    "answer", [[UNKNOWN], SendError("no answer", UNKNOWN)], ids=["answered", "raised"]
)
async def test_unknown_is_never_sent_again(answer):
    """The broker may have it: the error warns of a duplicate."""
    async with scripted() as (bus, transport):
        transport.sends.append(answer)
        with pytest.raises(SendError, match="may make a duplicate") as raised:
            await bus.producer("orders").send(b"x")
        assert raised.value.result.status is SendStatus.UNKNOWN
        assert not raised.value.retryable
        assert len(transport.sent) == 1


async def test_another_failure_is_raised_at_once():
    """FAILED and not retryable, answered or raised, is a SendError from its cause."""
    async with scripted() as (bus, transport):
        transport.sends.extend([[BAD], TransportError("worse")])
        for match in ("does not have the message .bad.", "worse"):
            with pytest.raises(SendError, match=match):
                await bus.producer("orders").send(b"x")
        assert len(transport.sent) == 2


@pytest.mark.parametrize("error", [DestinationNotFound("no orders"), MessageError("too big")])
async def test_what_is_wrong_with_the_message_is_raised_as_it_is(error: Exception):
    """A missing destination and a refused message are not wrapped, raised or answered."""
    async with scripted() as (bus, transport):
        transport.sends.extend([error, [SendResult(SendStatus.FAILED, error=error)]])
        for _ in range(2):
            with pytest.raises(type(error)) as raised:
                await bus.producer("orders").send(b"x")
            assert raised.value is error


async def test_another_exception_of_a_transport_is_raised_as_it_is():
    """It is a defect, and no result."""
    async with scripted() as (bus, transport):
        transport.sends.extend([RuntimeError("bug"), RuntimeError("bug")])
        with pytest.raises(RuntimeError, match="bug"):
            await bus.producer("orders").send(b"x")
        with pytest.raises(RuntimeError, match="bug"):
            await bus.producer("orders").send_batch(messages("a1"))


async def test_a_refused_message_never_reaches_the_transport():
    """The core checks sizes and headers first."""
    async with scripted(max_message_bytes=3) as (bus, transport):
        with pytest.raises(MessageError, match="4 bytes, of at most 3"):
            await bus.producer("orders").send(b"1234")
        assert transport.sent == []


@pytest.mark.parametrize("given", [[], [SENT, SENT]])
async def test_a_wrong_number_of_results_is_unknown(given):
    """What a defective transport did is not known, and not done again."""
    async with scripted() as (bus, transport):
        transport.sends.extend([given, [SENT]])
        with pytest.raises(SendError, match=f"gave {len(given)} results for 1"):
            await bus.producer("orders").send(b"x")
        (one, two) = await bus.producer("orders").send_batch(messages("a1", "b1"))
        assert statuses([one, two]) == [("a1", "unknown"), ("b1", "unknown")]


async def test_a_cancelled_send_raises_and_is_not_repeated():
    """Cancelled in the transport or between attempts, it ends."""
    async with scripted() as (bus, transport):
        transport.sends.append(anyio.Event())
        with anyio.move_on_after(0.01) as scope:
            await bus.producer("orders").send(b"x")
        assert scope.cancelled_caught
        transport.sends.extend([[BUSY]] * 100)
        task = asyncio.create_task(bus.producer("orders").send_batch(messages("a1")))
        await transport.watch.until(lambda: len(transport.sent) == 2)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_a_batch_gets_one_result_each_in_order():
    """Whatever becomes of them, nothing is raised."""
    async with scripted() as (bus, transport):
        transport.sends.append([SENT, BAD, UNKNOWN])
        results = await bus.producer("orders").send_batch(iter(messages("a1", "b1", "c1")))
        assert statuses(results) == [("a1", "sent"), ("b1", "failed"), ("c1", "unknown")]
        assert transport.sent == [("orders", ["a1", "b1", "c1"])]


async def test_an_empty_batch_makes_no_call():
    """There is nothing to send."""
    async with scripted() as (bus, transport):
        assert await bus.producer("orders").send_batch([]) == []
        assert transport.sent == []


async def test_a_bad_message_does_not_keep_the_others_back():
    """It is FAILED with its error, in its place; if all are bad there is no call."""
    async with scripted(max_message_bytes=3) as (bus, transport):
        bad = Message(b"1234", id="c1")
        results = await bus.producer("orders").send_batch([*messages("a1"), bad, *messages("b1")])
        assert statuses(results) == [("a1", "sent"), ("c1", "failed"), ("b1", "sent")]
        assert isinstance(results[1].error, MessageError)
        (alone,) = await bus.producer("orders").send_batch([bad])
        assert isinstance(alone.error, MessageError)
        assert len(transport.sent) == 1


async def test_only_messages_are_sent_in_batches():
    """A body by itself is a UsageError, before anything is sent."""
    async with scripted() as (bus, transport):
        with pytest.raises(UsageError, match="takes messages, not bytes"):
            await bus.producer("orders").send_batch([Message(b"x"), b"y"])
        assert transport.sent == []


async def test_only_what_failed_is_sent_again():
    """In its order, with its ids, until it is sent or the time is over."""
    async with scripted(send_timeout=0.3) as (bus, transport):
        transport.sends.extend([[SENT, BUSY, BUSY, BAD], [BUSY, SENT], [SENT]])
        results = await bus.producer("orders").send_batch(messages("a1", "b1", "b2", "c1"))
        assert [ids for _, ids in transport.sent] == [
            ["a1", "b1", "b2", "c1"],
            ["b1", "b2"],
            ["b1"],
        ]
        assert [one for _, one in statuses(results)] == ["sent", "sent", "sent", "failed"]


async def test_a_batch_is_sent_in_calls_of_what_the_transport_takes():
    """`max_batch` at a time, in order, in one call where it fits."""
    async with scripted(max_batch=2) as (bus, transport):
        ids = ["a1", "a2", "b1", "b2", "c1"]
        results = await bus.producer("orders").send_batch(messages(*ids))
        assert [sent for _, sent in transport.sent] == [["a1", "a2"], ["b1", "b2"], ["c1"]]
        assert [one for one, _ in statuses(results)] == ids


async def test_a_transport_without_order_goes_on_after_a_failure():
    """The later calls are made, and what failed is sent again after them."""
    async with scripted(max_batch=1) as (bus, transport):
        transport.sends.extend([[BUSY]])
        await bus.producer("orders").send_batch(messages("a1", "a2"))
        assert [sent for _, sent in transport.sent] == [["a1"], ["a2"], ["a1"]]


@pytest.mark.parametrize("ordering", ["key", "queue"])
async def test_later_calls_do_not_overtake_a_failure(ordering: str):
    """Where order is kept they wait for the next round, all of them."""
    async with scripted(max_batch=2, ordering=ordering) as (bus, transport):
        transport.sends.extend([[SENT, SENT], [BUSY, SENT]])
        ids = ["a1", "a2", "a3", "b1", "a4"]
        results = await bus.producer("orders").send_batch(messages(*ids))
        assert [sent for _, sent in transport.sent] == [["a1", "a2"], ["a3", "b1"], ["a3", "a4"]]
        assert statuses(results) == [(one, "sent") for one in ids]


async def test_what_was_kept_back_to_the_end_is_failed_under_its_own_id():
    """Each envelope that was never tried has a result with its own id, to be sent again."""
    async with scripted(max_batch=1, ordering="key", send_timeout=0) as (bus, transport):
        transport.sends.extend([[SENT], [BUSY]])
        results = await bus.producer("orders").send_batch(messages("a1", "a2", "a3", "a4"))
        assert statuses(results) == [
            ("a1", "sent"),
            ("a2", "failed"),
            ("a3", "failed"),
            ("a4", "failed"),
        ]
        assert all(result.retryable for result in results[1:])
        assert len(transport.sent) == 2


async def test_a_failure_that_does_not_pass_keeps_nothing_back():
    """The later calls are made: it will not be sent after them."""
    async with scripted(max_batch=1, ordering="key") as (bus, transport):
        transport.sends.extend([[BAD]])
        results = await bus.producer("orders").send_batch(messages("a1", "a2"))
        assert statuses(results) == [("a1", "failed"), ("a2", "sent")]


async def test_a_result_may_name_another_id():
    """A transport that knows better says under which id the message is."""
    async with scripted() as (bus, transport):
        transport.sends.append([SendResult(SendStatus.SENT, "broker-1")])
        assert (await bus.producer("orders").send(b"x")).id == "broker-1"


async def test_a_failure_may_have_no_error():
    """A status alone is enough for an error that says what is known."""
    async with scripted() as (bus, transport):
        transport.sends.append([SendResult(SendStatus.FAILED)])
        with pytest.raises(SendError, match="does not have the message"):
            await bus.producer("orders").send(b"x")


async def test_a_created_message_has_an_id_and_is_sent_later():
    """It keeps what it was made of; without tracing it has no context to keep."""
    async with scripted() as (bus, transport):
        producer = bus.producer("orders")
        message = producer.create(b"x", key="k", headers={"a": "1"})
        assert message.id
        assert (message.body, message.key, message.headers) == (b"x", "k", {"a": "1"})
        assert producer.create(b"x", id="7").id == "7"
        assert (await producer.send(message)).id == message.id
        assert transport.envelopes[0].headers == {"a": "1"}


async def test_headers_of_an_earlier_message_do_not_leave():
    """Whoever sends on what arrived sends no old context and no old id."""
    async with scripted() as (bus, transport):
        await bus.producer("orders").send(
            b"x", headers={"traceparent": "00-a", "linkbus": '{"id":"7"}', "a": "1"}
        )
        assert transport.envelopes[0].headers == {"a": "1"}
