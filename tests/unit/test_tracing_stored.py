"""`linked_span` under a provider that keeps few links: late ones are not lost either."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from linkbus import linked_span
from linkbus.testing import SpanRecorder


def numbered(number):
    """Return a stored context of its own for each number, from 1."""
    return f"00-{number:032x}-{number:016x}-01"


def links_of(monkeypatch, limit, early, late):
    """Make a span with so many links, early and late; return the ids on each span, parent first."""
    limits = SpanLimits(max_links=limit)
    provider = TracerProvider(sampler=ALWAYS_ON, span_limits=limits, shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    report = linked_span("report", map(numbered, range(1, early + 1)))
    with SpanRecorder(provider) as spans, report as span:
        for number in range(early + 1, early + late + 1):
            span.link(numbered(number))
    spans.assert_no_leaks()
    (report,) = spans.named("report")
    assert report.attributes["linkbus.link.count"] == early + late
    return [
        [link.context.span_id for link in one.links]
        for one in (report, *spans.named("report links"))
    ]


@pytest.mark.parametrize(("early", "late"), [(0, 7), (2, 5), (3, 4), (5, 2), (7, 0), (1, 1)])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_no_link_is_lost(monkeypatch, limit, early, late):
    """Each context is linked exactly once, and no span is above the limit."""
    found = links_of(monkeypatch, limit, early, late)
    assert max(map(len, found)) <= limit
    assert sorted(number for one in found for number in one) == list(range(1, early + late + 1))


@pytest.mark.parametrize(("early", "late"), [(0, 3), (3, 0), (2, 2)])
def test_a_provider_that_keeps_none(monkeypatch, early, late):
    """Where the provider keeps no link at all they are counted, and there are no child spans."""
    assert links_of(monkeypatch, 0, early, late) == [[]]


def test_a_span_that_is_not_recorded(monkeypatch):
    """A span that is not recorded takes late links, and makes nothing of them."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    report = linked_span("report", map(numbered, range(1, 150)))
    with SpanRecorder(provider) as spans, report as span:
        span.link(numbered(200))
        span.set_attribute("rows", 1)
    assert spans.finished == []


class Stubborn(trace.NonRecordingSpan):
    """Says that it records, and takes no links."""

    def is_recording(self):
        return True

    def add_link(self, *args):
        raise LookupError


class StubbornProvider(trace.TracerProvider, trace.Tracer):
    """Makes stubborn spans."""

    def get_tracer(self, *args, **options):
        return self

    def start_span(self, *args, **options):
        return Stubborn(trace.SpanContext(1, 2, is_remote=False))

    def start_as_current_span(self, *args, **options):
        raise NotImplementedError


def test_a_span_that_takes_no_late_links(monkeypatch):
    """Where a late link cannot be added, the block goes on."""
    monkeypatch.setattr(trace, "get_tracer_provider", StubbornProvider)
    with linked_span("report") as span:
        span.link(numbered(1))
    assert trace.get_current_span() is trace.INVALID_SPAN
