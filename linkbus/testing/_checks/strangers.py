"""Strangers: messages without a context, or with a bad one, are delivered all the same."""

from __future__ import annotations

from linkbus.abc import Envelope
from linkbus.testing._check import check
from linkbus.testing._traced import expect_tree, process_next, traced
from linkbus.testing._trial import Trial

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"


async def stranger(trial: Trial, envelope: Envelope, count: str) -> None:
    """Fail unless a message from elsewhere is a root without links that counts it."""
    destination = trial.new_destination()
    async with traced(trial) as (bus, spans), bus.consumer(destination) as consumer:
        await trial.send(destination, envelope)
        delivery = await process_next(consumer)
    assert delivery.body == envelope.body, f"{delivery.body!r} came"
    expect_tree(spans, destination, f"A  process orders  CONSUMER  {{linkbus.link.{count}=1}}")


async def bad_parent(trial: Trial, value: str | bytes) -> None:
    """Fail unless a message with this traceparent is delivered, and counted as invalid."""
    envelope = trial.envelope(b"stranger", headers=[("traceparent", value)])
    await stranger(trial, envelope, "invalid")


@check()
async def no_context(trial: Trial) -> None:
    """A message without a context is processed in a root span that says so."""
    await stranger(trial, trial.envelope(b"stranger", headers={"tenant": "a"}), "missing")


@check()
async def malformed(trial: Trial) -> None:
    """A malformed traceparent is counted, and the message is delivered."""
    await bad_parent(trial, "garbage")


@check()
async def empty(trial: Trial) -> None:
    """An empty traceparent is counted, and the message is delivered."""
    await bad_parent(trial, "")


@check()
async def zeros(trial: Trial) -> None:
    """A traceparent of zeros is counted, and the message is delivered."""
    await bad_parent(trial, "00-00000000000000000000000000000000-0000000000000000-01")


@check()
async def binary(trial: Trial) -> None:
    """A binary traceparent is counted, and the message is delivered."""
    await bad_parent(trial, b"\xff\xfe\x00\x80")


@check()
async def oversized(trial: Trial) -> None:
    """An oversized traceparent is counted, and the message is delivered."""
    await bad_parent(trial, GOOD + "-" + "a" * 8000)


@check("repeated_headers")
async def repeated(trial: Trial) -> None:
    """A traceparent that is there twice is counted, and the message is delivered."""
    headers = [("traceparent", GOOD), ("traceparent", OTHER)]
    await stranger(trial, trial.envelope(b"stranger", headers=headers), "invalid")


@check()
async def foreign(trial: Trial) -> None:
    """A message of another library, with a good traceparent among its headers, is linked."""
    destination = trial.new_destination()
    envelope = trial.envelope(b"stranger", headers={"tenant": "a", "traceparent": GOOD})
    async with traced(trial) as (bus, spans), bus.consumer(destination) as consumer:
        await trial.send(destination, envelope)
        await process_next(consumer)
    links = [link.context for span in spans.finished for link in span.links]
    found = [f"00-{one.trace_id:032x}-{one.span_id:016x}-01" for one in links]
    assert found == [GOOD], f"its context is {GOOD}, and the links are {found}"


@check()
async def bad_baggage(trial: Trial) -> None:
    """Malformed baggage and tracestate cost a message neither its delivery nor its link."""
    destination = trial.new_destination()
    headers = {"traceparent": GOOD, "tracestate": "=,;=\xff", "baggage": b"\xff=%%%,,;=;"}
    async with traced(trial) as (bus, spans), bus.consumer(destination) as consumer:
        await trial.send(destination, trial.envelope(b"stranger", headers=headers))
        delivery = await process_next(consumer)
    assert delivery.body == b"stranger", f"{delivery.body!r} came"
    links = [link for span in spans.finished for link in span.links]
    assert len(links) == 1, f"its traceparent is good, and there are {len(links)} links"
