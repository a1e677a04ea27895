"""Connectors to servers on several addresses, on loops of `names.py`."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import AttemptError
from s3_upload.http1.connect import Connector
from s3_upload.http1.connection import Connection
from tests.http1.names import HOST, controlled, look_up, trace
from tests.http1.peers import OK, answering, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

A, B, C = "127.0.0.1", "127.0.0.2", "127.0.0.3"


class Opener:
    """A connector and what it opened."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, host: str = HOST) -> None:
        loop = asyncio.get_running_loop()
        self.connector = Connector(host=host, port=port, tls=tls, loop=loop, look_up=look_up)
        self.opened: list[Connection] = []
        self.spare: list[Connection] = []

    async def open(self, **options: Any) -> Connection:
        connection = await self.connector.open(trace(**options), self.spare.append, lambda _: None)
        self.opened.append(connection)
        return connection

    async def refusal(self, **options: Any) -> AttemptError:
        with pytest.raises(AttemptError) as caught:
            await self.open(**options)
        return caught.value

    def close(self) -> None:
        for connection in self.opened + self.spare:
            connection.close()


@contextlib.asynccontextmanager
async def opener(*addresses: str, **options: Any) -> AsyncIterator[Opener]:
    """Servers at these addresses, all on one port, to which the name resolves."""
    async with contextlib.AsyncExitStack() as stack:
        port = 0
        for address in addresses:
            port = await stack.enter_async_context(serving(answering(OK), host=address, port=port))
        controlled().answers = [list(addresses)]
        made = Opener(port, **options)
        stack.callback(made.close)
        yield made
