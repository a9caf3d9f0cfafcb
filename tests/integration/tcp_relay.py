"""A relay between a client and a broker, which can cut connections, or go deaf."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self


class Relay:
    """Passes bytes both ways, until it is told otherwise.

    Args:
        port: The broker's, on this machine.
        tls: For the clients' side.

    Attributes:
        port: Where clients connect.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self._target = port
        self._tls = tls
        self._hears = asyncio.Event()
        self._hears.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """Reset every connection, as a network may."""
        for writer in self._writers:
            writer.transport.abort()

    def close(self) -> None:
        """Reset every connection, and take no more."""
        self._server.close()
        self.cut()

    def go_deaf(self) -> None:
        """Pass nothing more on, and tell nobody."""
        self._hears.clear()

    def hear(self) -> None:
        """Pass everything on again."""
        self._hears.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        for source, target in ((reader, back), (there, writer)):
            self._writers.add(target)
            task = asyncio.create_task(self._pass(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while some := await source.read(65_536):
                await self._hears.wait()
                target.write(some)
                await target.drain()
        except OSError:
            pass  # either side has gone, which the other is told
        finally:
            self._writers.discard(target)
            target.close()
