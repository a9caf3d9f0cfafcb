"""Opening a client of SQS, or taking the caller's, and making sure that SQS answers."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
from aiobotocore.client import AioBaseClient
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from linkbus.transports.sqs._errors import FAILURES, is_denied, unusable
from linkbus.transports.sqs._options import Options
from linkbus.transports.sqs._service import Service

_NO_LIMIT = 0
"""Of the client's pool of connections: what may run at once is limited where it is started."""


class Opening:
    """A client, open until `aclose`; closes it only if it made it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._stack = AsyncExitStack()

    async def open(self) -> Service:
        """Return the operations of SQS, which has answered.

        If it fails or is cancelled, nothing is left open.

        Raises:
            ConnectError: SQS was not reached, or did not let us in.
        """
        try:
            service = await self._service()
            try:
                await service.ask_for_anything()
            except FAILURES as error:
                if not is_denied(error):
                    raise
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self.aclose()
            if isinstance(error, FAILURES):
                raise unusable(error, "opening the SQS transport") from error
            raise
        return service

    async def aclose(self) -> None:
        """Close the client, if it is ours."""
        await self._stack.aclose()

    async def _service(self) -> Service:
        options = self._options
        client: AioBaseClient
        if options.client is not None:
            client = options.client
        else:
            session = options.session or AioSession()
            making = session.create_client(
                "sqs",
                region_name=options.region_name,
                endpoint_url=options.endpoint_url,
                config=_config(options),
            )
            client = await self._stack.enter_async_context(making)
        service = Service(client, options.request_timeout)
        self._stack.callback(service.close)
        return service


def _config(options: Options) -> AioConfig:
    return AioConfig(
        connect_timeout=options.connect_timeout,
        read_timeout=options.poll_wait + options.request_timeout,
        max_pool_connections=_NO_LIMIT,
        # what is repeated after an unclear answer is doubled on a standard queue
        retries={"total_max_attempts": 1},
        # the models of the service are read from files, by a thread
        warm_up_loader_caches=True,
    )
