"""A job over stored rows: its span links to each request that wrote one.

No message passes between the two; the trace context is a column of the table. A row from
before the column was added has none, and is counted.

Run:

    python examples/04_stored_contexts.py

Output:

    reporting on 4 orders
    A  POST /order     INTERNAL
    B  POST /order     INTERNAL
    C  POST /order     INTERNAL
    D  nightly report  INTERNAL  {linkbus.link.count=3, linkbus.link.missing=1}  ⇢ A/POST /order
                                 ⇢ B/POST /order  ⇢ C/POST /order
"""

import json
import sqlite3

import linkbus
from linkbus.testing import SpanRecorder


def main() -> None:
    """Store orders in three requests, report on them, and print what was traced."""
    table = sqlite3.connect(":memory:")
    table.execute("CREATE TABLE orders (item TEXT, trace TEXT)")
    table.execute("INSERT INTO orders VALUES ('a kettle', NULL)")
    with SpanRecorder() as spans:
        tracer = spans.tracer_provider.get_tracer("shop")
        for item in ("two books", "a lamp", "three chairs"):
            with tracer.start_as_current_span("POST /order"):
                trace = json.dumps(linkbus.capture_context())
                table.execute("INSERT INTO orders VALUES (?, ?)", (item, trace))

        rows = table.execute("SELECT item, trace FROM orders").fetchall()
        contexts = (trace and json.loads(trace) for _, trace in rows)
        with linkbus.linked_span("nightly report", contexts):
            print(f"reporting on {len(rows)} orders")

    counts = ("linkbus.link.count", "linkbus.link.missing")
    print(spans.tree(attributes=counts, link_attributes=()))


main()
