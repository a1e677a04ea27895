"""The other side ends the connection: what its answer is worth by then, and whether there was one."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http1.connection import Connection
from s3_upload.http1.trace import Answer
from tests.http1.peers import MIB, OK, answering, connected, read_request, reset, talking, until

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[Callable[[], Any]], None]

BODY = bytes(32 * MIB)
NO_LENGTH = b"HTTP/1.0 400 Bad Request\r\n\r\nThis port "


@pytest.mark.parametrize("how", ["eof", "reset"])
@pytest.mark.parametrize("body", [b"small", BODY], ids=["sent", "sending"])
def test_an_error_without_a_length_ends_with_its_connection(run: Run, how: str, body: bytes) -> None:
    """What stays unread of a request makes a reset of the server's close."""

    async def main() -> None:
        received = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(NO_LENGTH)
            await received.wait()
            writer.write(b"speaks TLS")
            await writer.drain()
            await more.wait()
            if how == "reset":
                reset(writer)
            else:
                writer.write_eof()
                await reader.read()

        more = asyncio.Event()
        async with talking(handler, connection_type=Watched) as client:
            watched = client.connection
            assert isinstance(watched, Watched)
            trace = client.trace()
            waiting = asyncio.ensure_future(client.request(body, trace))
            await until(lambda: trace.first_byte_s > 0.0)
            received.set()
            await until(lambda: b"TLS" in watched.received)
            assert not waiting.done()
            more.set()
            response = await waiting
            assert (response.status, response.body) == (400, b"This port speaks TLS")
            assert client.unusable
            assert client.idle == []

    run(main)


class Ending:
    """A server that answers `said` and then ends the connection in some way, or, for None, does not."""

    def __init__(self, said: bytes, how: str | None) -> None:
        self.said = said
        self.how = how

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(self.said)
        await writer.drain()
        if self.how == "reset":
            reset(writer)
        elif self.how is None:
            await reader.read()


@pytest.mark.parametrize("how", ["eof", "reset", None])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_success_without_a_length_is_settled_by_its_headers(
    run: Run, version: bytes, how: str | None
) -> None:
    """PutObject and UploadPart need nothing of the body; a gateway may keep its connection open for long."""

    async def main() -> None:
        said = b'HTTP/%s 200 OK\r\nETag: "e"\r\n\r\n' % version
        async with talking(Ending(said, how)) as client:
            response = await client.request(b"body")
            assert (response.status, response.etag, response.body) == (200, '"e"', b"")
            assert client.unusable
            assert client.idle == []

    run(main)


def test_what_came_of_its_body_with_the_headers_is_kept(run: Run) -> None:
    async def main() -> None:
        said = b'HTTP/1.0 200 OK\r\nETag: "e"\r\n\r\n<html>'
        async with talking(Ending(said, None)) as client:
            assert (await client.request()).body == b"<html>"

    run(main)


@pytest.mark.parametrize(
    ("needs", "etag"),
    [(Answer.WHOLE, b"ETag: x\r\n"), (Answer.HEADERS, b"")],
    ids=["needed", "no ETag"],
)
def test_a_success_whose_body_counts_is_whole_when_its_connection_was_closed_in_order(
    run: Run, needs: Answer, etag: bytes
) -> None:
    """RFC 9112 §6.3: a reset may have cut it short."""

    async def main() -> None:
        said = b"HTTP/1.0 200 OK\r\n" + etag + b"\r\n<Result>all of it</Result>"
        for how in ("eof", "reset"):
            async with talking(Ending(said, how)) as client:
                waiting = asyncio.ensure_future(client.request(b"body", needs=needs))
                if how == "eof":
                    assert (await waiting).body == b"<Result>all of it</Result>"
                else:
                    with pytest.raises(AttemptError) as caught:
                        await waiting
                    assert caught.value.kind is FailureKind.RESET
                assert client.unusable
                assert client.idle == []

    run(main)


@pytest.mark.parametrize("status", [b"204 No Content", b"200 OK\r\nTransfer-Encoding: chunked"])
def test_an_answer_that_needs_no_length_leaves_a_good_connection(run: Run, status: bytes) -> None:
    async def main() -> None:
        end = b"\r\n\r\n" if status.startswith(b"204") else b"\r\n\r\n0\r\n\r\n"
        async with talking(answering(b"HTTP/1.1 " + status + b"\r\nETag: x" + end)) as client:
            await client.request()
            assert client.connection.usable

    run(main)


@pytest.mark.parametrize("how", ["eof", "reset", "byte", "abort"])
@pytest.mark.parametrize("new", [True, False])
def test_only_a_waiting_connection_that_ends_without_a_byte_of_an_answer_was_stale(
    run: Run, new: bool, how: str
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        if how == "byte":
            writer.write(b"H")
            await writer.drain()
        elif how == "reset":
            reset(writer)
        elif how == "abort":
            await reader.read()

    async def main() -> None:
        async with talking(handler) as client:
            await client.request()
            trace = client.trace()
            trace.takes(new=new)
            waiting = asyncio.ensure_future(client.request(b"", trace))
            await asyncio.sleep(0)
            if how == "abort":
                assert trace.abort is not None
                trace.abort("too late")
            with pytest.raises(AttemptError):
                await waiting
            assert trace.stale == (how in {"eof", "reset"} and not new)

    run(main)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 408 No\r\n\r\n"])
def test_a_connection_that_hung_up_shows_before_the_loop_knows(run: Run, said: bytes) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with connected(listener.getsockname()[1]) as client:
                peer, _ = listener.accept()
                assert not client.connection.hung_up()
                peer.sendall(said)
                peer.close()
                seen = client.connection.hung_up()  # on loopback it is there at once; nobody has read
                assert client.connection.usable
                assert seen

    run(main)


class Watched(Connection):
    """Shows what it has received."""

    received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        super().data_received(data)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 400 No\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 400 No\r\nX: y\r\n",
    ],
    ids=["success", "length", "chunked", "headers"],
)
def test_any_other_answer_that_ends_with_its_connection_is_none(run: Run, answer: bytes) -> None:
    async def main() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(answer)

        async with talking(handler) as client:
            with pytest.raises(AttemptError) as caught:
                await client.request()
            assert caught.value.kind is FailureKind.RESET
            assert client.unusable

    run(main)


REFUSED_EARLY = [
    (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n<Error><Code>IncompleteBody</Code>", 400),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    (b"HTTP/1.1 403 Forb", None),
    (b"", None),
]


@pytest.mark.parametrize(("said", "status"), REFUSED_EARLY)
def test_what_the_store_said_before_a_write_error_is_read(run: Run, said: bytes, status: int | None) -> None:
    """It has answered and hung up when our first byte is written: only an error is believed."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with connected(listener.getsockname()[1]) as client:
                peer, _ = listener.accept()
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.sendall(said)
                peer.close()  # RST
                if status is None:
                    with pytest.raises(AttemptError) as caught:
                        await client.request(b"body")
                    assert caught.value.kind is FailureKind.RESET
                else:
                    assert (await client.request(b"body")).status == status
                assert client.unusable

    run(main)
