"""The memory transport: a real broker inside the process.

For tests, examples and programs that need a queue and no server: groups, leases and
redelivery, order of keys, delays and bounds work as they do on a broker, and nothing is
written anywhere. When the process ends, its messages are gone.

Destination and source
    A topic, made on its first use by anybody. Each group gets every message; a new group
    begins with the oldest message that is still held. A message is held until every group
    that there is has acknowledged it, and before there is a first group it is kept.

Ack, release and reject
    Ack: done for this group. Release: given again to any receiver of the group, at once or
    after the delay; `attempt` counts how often the group was given it. Reject: not possible,
    there are no native dead letters. A message that is neither settled nor extended within
    `lease` seconds is given again, and settling its old arrival is STALE; so is what a
    receiver held when it was closed, which is given back at once.

Ordering
    By key. While a receiver has unsettled messages of a key, only this receiver is given
    more of that key, so that two receivers never work on one key at once; when it has
    settled them all, the key is anybody's. A message that was given back goes before the
    later ones of its key, and if it has a delay they wait behind it. Messages that come
    back and new ones take turns, so that a failing key does not keep the others waiting.
    A message without a key has no order, though it mostly comes first in, first out.

Limits
    A topic holds 100,000 messages and 64 MiB of bodies, keys and headers, unless
    `MemoryBroker` is told otherwise; a full topic answers FAILED, retryable. Header names
    may repeat, in any number; a batch may have any size.

The raw client
    There is none. `MemoryTransport.broker` is the broker, for another transport to share.
"""

from linkbus.transports.memory._broker import MemoryBroker
from linkbus.transports.memory._transport import MemoryTransport
from linkbus.transports.memory._url import from_url

__all__ = ["MemoryBroker", "MemoryTransport", "from_url"]
