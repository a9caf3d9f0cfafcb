"""Names of attributes: OpenTelemetry's messaging conventions 1.44, and linkbus's own."""

from __future__ import annotations

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
TEMPLATE = "messaging.destination.template"
GROUP = "messaging.consumer.group.name"
MESSAGE_ID = "messaging.message.id"
BODY_SIZE = "messaging.message.body.size"
BATCH_COUNT = "messaging.batch.message_count"
ERROR_TYPE = "error.type"
CLIENT_ID = "messaging.client.id"

OF_METRICS = {
    SYSTEM,
    OPERATION_NAME,
    DESTINATION,
    TEMPLATE,
    GROUP,
    "messaging.destination.subscription.name",
    "server.address",
    "server.port",
}
"""What the conventions' metrics have of these; all have few values."""

# Not in the registry: linkbus's own.
RELATION = "linkbus.link.relation"
LINK_MESSAGES = "linkbus.link.messages"
LINK_SAMPLED = "linkbus.link.sampled"
LINK_TRUSTED = "linkbus.link.trusted"
LINK_COUNT = "linkbus.link.count"
LINK_MISSING = "linkbus.link.missing"
LINK_INVALID = "linkbus.link.invalid"
MIRROR_TRACE = "linkbus.link.trace_id"
MIRROR_SPAN = "linkbus.link.span_id"
MIRRORS = "linkbus.links"
ATTEMPT = "linkbus.delivery.attempt"
OUTCOME = "linkbus.outcome"
WAIT = "linkbus.queue.wait_ms"
WAIT_MIN = "linkbus.queue.wait_min_ms"
WAIT_MAX = "linkbus.queue.wait_max_ms"
