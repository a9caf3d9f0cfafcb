"""Topics of a broker, made from code that may itself run inside an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code


def create_topic(
    bootstrap: str,
    name: str | None = None,
    *,
    partitions: int = 1,
    config: Mapping[str, str] | None = None,
) -> str:
    """Create a topic, wait until it has its leaders, and return its name.

    Blocks for some milliseconds; works beside a running event loop, in a thread.

    Args:
        bootstrap: The broker.
        name: None: a new one.
        partitions: How many it has.
        config: The topic's own settings.
    """
    topic = name or f"topic-{uuid4().hex[:12]}"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _create(bootstrap, topic, partitions, config)).result(30)
    return topic


async def _create(
    bootstrap: str, topic: str, partitions: int, config: Mapping[str, str] | None
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics(
            [NewTopic(topic, partitions, 1, topic_configs=dict(config or {}))]
        )
        for _, code, *why in answer.topic_errors:
            if code:
                raise for_code(code)(*why)
        while not await _is_ready(admin, topic, partitions):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    finally:
        await admin.close()


async def _is_ready(admin: AIOKafkaAdminClient, topic: str, partitions: int) -> bool:
    (described,) = await admin.describe_topics([topic])
    found = described["partitions"]
    return len(found) == partitions and all(it["leader"] >= 0 for it in found)
