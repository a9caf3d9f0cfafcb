"""Two processes over a real Kafka: one sends, the other processes, and a link joins them.

Run, with a broker and a topic of it:

    python examples/06_two_processes_over_kafka.py localhost:9092 orders

Output:

    the two processes made 2 traces
    the process span links to the send span: True
"""

import asyncio
import subprocess
import sys

import linkbus
from linkbus.testing import SpanRecorder


async def play(bootstrap: str, topic: str, role: str) -> None:
    """Send or process one message; print the ids of the span and of its links."""
    with SpanRecorder() as spans:
        async with linkbus.connect(f"kafka://{bootstrap}") as bus:
            if role == "producer":
                await bus.producer(topic).send(b"two books")
            else:
                async with bus.consumer(topic, group="billing") as consumer:
                    async for delivery in consumer:
                        async with delivery:
                            assert delivery.body == b"two books"
                        break
    for span in (spans.finished[0].context, *(link.context for link in spans.finished[0].links)):
        print(f"{span.trace_id:032x} {span.span_id:016x}")


def main() -> None:
    """Start a process for each role, and compare the ids that they print."""
    ids: list[list[str]] = []
    for role in ("producer", "consumer"):
        command = [sys.executable, __file__, *sys.argv[1:3], role]
        printed = subprocess.check_output(command, text=True)  # noqa: S603 - this same program
        ids += [line.split() for line in printed.splitlines()]
    sent, processed, linked = ids
    print("the two processes made", len({sent[0], processed[0]}), "traces")
    print("the process span links to the send span:", linked == sent)


asyncio.run(play(*sys.argv[1:])) if sys.argv[3:] else main()
