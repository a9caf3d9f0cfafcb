"""Keeps messages out of the log.

When the broker returns a message for which nobody waits any more, aiormq logs the whole of
it, as an error. While a transport is open such records are withheld; everything else that
aiormq logs stays as it was.
https://github.com/mosquito/aiormq/blob/7.2.4/aiormq/channel.py
"""

from __future__ import annotations

import logging

from aiormq.abc import DeliveredMessage

_LOGGER = "aiormq.channel"


class Discretion(logging.Filter):
    """Withholds records that would show a message."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record may be logged."""
        given = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(one, DeliveredMessage) for one in given)

    def begin(self) -> None:
        """Withhold from now on."""
        logging.getLogger(_LOGGER).addFilter(self)

    def end(self) -> None:
        """Withhold nothing more."""
        logging.getLogger(_LOGGER).removeFilter(self)
