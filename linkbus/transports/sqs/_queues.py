"""Queues: from the names and URLs that applications use to what SQS wants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from linkbus._errors import DestinationNotFound, TransportError
from linkbus.transports.sqs._errors import FAILURES, is_denied, is_missing, unusable
from linkbus.transports.sqs._options import Options
from linkbus.transports.sqs._service import Service

_FIFO = ".fifo"
_ARN_PARTS = 6


class Queue:
    """A queue that was found.

    Attributes:
        asked: As the application calls it.
        name: Its name.
        url: Its URL.
        is_fifo: SQS keeps the order of its groups; that is in the name.
        facts: About it, under OpenTelemetry's names.
    """

    __slots__ = ("asked", "facts", "is_fifo", "name", "url")

    def __init__(self, asked: str, name: str, url: str) -> None:
        self.asked = asked
        self.name = name
        self.url = url
        self.is_fifo = name.endswith(_FIFO)
        self.facts: Mapping[str, str | int] = {"aws.sqs.queue.url": url}


class Queues:
    """Finds queues, and remembers where they were."""

    def __init__(self, service: Service, options: Options) -> None:
        self._service = service
        self._options = options
        self._known: dict[str, Queue] = {}

    async def find(self, asked: str) -> Queue:
        """Return a queue by its name or URL, made if it is missing and may be made.

        A URL is believed.

        Raises:
            DestinationNotFound: There is none.
            TransportError: SQS was not reached, or refused.
        """
        known = self._known.get(asked)
        if known is None:
            known = self._known[asked] = await self._found(asked)
        return known

    async def find_now(self, asked: str) -> Queue:
        """Return a queue as `find` does, and be sure that it is there."""
        self._known.pop(asked, None)
        queue = await self.find(asked)
        if _is_url(asked):
            try:
                await self._service.attribute(queue.url, "QueueArn")
            except FAILURES as error:
                if not is_denied(error):  # who may receive may not be allowed to look
                    self.forget(queue)
                    raise unusable(error, f"looking for queue {queue.name!r}") from error
        return queue

    def makes(self, asked: str) -> bool:
        """Whether a queue is made when it is missing: what has a URL is somebody's already."""
        return self._options.create_queues and not _is_url(asked)

    def forget(self, queue: Queue) -> None:
        """Look a queue up again when it is used next: it is not where it was."""
        self._known.pop(queue.asked, None)

    async def redrive_target(self, queue: Queue) -> Queue:
        """Return where the redrive policy of a queue sends messages.

        Raises:
            TransportError: It has no such policy, or SQS was not reached, or refused.
        """
        doing = f"reading the redrive policy of queue {queue.name!r}"
        try:
            policy = await self._service.attribute(queue.url, "RedrivePolicy")
            if policy is None:
                msg = (
                    f"queue {queue.name!r} has no redrive policy, so native_dead_letter=True has "
                    "nowhere to send to: give it one, or use the consumer's dead_letter instead"
                )
                raise TransportError(msg)
            account, name = target_of(policy)
            return Queue(name, name, await self._service.url_of(name, account))
        except FAILURES as error:
            raise unusable(error, doing) from error

    async def _found(self, asked: str) -> Queue:
        name = name_of(asked)
        if self._options.fifo and not name.endswith(_FIFO):
            msg = (
                f"there is no FIFO queue {name!r}: the transport was told fifo=True, and names "
                "of FIFO queues end in .fifo"
            )
            raise DestinationNotFound(msg)
        if _is_url(asked):
            return Queue(asked, name, asked)
        try:
            return Queue(asked, name, await self._url_of(name))
        except FAILURES as error:
            raise unusable(error, f"looking for queue {name!r}") from error

    async def _url_of(self, name: str) -> str:
        try:
            return await self._service.url_of(name)
        except FAILURES as error:
            if not (self.makes(name) and is_missing(error)):
                raise
        attributes = {"FifoQueue": "true"} if name.endswith(_FIFO) else {}
        return await self._service.create(name, attributes)


def name_of(asked: str) -> str:
    """Return the name of a queue that is called by its name or its URL."""
    return urlsplit(asked).path.rpartition("/")[2] if _is_url(asked) else asked


def _is_url(asked: str) -> bool:
    return "://" in asked


def target_of(policy: str) -> tuple[str, str]:
    """Return the account and the name of the target of a redrive policy."""
    try:
        parts = str(json.loads(policy)["deadLetterTargetArn"]).split(":")
    except (ValueError, LookupError, TypeError):
        parts = []
    if len(parts) != _ARN_PARTS:
        msg = "a redrive policy that SQS gave names no target"
        raise TransportError(msg)
    return parts[-2], parts[-1]
