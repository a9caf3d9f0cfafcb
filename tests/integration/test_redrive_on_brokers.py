"""`linkbus redrive` as its user runs it, on real brokers: whatever ends it, nothing is lost."""

from __future__ import annotations

import json
import re
import signal

import pytest

import linkbus
from linkbus.abc import carried
from linkbus.testing import SpanRecorder
from tests.brokers.fixtures import SQS, Kafka, RabbitMQ
from tests.integration.rabbitmq_opening import new_name
from tests.integration.redriving import Ledger, Place, ended, run, started

pytestmark = pytest.mark.timeout(90)


async def on_kafka(request: pytest.FixtureRequest) -> Place:
    kafka: Kafka = request.getfixturevalue("kafka")
    dead, orders = kafka.create_topic(partitions=3), kafka.create_topic(partitions=3)
    return Place(f"kafka://{kafka.bootstrap}?heartbeat_interval=0.2", dead, dead, orders)


async def on_rabbitmq(request: pytest.FixtureRequest) -> Place:
    rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
    dead, orders = new_name(), new_name()
    async with (
        linkbus.connect(rabbitmq.url) as bus,
        bus.consumer(dead, group="linkbus-redrive"),
        bus.consumer(orders),
    ):
        pass  # the queues are there from here on
    return Place(rabbitmq.url, dead, dead, orders, wait="1")


async def on_a_queue_of_rabbitmq(request: pytest.FixtureRequest) -> Place:
    place = await on_rabbitmq(request)
    source = f"/{place.dead}.linkbus-redrive"
    return Place(place.url, place.dead, source, place.destination, wait="1")


async def on_sqs(request: pytest.FixtureRequest) -> Place:
    sqs: SQS = request.getfixturevalue("sqs")
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    dead, orders = sqs.create_queue(), sqs.create_queue()
    options = "region_name=elasticmq&poll_wait=1&max_message_bytes=237568&visibility_timeout=4"
    url = f"sqs://{sqs.endpoint.removeprefix('http://')}?{options}"
    return Place(url, dead, dead, orders, many=300, wait_for_killed="7")


BROKERS = [
    pytest.param(on_kafka, id="kafka"),
    pytest.param(on_rabbitmq, id="rabbitmq"),
    pytest.param(on_sqs, id="sqs"),
]
PLACES = [*BROKERS, pytest.param(on_a_queue_of_rabbitmq, id="rabbitmq-queue")]


@pytest.fixture
async def place(request: pytest.FixtureRequest) -> Place:
    """Return a place on the broker that the test is for."""
    return await request.param(request)


@pytest.mark.broker
@pytest.mark.parametrize("place", PLACES, indirect=True)
async def test_dead_letters_are_sent_back(place: Place):
    """All of them, as they were, and linked to their origin though the command traces nothing."""
    ledger = Ledger()
    with SpanRecorder() as spans:
        await place.fail(25)
        async with ledger.kept(place):
            done = await run(place.command())
            await ledger.until(25)
            again = await run(place.command())
    assert (done.code, again.code) == (0, 0), (done, again)
    where = f"from '{place.source}' to '{place.destination}'\n"
    assert done.out.startswith(f"25 messages sent {where}no more came")
    assert again.out.startswith(f"0 messages sent {where}no more came")
    assert set(ledger.arrived.values()) == {1}
    for delivery in ledger.deliveries:
        assert (delivery.key, delivery.headers["tenant"]) == (delivery.body.decode(), "a")
        assert carried(delivery.headers)["origin"]["source"] == place.destination
    processes = spans.named(f"process {place.destination}")[-25:]
    for process in processes:
        spans.assert_linked(process, f"send {place.dead}")
        spans.assert_linked(process, f"send {place.destination}")


@pytest.mark.broker
@pytest.mark.parametrize("place", BROKERS, indirect=True)
async def test_a_dry_run_changes_nothing(place: Place):
    """It shows each dead letter once, and a redrive still finds them all."""
    await place.fail(25)
    shown = await run(place.command("--dry-run"))
    assert shown.code == 0, shown
    rows = re.findall(
        rf"^(\S+) +{place.destination} +1 +linkbus.Reject +\d+ \w+$", shown.out, re.MULTILINE
    )
    assert len(set(rows)) == len(rows) == 25, shown.out
    assert "25 messages would be sent from" in shown.out
    ledger = Ledger()
    async with ledger.kept(place):
        done = await run(place.command("--max", "20"))
        rest = await run(place.command())
        await ledger.until(25)
    assert done.out.startswith("20 messages sent"), done
    assert rest.out.startswith("5 messages sent"), rest
    assert set(ledger.arrived.values()) == {1}


