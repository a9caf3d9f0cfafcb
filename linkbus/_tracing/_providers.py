"""What is in force: the tracer and meter, if anything records, found when needed."""

from __future__ import annotations

from time import monotonic

from opentelemetry import metrics, trace

from linkbus._tracing._config import Tracing
from linkbus._tracing._metrics import Meters
from linkbus._tracing._names import SCHEMA_URL
from linkbus._tracing._quiet import logger
from linkbus._version import __version__

_SILENT = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
_LOOK_AGAIN = 0.1
"""Seconds; asking for the global providers costs as much as all else that is done untraced."""


class Providers:
    """Finds the tracer and the instruments, once they exist.

    An application may configure OpenTelemetry after it made its bus. So a provider that
    records is kept when found, and looked for again, at most ten times a second, until then.
    One that raises is none.
    """

    __slots__ = ("_config", "_looked_at", "_meters", "_tracer")

    def __init__(self, config: Tracing) -> None:
        self._config = config
        self._tracer: trace.Tracer | None = None
        self._meters: Meters | None = None
        self._looked_at = float("-inf")

    @property
    def has_tracer(self) -> bool:
        """Whether spans are recorded, as far as `current` has found out."""
        return self._tracer is not None

    def current(self) -> tuple[trace.Tracer | None, Meters | None]:
        """Return the tracer and the instruments; None for what would record nothing."""
        if self._tracer is None or self._meters is None:
            now = monotonic()
            if now - self._looked_at > _LOOK_AGAIN:
                self._looked_at = now
                self._look()
        return self._tracer, self._meters

    def _look(self) -> None:
        try:
            self._tracer = self._tracer or self._find_tracer()
            self._meters = self._meters or self._find_meters()
        except Exception:  # noqa: BLE001 - a provider may raise anything, tracing nothing
            logger.exception("a provider of OpenTelemetry failed; nothing is recorded")

    def _find_tracer(self) -> trace.Tracer | None:
        provider = self._config.tracer_provider or trace.get_tracer_provider()
        if isinstance(provider, _SILENT):
            return None
        tracer = provider.get_tracer("linkbus", __version__, schema_url=SCHEMA_URL)
        return None if isinstance(tracer, trace.NoOpTracer) else tracer  # OTEL_SDK_DISABLED

    def _find_meters(self) -> Meters | None:
        provider = self._config.meter_provider or metrics.get_meter_provider()
        if type(provider).__module__.startswith("opentelemetry.metrics."):
            return None  # the API's own: a proxy without a provider behind it, or a no-op
        meter = provider.get_meter("linkbus", __version__, schema_url=SCHEMA_URL)
        return None if isinstance(meter, metrics.NoOpMeter) else Meters(meter)
