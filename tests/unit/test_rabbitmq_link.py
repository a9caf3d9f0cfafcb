"""Connections, as far as they need no broker."""

from __future__ import annotations

import asyncio

from linkbus.transports.rabbitmq._link import Roomy, close, is_flowing


async def test_a_connection_has_room_for_every_frame() -> None:
    """How many frames may wait to be written is a class attribute of aiormq: here, any number."""
    connection = Roomy("amqp://localhost")
    assert connection.write_queue.maxsize == 0
    await close(connection)
    assert connection.is_closed


async def test_a_connection_that_is_not_ready() -> None:
    """Asking costs no wait, and leaves none behind."""
    connection = Roomy("amqp://localhost")
    assert not is_flowing(connection)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await close(connection)