@pytest.mark.broker
@pytest.mark.parametrize("place", BROKERS, indirect=True)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
async def test_interrupted_in_the_middle(place: Place, how: signal.Signals):
    """What was not sent is sent by the next redrive; asked to stop, it sends nothing twice."""
    await place.fill(place.many)
    ledger = Ledger()
    async with ledger.kept(place):
        async with started(place.command()) as process:
            await ledger.until(10)
            process.send_signal(how)
            interrupted = await ended(process)
        rest = await run(place.command("--wait", place.wait_for_killed))
        await ledger.until(place.many)
    assert rest.code == 0, rest
    sent = int(rest.out.partition(" ")[0].replace(",", ""))
    twice = ledger.arrived.total() - place.many
    print(f"{place.many} dead letters, {place.many - sent} sent before {how.name}, {twice} twice")  # noqa: T201 - figures for who looks for them
    assert sent < place.many or how is signal.SIGKILL
    if how is signal.SIGINT:
        assert interrupted.code == 130, interrupted
        assert interrupted.out.startswith(f"{place.many - sent:,} messages sent from")
        assert interrupted.err.endswith("what was not sent is still in the dead letters\n")
        assert twice == 0


@pytest.mark.broker
async def test_dead_letters_of_rabbitmq_itself(rabbitmq: RabbitMQ):
    """A message that was rejected natively is sent back, again and again, and gets a lineage."""
    orders, dead = new_name(), new_name()
    letters = f"/{dead}.letters"
    async with linkbus.connect(rabbitmq.url, dead_letter_exchange=dead) as bus:
        async with bus.consumer(dead, group="letters"):
            pass
        with SpanRecorder() as spans:
            async with bus.consumer(orders) as consumer:
                await bus.producer(orders).send(b"order", key="k", headers={"tenant": "a"})
                for _ in range(3):
                    await (await anext(consumer)).reject()
                    done = await run(["redrive", rabbitmq.url, letters, orders, "--wait", "1"])
                    assert done.out.startswith("1 message sent"), done
                async with await anext(consumer) as last:
                    pass
    assert (last.body, last.key, last.headers["tenant"]) == (b"order", "k", "a")
    assert carried(last.headers)["origin"]["source"] == letters
    spans.assert_linked(f"process {orders}", f"send {orders}")


@pytest.mark.broker
async def test_dead_letters_of_sqs_itself(request: pytest.FixtureRequest, sqs: SQS):
    """A message that its queue's redrive policy moved is sent back."""
    place = await on_sqs(request)
    arn = f"arn:aws:sqs:elasticmq:000000000000:{place.dead}"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1"})
    orders = sqs.create_queue(attributes={"RedrivePolicy": policy})
    async with linkbus.connect(place.url) as bus, bus.consumer(orders) as consumer:
        await bus.producer(orders).send(b"order", key="k", headers={"tenant": "a"})
        first = await anext(consumer)
        await first.release()
        assert await consumer.receive(timeout=2.0) == []  # the policy takes it away
        done = await run(["redrive", place.url, place.dead, orders, "--wait", "2"])
        assert done.out.startswith("1 message sent"), done
        async with await anext(consumer) as last:
            pass
    assert (last.body, last.key, last.headers["tenant"]) == (b"order", "k", "a")
    assert carried(last.headers)["origin"]["id"] == first.id
    assert last.id != first.id


@pytest.mark.broker
async def test_a_destination_that_is_not_there_ends_it(rabbitmq: RabbitMQ):
    """It says what is missing, and keeps the dead letter."""
    dead = new_name()
    async with linkbus.connect(rabbitmq.url) as bus:
        async with bus.consumer(dead, group="linkbus-redrive"):
            await bus.producer(dead).send(b"order")
        done = await run(["redrive", rabbitmq.url, dead, "/nowhere", "--wait", "1"])
        assert done.code == 2
        assert "could not be sent to '/nowhere'" in done.err
        assert "there is no queue 'nowhere': create it first. It is released" in done.err
        assert "Traceback" not in done.err
        async with bus.consumer(dead, group="linkbus-redrive") as consumer:
            assert (await anext(consumer)).body == b"order"


@pytest.mark.parametrize(
    "url",
    ["kafka://127.0.0.1:1", "rabbitmq://127.0.0.1:1", "sqs://127.0.0.1:1?region_name=elasticmq"],
)
async def test_a_broker_that_is_not_there_is_said(url: str, monkeypatch: pytest.MonkeyPatch):
    """In one line, without a traceback; the exit code is 2."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    done = await run(["redrive", url, "orders.dead", "orders"])
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("linkbus redrive: ")
    assert done.err.count("\n") == 1, done.err
