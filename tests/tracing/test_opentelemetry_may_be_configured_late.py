"""A provider that is set after the bus was made, and used, is found."""

import os
import subprocess
import sys
from textwrap import dedent

PROGRAM = dedent(
    """
    import asyncio
    from time import monotonic
    import linkbus
    from linkbus.transports.memory import MemoryTransport
    from opentelemetry import metrics, trace

    async def main():
        bus = linkbus.Bus(MemoryTransport())
        producer = bus.producer("orders")
        async with bus:
            await producer.send(b"before")
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import InMemoryMetricReader
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import SimpleSpanProcessor
            from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
                InMemorySpanExporter,
            )
            exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
            provider = TracerProvider(shutdown_on_exit=False)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            trace.set_tracer_provider(provider)
            metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
            until = monotonic() + 5.0
            while not exporter.get_finished_spans() and monotonic() < until:
                await producer.send(b"after")
        print({span.name for span in exporter.get_finished_spans()})
        data = reader.get_metrics_data()
        found = {m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
        print("messaging.client.sent.messages" in found)

    asyncio.run(main())
    """
)


def test_in_a_process_of_its_own():
    """A bus that has sent without a provider records once there is one."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("{'send orders'}\nTrue\n", "")
