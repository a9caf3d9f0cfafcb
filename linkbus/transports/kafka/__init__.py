"""Kafka, through aiokafka: `linkbus.connect("kafka://host:9092")`, or `KafkaTransport`.

What a destination and a source are
    A topic. It is not created, unless the broker creates topics on use. A group is a
    consumer group; one without a committed offset begins at the oldest message, so what
    was sent before the group existed is given too, as long as the broker keeps it.

What ack, release and reject do
    ack: the message counts for the watermark of its partition. The watermark, below which
    everything is done, is committed soon after (`commit_interval`), when partitions go to
    another member, and on closing; it never passes a message that is not done, and never
    goes back. After a crash, what was done above the watermark comes again.
    release: the receiver gives the message again by itself, after the delay, before later
    ones of its key; the watermark waits. Kafka does not count deliveries: `attempt` is 1.
    reject: Kafka has no dead letters of its own.

Ordering
    By key: a key has one partition, chosen as other clients choose it, and a partition is a
    log. Messages without a key are spread over partitions at random. Adding partitions to a
    topic moves keys, which Kafka does not put in order.

Sending
    `acks=all`, idempotent: SENT means that all replicas in sync have the message. How many
    that are is the topic's business: with one replica, or `min.insync.replicas` of one, a
    broker that is lost for good takes confirmed messages with it. The client repeats a
    request that fails, in order and without doubling; after `delivery_timeout` the result is
    UNKNOWN, and the client goes on trying. A batch is packed by the client. aiokafka gives a
    refused batch's sequence numbers away, and all that it sends to that partition later is
    refused: the transport replaces its producer then (`raw` is another one afterwards).

Rebalances
    aiokafka knows the eager protocol only: when a member joins or leaves, every member gives
    up all partitions. The core is told, has `rebalance_grace` to finish what it works on,
    and what it had not begun goes to the next owner. What is settled after that is STALE.
    When the group has expelled the member, there is no grace. A member stays in the group
    while nobody receives, however long a handler takes: heartbeats come from a task of
    aiokafka, and its `max_poll_interval_ms` is as long as can be. A member whose event loop
    is blocked for `session_timeout` is expelled. A consumer that died is replaced by the
    next `receive`. Transactions are not offered: aiokafka's do not fence old members.

Limits
    `max_message_bytes` of body, key and headers (1 MB); 32 KiB more are kept for the trace
    context. 10,000 messages in a batch. A header's name is UTF-8: with another one sending
    is FAILED, and a record that has one, which only few producers can make, ends the
    consumer, for aiokafka cannot read it: move the group past it. A null value arrives as
    an empty body, with the attribute `messaging.kafka.message.tombstone`. No more than
    `max_gap` messages of a partition are held above its watermark.

What the log shows
    aiokafka logs keys, bodies and headers at the level DEBUG: keep its logger, "aiokafka",
    at INFO or above where they are confidential. Passwords and tokens are withheld from it.

Other instrumentation
    Wrappers of opentelemetry-instrumentation-aiokafka are passed by: a message has one span
    and one trace context, linkbus's own. The application's own clients stay instrumented.

How to reach the raw client
    `KafkaTransport.raw` is the `AIOKafkaProducer`, `raw` of a receiver its
    `AIOKafkaConsumer`, `delivery.raw` the `ConsumerRecord`. Stop none of them, and commit
    nothing.
"""

from linkbus.transports.kafka._transport import KafkaTransport, from_url

__all__ = ["KafkaTransport", "from_url"]
