"""Over TLS: when a body counts as sent, though the transport beneath cannot be seen."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.http1.connection import SLICE_BYTES, TLS_LAST_BYTES, Connection
from tests.http1.peers import OK, connected, read_request, serving, until
from tests.http1.test_sliced import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from s3_upload.http import Body
    from tests.conftest import Tls
    from tests.http1.peers import Client, Handler

    Run = Callable[[Callable[[], Any]], None]

SIZES = [1, TLS_LAST_BYTES, TLS_LAST_BYTES + 1, SLICE_BYTES, SLICE_BYTES + 1, 3 * SLICE_BYTES + 77]


class Narrow(Connection):
    """The kernel takes in little."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


@contextlib.asynccontextmanager
async def talking(handler: Handler, tls: Tls) -> AsyncIterator[Client]:
    context = ssl.create_default_context(cafile=str(tls.ca_file))
    async with (
        serving(handler, tls=tls.server_context) as port,
        connected(port, tls=context, connection_type=Narrow) as client,
    ):
        yield client


async def give(body: Body, content: bytes) -> None:
    """Of a body in slices: gives them all."""
    if isinstance(body, Script):
        await until(lambda: body.begun)
        for start in range(0, len(content), SLICE_BYTES):
            body.give(content[start : start + SLICE_BYTES])


@pytest.mark.parametrize("made", [bytes, Script], ids=["whole", "in slices"])
def test_an_answer_before_the_whole_body_was_sent_is_early(
    run: Run, tls: Tls, made: Callable[[int], Body]
) -> None:
    async def main() -> None:
        answer, answered = asyncio.Event(), asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await answer.wait()
            writer.write(OK)
            await answered.wait()

        async with talking(handler, tls) as client:
            body, trace = made(SLICE_BYTES), client.trace()
            asking = asyncio.ensure_future(client.request(body, trace))
            await give(body, bytes(SLICE_BYTES))
            answer.set()
            response = await asking
            answered.set()
            assert response.early
            assert client.unusable
            assert trace.sent_s == 0.0

    run(main)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("made", [bytes, Script], ids=["whole", "in slices"])
def test_what_takes_its_time_to_leave_is_sent_in_the_end(
    run: Run, tls: Tls, made: Callable[[int], Body], size: int
) -> None:
    content = bytes(size) if made is bytes else b"abcdefg" * (size // 7) + b"hijklmn"[: size % 7]

    async def main() -> None:
        received: list[bytes] = []

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                received.append(await read_request(reader))
                writer.write(OK)

        async with talking(handler, tls) as client:
            for _ in range(2):
                body, trace = made(size), client.trace()
                asking = asyncio.ensure_future(client.request(body, trace))
                await give(body, content)
                assert not (await asking).early
                assert trace.sent_s > 0.0
                assert trace.sent_bytes == size
                assert client.connection.usable
        assert received == [content, content]

    run(main)
