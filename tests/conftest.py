"""What holds for every test: asyncio in debug mode, real brokers, nothing left behind."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator

import pytest

pytest_plugins = ["tests.brokers.fixtures"]


def pytest_configure(config: pytest.Config) -> None:
    """Run asyncio in debug mode."""
    config.option.asyncio_debug = True


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have every coroutine looked after; a test that is none has no event loop."""
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
        item.fixturenames.append("nothing_left_behind")


@pytest.fixture
async def nothing_left_behind() -> AsyncIterator[None]:
    """Fail a test that leaves a task running, or an error that nobody was told."""
    unseen: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: unseen.append(f"{context['message']}: {context.get('exception')!r}")
    )
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"tasks still run: {', '.join(sorted(str(task) for task in left))}"
    assert not unseen, "; ".join(unseen)
