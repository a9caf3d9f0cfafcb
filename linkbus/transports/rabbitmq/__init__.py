"""RabbitMQ: `linkbus.connect("rabbitmq://user:password@host/vhost")`, or `RabbitMQTransport`.

What a destination and a source are
    `orders` is a durable fanout exchange, declared on use. A group of it is a durable queue,
    `orders.billing`, bound to it, which gets every message that is sent after it was made.
    `exchange/routing_key` is an exchange that exists, of any type; a group of it is a queue,
    `exchange/routing_key.billing`, bound with that key. `/queue` is a queue that exists: to
    send to it, or to receive from it, for which it has only the default group. With
    `declare=False` nothing is declared and nothing bound: all of it must exist, with these
    names. Queues are quorum queues, unless `queue_type` says otherwise. The client takes
    names of ASCII letters, digits, space and `-_.:@#,/+` only; anything else in the name of
    a group's queue, and +, is written as + and two hex digits: `logs/*.error` has a queue
    `logs/+2A.error.billing`.

What ack, release and reject do
    ack: the message is removed. The broker is told of many in one frame, within 10 ms; of
    one that earlier messages are still worked on before, within half a second; of all on
    closing. It answers none: what it was not told of when a connection breaks comes again.
    release: the message is given again at once, to any consumer of the queue. Quorum queues
    count that: `attempt` is the broker's `x-delivery-count` and one. With classic queues it
    is always 1.
    reject: the message goes to the queue's dead letter exchange, which this transport is
    told of: `dead_letter_exchange` declares queues with it (and quorum queues so that
    nothing is lost on the way), `native_dead_letter` says that they have one otherwise.

Ordering
    None is promised: consumers of a queue compete, and what is released comes after what
    others were given meanwhile. The core handles deliveries of a key in the order in which
    they came. A key does not choose a queue; it travels in the header `linkbus`.

Sending
    Persistent, with publisher confirms: SENT means that every queue which the message was
    routed to has stored it, a quorum queue on most of its nodes. A message that no queue
    gets is returned by the broker: FAILED with `DestinationNotFound`, which says what is
    missing; so a group is to be subscribed before the first message. While an alarm blocks
    the connection (the broker is short of memory or disk), sending waits, and after
    `delivery_timeout` what did not leave is FAILED, retryable. What left and was not
    confirmed by then, or when a connection broke, is UNKNOWN. Each exchange has a channel of
    its own: what closes one, fails no message for another exchange. Batches leave in order,
    a hundred at a time. The property `message_id` is the message's id, unless a message with
    that id is on its way already; then, as always, the arrival's id is the right one.

Receiving
    One channel for each consumer, on a connection beside that for publishing. The broker
    gives twice `prefetch` messages that are not settled; when all of them are, or wait to be
    tried again, and more is asked for, the window is doubled, up to 65,535. Each delivery is
    ours for `ack_timeout`, which cannot be extended; when the broker's own time is over it
    closes the channel, and all that was held there comes again.

When the broker is lost
    The next call connects again, so long as it may take: nothing goes on in the background.
    What was held and not settled is lost to the core, and comes again. The same when the
    broker ends a consumer, for its queue was deleted: the queue is declared again, or the
    consumer ends with `DestinationNotFound` where it is not ours to declare.

Poisonous messages
    With RabbitMQ 4, a quorum queue drops a message after 20 deliveries that were not
    acknowledged: give a `dead_letter_exchange`, or set `delivery_limit`. A message whose
    properties aiormq cannot read (a header's name, or a short text, that is not UTF-8; a
    time beyond the year 9999) ends the connection each time it comes: only a delivery limit,
    or RabbitMQ's own tools, get rid of it. linkbus sends none such.

Limits
    `max_message_bytes` of body, key and headers (16 MiB, which is the broker's own limit of
    the body since version 4). All headers share one frame, of 128 KiB as a rule; where the
    trace context does not fit in, it stays behind. A header's name is UTF-8 and occurs once.
    Values are text; bytes that are no UTF-8 travel as a byte array. Headers of other
    producers arrive as text, whatever their type: a number or a time as Python writes it,
    tables and arrays (`x-death`) as compact JSON with sorted keys. Properties other than
    headers (`content_type`, `correlation_id`, …) are in `raw`. 1,000 messages in a batch.

Time
    AMQP has whole seconds. The milliseconds travel in the header `linkbus`; `sent_at` of a
    message from another producer is its `timestamp`.

What the log shows
    aiormq logs bodies and headers at the level DEBUG: keep its logger, "aiormq", at INFO or
    above where they are confidential. It logs a returned message as an error when nobody
    waits for it any more: such records are withheld. Passwords are in no record.

Other instrumentation
    opentelemetry-instrumentation-aio-pika wraps classes of aio-pika, which this transport
    does not use: a message has one span and one trace context, linkbus's own.

How to reach the raw client
    `RabbitMQTransport.raw` is the connection for publishing, an `aiormq.Connection` (the
    client under aio-pika), whose `channel()` opens a channel of your own; `raw` of a receiver
    is its channel. `delivery.raw` is the `DeliveredMessage`, of which
    `aio_pika.message.IncomingMessage` makes its own. Close none of them, and settle nothing.
"""

from linkbus.transports.rabbitmq._transport import RabbitMQTransport, from_url

__all__ = ["RabbitMQTransport", "from_url"]
