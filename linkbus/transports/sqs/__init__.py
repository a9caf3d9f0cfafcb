"""Amazon SQS, through aiobotocore: `linkbus.connect("sqs://eu-central-1")`, or `SQSTransport`.

What a destination and a source are
    A queue, by its name or its URL. It is not created, unless `create_queues=True`. Names
    that end in `.fifo` are FIFO queues. There are no groups but the default: the consumers
    of a queue share its messages. For several groups, let SNS fan out to several queues.

What ack, release and reject do
    ack: the message is deleted.
    release: it is shown again at once, or after the delay, of 12 hours at most.
    reject: with `native_dead_letter=True` it is sent, as it is, to the target of the queue's
    redrive policy, then deleted. A target needs permission to be sent to. Without it there
    is `dead_letter=`; the policy still moves what was received too often: each `receive`
    counts, and `delivery.attempt` is SQS's count.
    Acks and releases are told in requests of up to ten, which gather while others are under
    way. Release and reject wait for SQS's answer. An ack does not: SQS is told a moment
    later, when the consumer is closed at the latest, and if the process is killed before,
    the message comes again. A deletion that fails is tried again while the message is ours;
    if that is in vain the log says so, and the message comes again. If nothing can be
    deleted, as without permission, the consumer ends with the error.
    The lease is the visibility timeout: it is extended while linkbus holds a message, up to
    the 12 hours after which SQS gives a message to others whatever is done.

Ordering
    With `fifo=True` by key: the key is the message group, or its hash where SQS refuses it
    (128 printable characters of ASCII without spaces). Without a key every message is a
    group of its own. A batch is sent group by group in order; after a failed message, later
    ones of its group wait, but for those in the same request that SQS has already taken:
    the failed one then is not sent again by itself. Standard queues have no order.

Sending
    SENT means that SQS has stored the message. Calls at the same time share requests of up
    to ten messages. None waits for company: a request is made at once, unless `senders` of
    them are under way; what comes meanwhile goes with the next ones. A call that is cancelled
    disturbs no other.
    A request is made once: what it repeats after a broken connection is doubled on a
    standard queue, so the result is UNKNOWN there. A FIFO queue knows a repeated request by
    its deduplication ids: it is asked again until it answers, for a few seconds. These ids
    are new for each attempt and have nothing to do with the message's id, so two sends with
    one id are two messages. A client that is given as an option repeats as its owner has
    configured it.

Receiving
    A poll waits for `poll_wait` seconds, and is never cut off: what SQS gives in its answer
    would be hidden until its lease ends. So closing waits for it, and gives back at once what
    it brings. While polls come back full there are several at once.

What a message looks like to others
    Text that SQS takes is the body as it is; any other body is base64, an empty one is "-".
    Headers are message attributes: String, or Binary where SQS does not take the characters.
    The attribute `linkbus`, compact JSON, has the id, the key, the coding of the body, and
    headers that SQS would refuse (empty values; names beyond ASCII letters, digits, `_`, `-`
    and `.`, or beginning with `AWS.` or `Amazon.`), of 8 KB together. Attributes of others
    arrive as text, numbers too.

Limits
    Nine headers, for the tenth attribute is `linkbus`. Trace context goes to the places that
    are left, `traceparent` first; where none is left it goes to the system attribute
    `AWSTraceHeader`, in X-Ray's form, and is read from there. `max_message_bytes` of body,
    key and headers (1,024,000); 24 KiB more are kept for trace context. Queues whose
    `MaximumMessageSize` was left at 256 KiB need the option lowered to 237,568. A binary
    body of more than three quarters of that needs one free attribute. SQS lets all consumers
    of a queue together hold 120,000 messages.

Permissions
    sqs:GetQueueUrl, sqs:SendMessage, sqs:ReceiveMessage, sqs:DeleteMessage,
    sqs:ChangeMessageVisibility; sqs:GetQueueAttributes for `native_dead_letter`, and
    sqs:CreateQueue for `create_queues`. Opening asks for a list of queues, to see that SQS
    answers; that this is denied is an answer.

Other instrumentation
    That of botocore makes a span for each request, and has SQS write its own trace header.
    Where linkbus has put a trace context, that one is read.

What the log shows
    botocore logs requests, with bodies and headers, at the level DEBUG: keep its logger,
    "botocore", at INFO or above where they are confidential.

How to reach the raw client
    `SQSTransport.raw` is the client of aiobotocore, `delivery.raw` the message as it gave it.
    Delete no message that linkbus holds. A client of one's own needs `max_pool_connections`
    for all that is at once: `senders`, and for each consumer `pollers` and three times
    `settlers`.
"""

from linkbus.transports.sqs._transport import SQSTransport, from_url

__all__ = ["SQSTransport", "from_url"]
