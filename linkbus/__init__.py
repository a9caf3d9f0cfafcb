"""linkbus: asyncio messaging with OpenTelemetry span links that hold.

One `Producer` and `Consumer` API over pluggable transports. The core does all context
propagation and link creation; a transport moves bytes and headers. `linkbus.abc` is for
authors of transports, `linkbus.testing` for everybody's tests.
"""

from linkbus._bus import Bus, connect
from linkbus._consumer import Consumer
from linkbus._delivery import Batch, Delivery
from linkbus._errors import (
    CapabilityError,
    ConnectError,
    DeliveryError,
    DestinationNotFound,
    LinkbusError,
    MessageError,
    SendError,
    SettleError,
    TransportError,
    UsageError,
)
from linkbus._message import Headers, Message
from linkbus._producer import Producer
from linkbus._retry import Reject, Retry, RetryPolicy
from linkbus._seam import SendResult, SendStatus
from linkbus._tracing._config import Tracing
from linkbus._tracing._stored import LinkedSpan, capture_context, linked_span

__all__ = [
    "Batch",
    "Bus",
    "CapabilityError",
    "ConnectError",
    "Consumer",
    "Delivery",
    "DeliveryError",
    "DestinationNotFound",
    "Headers",
    "LinkbusError",
    "LinkedSpan",
    "Message",
    "MessageError",
    "Producer",
    "Reject",
    "Retry",
    "RetryPolicy",
    "SendError",
    "SendResult",
    "SendStatus",
    "SettleError",
    "Tracing",
    "TransportError",
    "UsageError",
    "capture_context",
    "connect",
    "linked_span",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # what users see is where they import it from
del _name
