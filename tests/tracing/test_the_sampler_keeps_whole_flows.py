"""`LinkedSampler`, simulated on the SDK: whole flows are kept, and no more is kept than before."""

import random
import re
from dataclasses import dataclass
from functools import partial

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind

from linkbus import Bus, Tracing, sampling
from linkbus.sampling import LinkedSampler
from linkbus.testing import SpanRecorder
from linkbus.transports.memory import MemoryBroker, MemoryTransport

COUNTS = {1: 5000, 10: 1000, 100: 600}
"""How many traces are made with so many links each."""


class SeededIds(RandomIdGenerator):
    """Gives the same random ids in each run."""

    def __init__(self, seed):
        self._random = random.Random(seed)  # noqa: S311 - ids, and no secrets

    def generate_trace_id(self):
        """Return the next."""
        return self._random.getrandbits(128)

    def generate_span_id(self):
        """Return the next."""
        return self._random.getrandbits(64)


class ByLink(Sampler):
    """Decides with the trace id of the link, which is all that it looks at."""

    def __init__(self, root):
        self._root = root

    def should_sample(self, *, trace_id, links, **given):
        """Decide for a root."""
        if links:
            trace_id = links[0].context.trace_id
        return self._root.should_sample(trace_id=trace_id, links=links, **given)

    def get_description(self):
        """Return its name."""
        return "ByLink"


def by_itself(root):
    """Have each trace decided for by its own id."""
    return root


class Service:
    """A program of its own: with its own sampler, and nothing in common with the others."""

    def __init__(self, ids, sampler, ratio):
        self.provider = TracerProvider(
            sampler=ParentBased(sampler(TraceIdRatioBased(ratio))),
            id_generator=ids,
            shutdown_on_exit=False,
        )
        self._tracer = self.provider.get_tracer("service")

    def process(self, *creations):
        """Process messages and send one; return its creation context."""
        links = [Link(context) for context in creations]
        process = self._tracer.start_span("process", Context(), SpanKind.CONSUMER, links=links)
        below = trace.set_span_in_context(process, Context())
        send = self._tracer.start_span("send", below, SpanKind.PRODUCER)
        send.end()
        process.end()
        return send.get_span_context()


def kept_at_hops(sampler, ratios, flows):
    """Return, for a request and each hop after it, the flows whose trace is kept there."""
    ids = SeededIds(2)
    services = [Service(ids, sampler, ratio) for ratio in ratios]
    kept = [set() for _ in services]
    for flow in range(flows):
        creations = []
        for service, here in zip(services, kept, strict=True):
            creations = [service.process(*creations)]
            if creations[0].trace_flags.sampled:
                here.add(flow)
    return kept


def whole(kept):
    """Return the shares of the kept requests whose traces are all kept up to each hop."""
    left = kept[0]
    shares = []
    for here in kept[1:]:
        left = left & here
        shares.append(round(100 * len(left) / len(kept[0])))
    return shares


def told(rows):
    """Return the numbers in the rows of a table in the docstring of the module."""
    found = re.findall(rows, sampling.__doc__, re.MULTILINE)
    assert found, f"no row of the table is as {rows}"
    return found


@pytest.mark.parametrize(
    ("sampler", "row"),
    [(by_itself, "each by itself"), (ByLink, "by the link"), (LinkedSampler, "LinkedSampler")],
)
def test_over_four_hops_at_equal_ratios(sampler, row):
    """The shares of the kept requests that are kept whole are those that the module tells."""
    kept = kept_at_hops(sampler, [0.1] * 5, 5000)
    (shares,) = told(rf"^    {row} +(\d+) % +(\d+) % +(\d+) % +(\d+) %$")
    assert whole(kept) == [int(share) for share in shares]
    volumes = [len(here) / 5000 for here in kept]
    assert volumes == pytest.approx([0.1] * 5, abs=0.01), "nobody keeps more or less than asked"


def test_over_hops_at_different_ratios():
    """Each service keeps as much as it was told, and nothing that one with a higher ratio drops."""
    ratios = [0.5, 0.2, 0.3, 0.1, 1.0]
    kept = kept_at_hops(LinkedSampler, ratios, 5000)
    assert [len(here) / 5000 for here in kept] == pytest.approx(ratios, abs=0.02)
    assert kept[3] < kept[1] < kept[2] < kept[0] < kept[4]


