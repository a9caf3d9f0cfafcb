"""Which message ids are on their way on one channel, and may not be used a second time.

aiormq matches a message that the broker returned to its publish by the property
`message_id` alone. Of two publishes with one id, the second would be told of the first
one's return, and the first one be taken for delivered.
https://github.com/mosquito/aiormq/blob/7.2.4/aiormq/channel.py
"""

from __future__ import annotations

from collections import deque


class MessageIds:
    """The ids of the publishes on one channel whose outcome is not known."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._abandoned: deque[tuple[int, str]] = deque()
        self._begun = 0

    def __len__(self) -> int:
        return len(self._taken)

    def begin(self, message_id: str) -> int:
        """Take an id that is free, and return the number of its publish."""
        self._taken.add(message_id)
        self._begun += 1
        return self._begun

    def is_free(self, message_id: str) -> bool:
        """Whether an id may be used."""
        return message_id not in self._taken

    def end(self, number: int, message_id: str) -> None:
        """Give an id back: the broker has told the outcome of its publish.

        It tells them in order, as far as returned messages go. So nothing more will be
        returned of publishes that were abandoned before this one began.
        """
        self._taken.discard(message_id)
        abandoned = self._abandoned
        while abandoned and abandoned[0][0] < number:
            self._taken.discard(abandoned.popleft()[1])

    def drop(self, message_id: str) -> None:
        """Give an id back whose publish did not leave, or whose channel is gone."""
        self._taken.discard(message_id)

    def abandon(self, number: int, message_id: str) -> None:
        """Keep an id whose outcome nobody waits for any more."""
        self._abandoned.append((number, message_id))
