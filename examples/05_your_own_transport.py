"""Your own transport: a SQLite table as a queue, with correct links for nothing.

The two classes only move bytes and headers, in 60 lines of code. Spans, links, retries,
dead letters and draining are linkbus's, and `TransportConformance` tests the classes.

Run:

    python examples/05_your_own_transport.py

Output:

    processed b'42 apples', attempt 1
    A  GET /order      INTERNAL
         send orders   PRODUCER
    B  process orders  CONSUMER  ⇢ A/send orders
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from json import dumps, loads
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import anyio
from anyio.lowlevel import checkpoint

import linkbus
from linkbus.abc import (
    Arrival,
    Capabilities,
    Envelope,
    Lost,
    Outcome,
    Receiver,
    SendResult,
    SendStatus,
    Settlement,
    SettleResult,
    SettleStatus,
    Transport,
)
from linkbus.testing import SpanRecorder

TABLE = """CREATE TABLE IF NOT EXISTS messages (
    n INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, body BLOB, head TEXT,
    attempt INTEGER DEFAULT 0, holder TEXT, lease REAL DEFAULT 0)"""
PUT = "INSERT INTO messages (queue, body, head) VALUES (?, ?, ?)"
TAKE = """UPDATE messages SET attempt = attempt + 1, holder = ?, lease = now() + ? WHERE n IN
    (SELECT n FROM messages WHERE queue = ? AND lease <= now() ORDER BY n LIMIT ?)
    RETURNING n, attempt, body, head"""
CHANGE = {
    Outcome.ACK: """DELETE FROM messages
        WHERE n = ?2 AND attempt = ?3 AND holder = ?4 AND lease > now()""",
    Outcome.RELEASE: """UPDATE messages SET lease = now() + ?1, holder = NULL
        WHERE n = ?2 AND attempt = ?3 AND holder = ?4 AND lease > now()""",
}
EXTEND = """UPDATE messages SET lease = now() + ?1
    WHERE n = ?2 AND attempt = ?3 AND holder = ?4 AND lease > now()"""
LEAVE = "UPDATE messages SET lease = 0, holder = NULL WHERE holder = ?"


@contextmanager
def told(kind: type[linkbus.TransportError] = linkbus.TransportError) -> Iterator[None]:
    """Tell linkbus what SQLite raised; what is locked or full now may work later."""
    try:
        yield
    except sqlite3.Error as error:
        msg = f"the file of the queue: {error}"
        raise kind(msg, retryable=isinstance(error, sqlite3.OperationalError)) from error


def opened(path: str) -> sqlite3.Connection:
    """Open the file and make the table in it, or leave nothing open."""
    db = sqlite3.connect(path, timeout=1.0)  # how long another process may block us
    try:
        db.create_function("now", 0, time.time)
        db.execute(TABLE)
    except sqlite3.Error:
        db.close()
        raise
    return db


class SQLiteTransport(Transport):
    """A table of a local file, which any number of processes may share."""

    system = "sqlite"
    capabilities = Capabilities(durable=True, counts_deliveries=True, repeated_headers=True,
        delayed_release=True, extendable_lease=True, max_message_bytes=10**8,
        receive_cancel_safe=True)  # fmt: skip

    def __init__(self, path: str, *, lease: float = 30.0) -> None:
        self._path, self._lease = path, lease

    async def open(self) -> None:
        """Open the file; there is no other broker."""
        with told(linkbus.ConnectError):
            self._db = opened(self._path)

    async def send(self, destination: str, batch: Sequence[Envelope]) -> Sequence[SendResult]:
        """Write all or nothing; blocks the loop, but shortly: the file is on this machine."""
        await checkpoint()
        rows = [(destination, x.body, dumps([x.id, x.key, *x.wire_headers.items()])) for x in batch]
        with told(), self._db:
            self._db.executemany(PUT, rows)
        return [SendResult(SendStatus.SENT) for _ in batch]

    async def subscribe(self, source: str, group: str, *, prefetch: int, lost: Lost) -> Receiver:
        """Begin to compete for the rows of a queue."""
        return SQLiteReceiver(self._db, source, self._lease)

    async def aclose(self) -> None:
        """Close the file."""
        self._db.close()


class SQLiteReceiver(Receiver):
    """Takes rows by writing into them who has them, and until when."""

    def __init__(self, db: sqlite3.Connection, source: str, lease: float) -> None:
        self._db, self._source, self._lease = db, source, lease
        self._name, self._is_open = uuid4().hex, True

    async def receive(self, max_messages: int, wait: float) -> Sequence[Arrival]:
        """Take the oldest rows; looks again and again, for a table tells nobody."""
        deadline = anyio.current_time() + wait
        await checkpoint()
        while self._is_open:
            arrivals = self._take(max_messages)
            if arrivals or anyio.current_time() >= deadline:
                return arrivals
            await anyio.sleep(0.02)
        return []

    def _take(self, limit: int) -> list[Arrival]:
        with told(), self._db:
            rows = self._db.execute(TAKE, (self._name, self._lease, self._source, limit)).fetchall()
        return [self._arrival(*row) for row in sorted(rows)]

    def _arrival(self, n: int, attempt: int, body: bytes, head: str) -> Arrival:
        id_, key, *pairs = loads(head)
        headers, lease = linkbus.Headers.received(pairs), self._lease
        return Arrival(
            id=id_, body=body, key=key, headers=headers, attempt=attempt, receipt=n, lease=lease
        )

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleResult]:
        """Delete what is done; let the rest be taken again after its delay."""
        with told(), self._db:
            return [
                self._change(CHANGE[one.outcome], one.arrival, one.delay) for one in settlements
            ]

    async def extend(self, arrivals: Sequence[Arrival], seconds: float) -> Sequence[SettleResult]:
        """Move the end of leases that have not ended."""
        with told(), self._db:
            return [self._change(EXTEND, arrival, seconds) for arrival in arrivals]

    def _change(self, change: str, arrival: Arrival, seconds: float) -> SettleResult:
        done = self._db.execute(change, (seconds, arrival.receipt, arrival.attempt, self._name))
        return SettleResult(SettleStatus.OK if done.rowcount else SettleStatus.STALE)

    async def aclose(self) -> None:
        """Give back what is held."""
        self._is_open = False
        with suppress(linkbus.TransportError), told(), self._db:
            self._db.execute(LEAVE, (self._name,))


async def main() -> None:
    """Send one order inside a request, and process it."""
    with TemporaryDirectory() as folder, SpanRecorder() as spans:
        tracer = spans.tracer_provider.get_tracer("shop")
        async with linkbus.Bus(SQLiteTransport(str(Path(folder, "queue.db")))) as bus:
            with tracer.start_as_current_span("GET /order"):
                await bus.producer("orders").send(b"42 apples")
            async with bus.consumer("orders") as consumer:
                async for delivery in consumer:
                    async with delivery:
                        print(f"processed {delivery.body!r}, attempt {delivery.attempt}")
                    break
        print(spans.tree(attributes=(), link_attributes=()))


if __name__ == "__main__":
    anyio.run(main)
