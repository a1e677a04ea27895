"""The two ends of a connection in one loop: a server that does what a test says, and our `Connection`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Any, cast

from s3_upload.http1.connection import Connection
from s3_upload.http1.trace import Answer, SendOptions, Trace

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from s3_upload.http import Body

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n"
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "e"\r\n\r\n'
MIB = 1 << 20
UNREADABLE = (asyncio.IncompleteReadError, asyncio.LimitOverrunError)


def head_for(body: Body) -> bytes:
    return HEAD % len(body)


class _Accepted(asyncio.StreamReaderProtocol):
    """Remembers its transport, which a handler that is never begun would leave open."""

    def __init__(self, handler: Handler, transports: set[asyncio.Transport]) -> None:
        super().__init__(asyncio.StreamReader(), handler)
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transports.add(cast("asyncio.Transport", transport))  # uvloop's is none by its class
        super().connection_made(transport)


_ACCEPTING_TURNS = 4
"""Of the loop, from the accepted socket to the begun handler. asyncio leaves open what it has accepted when
the server is closed before that."""


@contextlib.asynccontextmanager
async def serving(
    handler: Handler, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serves each connection with `handler`; gives the port."""
    tasks: set[asyncio.Task[Any]] = set()
    transports: set[asyncio.Transport] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, *UNREADABLE, asyncio.CancelledError):
            try:
                await handler(reader, writer)
            finally:
                tasks.discard(task)
                writer.close()

    server = await asyncio.get_running_loop().create_server(
        lambda: _Accepted(serve, transports), host, port, ssl=tls, backlog=256
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        for _ in range(_ACCEPTING_TURNS):
            await asyncio.sleep(0)
        server.close()
        running = tuple(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One whole request; gives its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length.split(b":")[1]))


def answering(*answers: bytes) -> Handler:
    """A handler that gives these answers in turn, the last one again and again."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while True:
            await read_request(reader)
            writer.write(answers[min(number, len(answers) - 1)])
            number += 1

    return handler


def reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Client:
    """Our end: a `Connection` and what it told its owner."""

    def __init__(self, connection_type: type[Connection] = Connection) -> None:
        self.idle: list[Connection] = []
        self.closed: list[Connection] = []
        self.connection = connection_type(
            loop=asyncio.get_running_loop(),
            address="127.0.0.1",
            on_idle=self.idle.append,
            on_closed=self.closed.append,
        )

    def trace(self) -> Trace:
        return Trace(SendOptions(5.0), asyncio.get_running_loop().time)

    async def request(
        self, body: Body = b"", trace: Trace | None = None, needs: Answer = Answer.HEADERS
    ) -> Any:
        return await self.connection.request(head_for(body), body, trace or self.trace(), needs)

    @property
    def unusable(self) -> bool:
        """Closed for good, and its owner was told so exactly once."""
        return not self.connection.usable and self.closed == [self.connection]


@contextlib.asynccontextmanager
async def connected(
    port: int, *, tls: ssl.SSLContext | None = None, connection_type: type[Connection] = Connection
) -> AsyncIterator[Client]:
    client = Client(connection_type)
    await asyncio.get_running_loop().create_connection(
        lambda: client.connection,
        "127.0.0.1",
        port,
        ssl=tls,
        server_hostname="localhost" if tls else None,
    )
    try:
        yield client
    finally:
        client.connection.close()


@contextlib.asynccontextmanager
async def talking(handler: Handler, **options: Any) -> AsyncIterator[Client]:
    """A server with `handler` and a connection to it."""
    async with serving(handler) as port, connected(port, **options) as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop run until `condition()`; the runner bounds the wait."""
    while not condition():  # noqa: ASYNC110 - what is waited for knows of no event
        await asyncio.sleep(0.001)
