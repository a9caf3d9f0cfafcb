"""Keeps credentials out of the log.

At the level DEBUG aiokafka logs every request, and the request that logs in holds the
password, or the token, as it is. While a transport with SASL is open, that one record is
withheld; everything else that aiokafka logs stays as it was.
"""

from __future__ import annotations

import logging

_LOGGER = "aiokafka.conn"


class Discretion(logging.Filter):
    """Withholds the requests that log in."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record may be logged."""
        given = record.args if isinstance(record.args, tuple) else ()
        return not any(type(one).__name__.startswith("SaslAuthenticateRequest") for one in given)

    def begin(self) -> None:
        """Withhold from now on."""
        logging.getLogger(_LOGGER).addFilter(self)

    def end(self) -> None:
        """Withhold nothing more."""
        logging.getLogger(_LOGGER).removeFilter(self)
