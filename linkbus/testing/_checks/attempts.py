"""Attempts: a handler that fails, what is tried again, and where it goes in the end."""

from __future__ import annotations

import anyio

import linkbus
from linkbus.testing._check import check
from linkbus.testing._checks.consuming import run_until
from linkbus.testing._checks.redelivery import short_lease
from linkbus.testing._traced import expect_tree, process_next, traced
from linkbus.testing._trial import Trial

AT_ONCE = linkbus.RetryPolicy(max_attempts=2, initial_delay=0.0)


class Service:
    """A handler that fails on some messages, and ends when it has been called often enough.

    Args:
        failures: How often it raises what, by body.
        calls: How many calls it waits for.
    """

    def __init__(self, failures: dict[bytes, list[Exception]], calls: int) -> None:
        self.failures = failures
        self.calls: list[bytes] = []
        self.times: list[float] = []
        self.enough = anyio.Event()
        self._expected = calls

    async def handle(self, delivery: linkbus.Delivery) -> None:
        """Handle one attempt."""
        self.calls.append(delivery.body)
        self.times.append(anyio.current_time())
        if len(self.calls) >= self._expected:
            self.enough.set()
        waiting = self.failures.get(delivery.body)
        if waiting:
            raise waiting.pop()

    async def run(self, trial: Trial, consumer: linkbus.Consumer, extra: float = 0.0) -> None:
        """Run until it was called often enough, or for the patience of the harness."""
        await run_until(self.enough, consumer, self.handle, trial.harness.patience + extra)


@check()
async def tried_again(trial: Trial) -> None:
    """A message that is tried again while it is held is linked to the attempt before, too."""
    destination = trial.new_destination()
    async with traced(trial) as (bus, spans):
        await trial.leave(await trial.subscribe(destination))
        await bus.producer(destination).send(b"order")
        service = Service({b"order": [LookupError()]}, 2)
        await service.run(trial, bus.consumer(destination, retry=AT_ONCE))
    expect_tree(
        spans,
        destination,
        """
        A  send orders     PRODUCER
        B  process orders  CONSUMER  ERROR  ⇢ A/send orders {linkbus.link.relation=producer}
        C  process orders  CONSUMER  ⇢ A/send orders {linkbus.link.relation=producer}
                                     ⇢ B/process orders {linkbus.link.relation=retry}
        """,
    )


@check("ordering")
async def keys_wait(trial: Trial) -> None:
    """While a message waits to be tried again its key waits, and other keys go on."""
    destination = trial.new_destination()
    async with trial.bus() as bus:
        await trial.leave(await trial.subscribe(destination))
        messages = [linkbus.Message(body, key=body[:1].decode()) for body in (b"a1", b"a2", b"b1")]
        await bus.producer(destination).send_batch(messages)
        service = Service({b"a1": [linkbus.Retry(trial.harness.quiet)]}, 4)
        await service.run(trial, bus.consumer(destination, concurrency=2))
    assert service.calls == [b"a1", b"b1", b"a1", b"a2"], f"handled were {service.calls}"


@check("extendable_lease")
async def held_while_waiting(trial: Trial) -> None:
    """A message is held while it waits to be tried again for longer than its lease."""
    destination = trial.new_destination()
    receiver = await trial.subscribe(destination)
    await trial.send_bodies(destination, b"order")
    arrival = await trial.receive_one(receiver)
    lease = short_lease(arrival)
    await trial.release(receiver, arrival)
    await trial.leave(receiver)
    async with trial.bus() as bus:
        service = Service({b"order": [linkbus.Retry(lease * 1.5)]}, 2)
        await service.run(trial, bus.consumer(destination), lease * 3)
    assert service.calls == [b"order"] * 2, f"handled were {service.calls}"
    waited = service.times[1] - service.times[0]
    assert waited >= lease * 1.5, f"it came again after {waited:.1f} s, with a lease of {lease:g}"
    await trial.expect_nothing(await trial.subscribe(destination), "its second attempt ended well")


DEAD_AND_REDRIVEN = """
A  send orders          PRODUCER
B  process orders       CONSUMER  ERROR  ⇢ A/send orders {linkbus.link.relation=producer}
C  process orders       CONSUMER  ERROR  ⇢ A/send orders {linkbus.link.relation=producer}
                                  ⇢ B/process orders {linkbus.link.relation=retry}
     send orders.dead   PRODUCER
D  process orders.dead  CONSUMER  ⇢ C/send orders.dead {linkbus.link.relation=producer}
                                  ⇢ A/send orders {linkbus.link.relation=origin}
     send orders        PRODUCER
E  process orders       CONSUMER  ⇢ D/send orders {linkbus.link.relation=producer}
                                  ⇢ A/send orders {linkbus.link.relation=origin}
"""


@check()
async def dead_letter(trial: Trial) -> None:
    """A dead letter is linked to its sender and its origin; so is it when it was redriven."""
    destination, dead = trial.new_destination(), trial.new_destination()
    async with traced(trial) as (bus, spans):
        for created in (destination, dead):
            await trial.leave(await trial.subscribe(created))
        await bus.producer(destination).send(b"order", key="k", headers={"tenant": "a"})
        service = Service({b"order": [LookupError(), LookupError()]}, 2)
        await service.run(trial, bus.consumer(destination, retry=AT_ONCE, dead_letter=dead))
        await _redrive(bus, dead, destination)
        async with bus.consumer(destination) as consumer:
            again = await process_next(consumer)
    kept = again.body, again.key, again.headers["tenant"]
    assert kept == (b"order", "k", "a"), f"body, key and header came back as {kept}"
    expect_tree(spans, destination, DEAD_AND_REDRIVEN, dead=dead)


async def _redrive(bus: linkbus.Bus, dead: str, destination: str) -> None:
    """Send one dead letter back, with all that it brought."""
    async with bus.consumer(dead) as consumer:
        async for letter in consumer:
            async with letter:
                await bus.producer(destination).send(
                    letter.body, key=letter.key, headers=letter.headers
                )
            break


@check()
async def nowhere_to_go(trial: Trial) -> None:
    """A message that nobody takes is the broker's dead letter, or stops the service and stays."""
    destination = trial.new_destination()
    service = Service({b"order": [LookupError()]}, 1)
    async with trial.bus() as bus:
        await trial.leave(await trial.subscribe(destination))
        await bus.producer(destination).send(b"order")
        if trial.capabilities.native_dead_letter:
            await service.run(trial, bus.consumer(destination))
        else:
            await _expect_delivery_error(trial, service, bus.consumer(destination))
    later = await trial.subscribe(destination)
    if trial.capabilities.native_dead_letter:
        await trial.expect_nothing(later, "the broker has it among its dead letters")
    else:
        await trial.consume(later, 1)


async def _expect_delivery_error(
    trial: Trial, service: Service, consumer: linkbus.Consumer
) -> None:
    """Fail unless the service stops because of a message that nobody can take."""
    with anyio.move_on_after(trial.harness.patience):
        try:
            await consumer.run(service.handle)
        except linkbus.DeliveryError:
            return
    msg = f"the handler was called with {service.calls}, and the service did not stop"
    raise AssertionError(msg)