@dataclass
class Batches:
    """What became of traces that each link to several flows."""

    made: int = 0
    kept: int = 0
    flows_kept: int = 0
    complete: int = 0
    links: int = 0

    def note(self, batch, creations):
        """Count one of them."""
        kept = batch.trace_flags.sampled
        flows_kept = sum(context.trace_flags.sampled for context in creations)
        self.made += 1
        self.kept += kept
        self.flows_kept += flows_kept
        self.complete += flows_kept * kept
        self.links += len(creations) * kept

    def shares(self):
        """Return how many traces are kept, flows complete and links alive, as percentages."""
        parts = (
            (self.kept, self.made),
            (self.complete, self.flows_kept),
            (self.complete, self.links),
        )
        return [round(100 * part / whole) for part, whole in parts]


def in_batches(producer_ratio, consumer_ratio, flows):
    """Have batches processed in each mode; return the shares, by mode."""
    ids = SeededIds(3)
    producer = Service(ids, LinkedSampler, producer_ratio)
    found = {}
    for mode in ("any", "first", "ratio"):
        consumer = Service(ids, partial(LinkedSampler, batches=mode), consumer_ratio)
        found[mode] = Batches(), consumer
    for _ in range(COUNTS[flows]):
        creations = [producer.process() for _ in range(flows)]
        for batches, consumer in found.values():
            sent = consumer.process(*creations)
            batches.note(sent, creations)
            assert consumer.process(sent).trace_flags.sampled == sent.trace_flags.sampled
    return {mode: batches.shares() for mode, (batches, _) in found.items()}


@pytest.mark.parametrize(
    ("producer", "consumer", "flows"),
    [
        (0.1, 0.1, 1),
        (0.1, 0.5, 1),
        (0.5, 0.1, 1),
        (0.1, 0.1, 10),
        (0.1, 0.1, 100),
        (0.01, 0.01, 100),
    ],
)
def test_what_is_kept_of_batches(producer, consumer, flows):
    """The shares are those that the module tells, and who receives from a batch decides alike."""
    rows = told(rf"^ +{producer} +{consumer} +{flows}  (\w+) +(\d+) % +(\d+) % +(\d+) %$")
    shares = in_batches(producer, consumer, flows)
    for mode, *row in rows:
        for one in shares if mode == "each" else [mode]:
            assert shares[one] == [int(share) for share in row], one


async def request(bus, provider, flows):
    """Send a message from each of so many requests."""
    tracer = provider.get_tracer("application")
    for flow in range(flows):
        with tracer.start_as_current_span("request", attributes={"flow": flow}):
            await bus.producer("hop 1").send(b"%d" % flow)


async def forward(bus, hop, flows):
    """Process so many messages of a hop, each with one to the next hop."""
    async with bus.consumer(f"hop {hop}") as consumer:
        for _ in range(flows):
            async with await anext(consumer) as delivery:
                trace.get_current_span().set_attribute("flow", int(delivery.body))
                await bus.producer(f"hop {hop + 1}").send(delivery.body)


@pytest.mark.parametrize("sampler", [by_itself, LinkedSampler])
async def test_over_four_hops_of_buses(sampler):
    """Messages carry what the sampler needs, of kept and of dropped flows, from hop to hop."""
    flows, ids, broker, kept = 500, SeededIds(3), MemoryBroker(), []
    for hop in range(5):
        provider = Service(ids, sampler, 0.1).provider
        with SpanRecorder(provider) as spans:
            tracing = Tracing(tracer_provider=provider)
            async with Bus(MemoryTransport(broker), tracing=tracing) as bus:
                await (forward(bus, hop, flows) if hop else request(bus, provider, flows))
        spans.assert_no_leaks()
        kept.append({s.attributes["flow"] for s in spans.finished if "flow" in s.attributes})
    assert (whole(kept) == [100] * 4) is (sampler is LinkedSampler)
    assert [len(here) / flows for here in kept] == pytest.approx([0.1] * 5, abs=0.04)
