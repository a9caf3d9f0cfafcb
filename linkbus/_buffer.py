"""Deliveries that wait to be given to the application, in order, also within a key."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from linkbus._delivery import Delivery


class Buffer:
    """A queue of deliveries in which, once `order_keys` was called, keys keep their order.

    With keys in order, a delivery waits behind the one of its key that was taken, until
    `done` says that the key is free. Deliveries without a key never wait for others.

    Attributes:
        bytes: The bodies of all that wait, together.
    """

    def __init__(self) -> None:
        self._ready: deque[Delivery] = deque()
        self._behind: dict[str, deque[Delivery]] = {}
        self._taken: set[str] = set()
        self._by_key = False
        self._size = 0
        self._blocked = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self._size

    @property
    def available(self) -> int:
        """How many could be taken now, by one taker."""
        return self._size - self._blocked

    def order_keys(self) -> None:
        """Keep the order of keys from now on, for those that wait already too."""
        waiting, self._ready = self._ready, deque()
        self._size = self.bytes = 0
        self._by_key = True
        self.push(waiting)

    def push(self, deliveries: Iterable[Delivery]) -> None:
        """Add deliveries at the end."""
        for delivery in deliveries:
            self._size += 1
            self.bytes += len(delivery.body)
            key = delivery.key if self._by_key else None
            if key is None:
                self._ready.append(delivery)
            elif key in self._behind:
                self._behind[key].append(delivery)
                self._blocked += key in self._taken
            else:
                self._behind[key] = deque()
                self._ready.append(delivery)

    def first(self) -> Delivery | None:
        """Return the next delivery that could be taken, without taking it."""
        return self._ready[0] if self._ready else None

    def take(self) -> Delivery:
        """Take the next delivery; one must be available."""
        delivery = self._ready.popleft()
        self._size -= 1
        self.bytes -= len(delivery.body)
        if self._by_key and delivery.key is not None:
            self._taken.add(delivery.key)
            self._blocked += len(self._behind[delivery.key])
        return delivery

    def take_many(self, most: int, max_bytes: int | None = None) -> list[Delivery]:
        """Take deliveries in order, those of a key together, up to both limits.

        The first is taken whatever its size is.
        """
        taken: list[Delivery] = []
        size = 0
        while self._ready and len(taken) < most:
            size += len(self._ready[0].body)
            if taken and max_bytes is not None and size > max_bytes:
                break
            delivery = self.take()
            taken.append(delivery)
            if self._by_key and delivery.key is not None:
                size = self._take_behind(delivery.key, taken, most, size, max_bytes)
        return taken

    def _take_behind(
        self, key: str, taken: list[Delivery], most: int, size: int, max_bytes: int | None
    ) -> int:
        """Take those behind a key that was taken into the same batch; return its size."""
        behind = self._behind[key]
        while behind and len(taken) < most:
            after = size + len(behind[0].body)
            if max_bytes is not None and after > max_bytes:
                break
            self.bytes -= after - size
            size = after
            taken.append(behind.popleft())
            self._size -= 1
            self._blocked -= 1
        return size

    def done(self, keys: Iterable[str]) -> None:
        """Free keys whose taken deliveries are all finished."""
        for key in keys:
            if key not in self._taken:
                continue
            self._taken.discard(key)
            behind = self._behind[key]
            self._blocked -= len(behind)
            self._promote(key, behind)

    def _promote(self, key: str, behind: deque[Delivery]) -> None:
        if behind:
            self._ready.append(behind.popleft())
        else:
            del self._behind[key]

    def withdraw_behind(self, key: str) -> list[Delivery]:
        """Take out the deliveries that wait behind a taken key, in order."""
        behind = self._behind[key]
        withdrawn = list(behind)
        behind.clear()
        self._size -= len(withdrawn)
        self._blocked -= len(withdrawn)
        self.bytes -= sum(len(delivery.body) for delivery in withdrawn)
        return withdrawn

    def withdraw(self, delivery: Delivery) -> None:
        """Take out one delivery that waits, wherever it is."""
        self._size -= 1
        self.bytes -= len(delivery.body)
        key = delivery.key if self._by_key else None
        behind = None if key is None else self._behind[key]
        if key is not None and behind is not None and delivery in behind:
            behind.remove(delivery)
            self._blocked -= key in self._taken
            return
        self._ready.remove(delivery)
        if key is not None and behind is not None:
            self._promote(key, behind)

    def withdraw_all(self) -> list[Delivery]:
        """Take out everything that waits, those of each key in order."""
        withdrawn: list[Delivery] = []
        for delivery in self._ready:
            withdrawn.append(delivery)
            if self._by_key and delivery.key is not None:
                withdrawn += self._behind.pop(delivery.key)
        for key in self._taken:
            withdrawn += self._behind[key]
            self._behind[key].clear()
        self._ready.clear()
        self._size = self._blocked = self.bytes = 0
        return withdrawn
