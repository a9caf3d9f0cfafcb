"""What is in force: the tracer and meter, if anything records, found when needed."""

from __future__ import annotations

from opentelemetry import metrics, trace

from linkbus._tracing._config import Tracing
from linkbus._tracing._metrics import Meters
from linkbus._tracing._names import SCHEMA_URL
from linkbus._version import __version__

_SILENT_TRACING = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)


class Providers:
    """Finds the tracer and the instruments, once they exist.

    An application may configure OpenTelemetry after it made its bus. So a provider
    that records is kept when found, and one that does not is asked for again.
    """

    def __init__(self, config: Tracing) -> None:
        self._config = config
        self._tracer: trace.Tracer | None = None
        self._meters: Meters | None = None
        self._silent: object = None

    def tracer(self) -> trace.Tracer | None:
        """Return the tracer, or None where no span would be recorded or passed on."""
        if self._tracer is not None:
            return self._tracer
        provider = self._config.tracer_provider or trace.get_tracer_provider()
        if isinstance(provider, _SILENT_TRACING) or provider is self._silent:
            return None
        tracer = provider.get_tracer("linkbus", __version__, schema_url=SCHEMA_URL)
        if isinstance(tracer, trace.NoOpTracer):  # OTEL_SDK_DISABLED
            self._silent = provider
            return None
        self._tracer = tracer
        return tracer

    def meters(self) -> Meters | None:
        """Return the instruments, or None where nothing would be recorded."""
        if self._meters is not None:
            return self._meters
        provider = self._config.meter_provider or metrics.get_meter_provider()
        if type(provider).__module__.startswith("opentelemetry.metrics."):
            return None  # the API's own: a proxy without a provider behind it, or a no-op
        meter = provider.get_meter("linkbus", __version__, schema_url=SCHEMA_URL)
        if isinstance(meter, metrics.NoOpMeter):
            return None
        self._meters = Meters(meter)
        return self._meters
