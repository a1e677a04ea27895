"""One connection: what it makes of every kind of answer, and that it is never used after trouble."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http1.received import MAX_HEADER_BYTES, MAX_RESPONSE_BODY_BYTES
from s3_upload.http1.trace import Answer, SendOptions, Trace
from tests.http1.peers import MIB, OK, answering, connected, read_request, reset, serving, talking, until

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[Callable[[], Any]], None]

GOOD = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc", True),
    "empty": (OK, 200, b"", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nT: r\r\n\r\n",
        200, b"abcde", True,
    ),
    "continue first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: 1\r\n\r\n" + OK, 200, b"", True,
    ),
    "white space first": (b"\r\n\r\n" + OK, 200, b"", True),
    "error": (b"HTTP/1.1 503 Slow Down\r\nContent-Length: 2\r\n\r\nno", 503, b"no", True),
    "close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
    "biggest body": (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MAX_RESPONSE_BODY_BYTES
        + bytes(MAX_RESPONSE_BODY_BYTES),
        200, bytes(MAX_RESPONSE_BODY_BYTES), True,
    ),
    "one and a half": (OK + b"HTTP/1.1 200", 200, b"", False),
    "one and garbage": (OK + b"garbage", 200, b"", False),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_whole_answers(run: Run, name: str) -> None:
    raw, status, body, reusable = GOOD[name]

    async def main() -> None:
        async with talking(answering(raw)) as client:
            response = await client.request(b"body")
            assert (response.status, response.body) == (status, body)
            assert client.connection.usable == reusable
            assert client.unusable != reusable
            assert client.connection.requests == 1

    run(main)


class Heard(Trace):
    """Counts how often an answer seems to begin."""

    times: int = 0

    def answered(self) -> None:
        super().answered()
        self.times += 1


def test_an_interim_answer_is_not_the_beginning_of_the_answer(run: Run) -> None:
    """By that a body is judged that is still on its way: it would be cut a minute later."""

    async def main() -> None:
        ready = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await ready.wait()
            await reader.readexactly(8 * MIB)
            writer.write(OK)

        async with talking(handler) as client:
            trace = Heard(SendOptions(5.0), asyncio.get_running_loop().time)
            request = asyncio.ensure_future(client.request(bytes(8 * MIB), trace))
            await until(lambda: trace.times == 1)
            assert trace.first_byte_s == 0.0
            ready.set()
            await request
            assert (trace.times, trace.first_byte_s > 0.0) == (2, True)

    run(main)


def test_an_answer_that_comes_together_with_an_interim_one_has_a_beginning(run: Run) -> None:
    """Else it would count as having taken no time at all, by which timeouts are set."""

    async def main() -> None:
        async with talking(answering(b"HTTP/1.1 102 Processing\r\n\r\n" + OK)) as client:
            trace = client.trace()
            await client.request(b"body", trace)
            assert trace.first_byte_s >= trace.sent_s > 0.0

    run(main)


def test_an_answer_in_single_bytes(run: Run) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for byte in GOOD["chunked"][0]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)

    async def main() -> None:
        async with talking(handler) as client:
            assert (await client.request()).body == b"abcde"
            assert client.connection.usable

    run(main)


def test_header_names_are_lower_case_and_the_last_of_each_counts(run: Run) -> None:
    raw = b'HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:  2 \r\nETag: "\xe9"\r\nContent-Length: 0\r\n\r\n'

    async def main() -> None:
        async with talking(answering(raw, OK)) as client:
            response = await client.request()
            assert response.headers == {"x-a": "2", "etag": '"é"', "content-length": "0"}
            again = await client.request()  # nothing is left over from the first
            assert again.headers == {"content-length": "0", "etag": '"e"'}

    run(main)


def test_requests_follow_each_other_on_one_connection(run: Run) -> None:
    async def main() -> None:
        async with talking(answering(OK)) as client:
            for number in range(1, 4):
                trace = client.trace()
                waiting = asyncio.ensure_future(client.request(b"x" * number, trace))
                await asyncio.sleep(0)
                assert not client.connection.usable
                assert "busy" in repr(client.connection)
                assert trace.abort is not None
                assert (await waiting).etag == '"e"'
                assert trace.abort is None
                assert trace.address == "127.0.0.1"
                assert client.idle == [client.connection] * number
            assert repr(client.connection) == "<Connection 127.0.0.1 idle requests=3>"
        assert "closed" in repr(client.connection)

    run(main)


HEAD_ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 200, True),
    "no length": (b"HTTP/1.1 404 Not Found\r\n\r\n", 404, False),
    "empty": (OK, 200, True),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, True),
    "continue first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", 404, True,
    ),
    "close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n", 200, False),
    "a body all the same": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 ", 200, False),
    "a whole body": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, False),
    "an answer for a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + OK, 200, False),
}  # fmt: skip


@pytest.mark.parametrize("name", HEAD_ANSWERS)
def test_the_answer_to_a_head_ends_with_its_headers_and_the_connection_goes_on(run: Run, name: str) -> None:
    """Unless a body came all the same: what follows that is not believed."""
    raw, status, reusable = HEAD_ANSWERS[name]

    async def main() -> None:
        async with talking(answering(raw, OK)) as client:
            response = await client.request(b"", needs=Answer.BODILESS)
            assert (response.status, response.body) == (status, b"")
            assert client.connection.usable == reusable
            assert client.unusable != reusable
            if reusable:
                assert (await client.request(b"next")).etag == '"e"'

    run(main)


BAD = {
    "end of file": (b"", FailureKind.RESET, "closed the connection"),
    "torn head": (b"HTTP/1.1 200 OK\r\nContent-Le", FailureKind.RESET, "closed the connection"),
    "torn body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", FailureKind.RESET, "closed"),
    "torn chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\na", FailureKind.RESET, "clos"),
    "only 1xx": (b"HTTP/1.1 100 Continue\r\n\r\n", FailureKind.RESET, "closed"),
    "garbage": (b"220 smtp.example.com ESMTP\r\n", FailureKind.MALFORMED, "not HTTP/1.1"),
    "bad chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", FailureKind.MALFORMED, "not HTTP/1.1",
    ),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", FailureKind.MALFORMED, "HTTP",
    ),
    "long header": (
        b"HTTP/1.1 200 OK\r\nX: " + bytes([120]) * (MAX_HEADER_BYTES + 1) + b"\r\n\r\n",
        FailureKind.MALFORMED, f"headers exceed {MAX_HEADER_BYTES} bytes",
    ),
    "long trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: "
        + bytes([120]) * (MAX_HEADER_BYTES + 1) + b"\r\n\r\n",
        FailureKind.MALFORMED, f"headers exceed {MAX_HEADER_BYTES} bytes",
    ),
    "many headers": (
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEADER_BYTES,
        FailureKind.MALFORMED, f"headers exceed {MAX_HEADER_BYTES} bytes",
    ),
    "long body": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + bytes(2_000_000),
        FailureKind.MALFORMED, f"body exceeds {MAX_RESPONSE_BODY_BYTES} bytes",
    ),
    "endless chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"10000\r\n" + bytes(65536) + b"\r\n") * 17,
        FailureKind.MALFORMED, f"body exceeds {MAX_RESPONSE_BODY_BYTES} bytes",
    ),
    "tls alert": (b"\x15\x03\x01\x00\x02\x02\x46", FailureKind.TLS_MISMATCH, "use https://"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_answer(run: Run, name: str) -> None:
    raw, kind, message = BAD[name]

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(raw)
        await writer.drain()

    async def main() -> None:
        async with talking(handler) as client:
            with pytest.raises(AttemptError, match=message) as caught:
                await client.request(b"body")
            assert caught.value.kind is kind
            assert client.unusable
            assert client.idle == []

    run(main)


@pytest.mark.parametrize("after", ["head", "body", "half an answer"])
def test_a_reset(run: Run, after: str) -> None:
    body = bytes(8 * MIB)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if after != "head":
            await reader.readexactly(len(body))
        if after == "half an answer":
            writer.write(OK[:20])
            await writer.drain()
        reset(writer)

    async def main() -> None:
        async with talking(handler) as client:
            with pytest.raises(AttemptError, match=r"the connection broke: |closed the connection") as caught:
                await client.request(body)
            assert caught.value.kind is FailureKind.RESET
            assert client.unusable

    run(main)


def test_an_answer_before_the_body_was_sent_is_heard_and_ends_the_connection(run: Run) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        gone = asyncio.Event()
        await gone.wait()

    async def main() -> None:
        async with talking(handler) as client:
            trace = client.trace()
            response = await client.request(bytes(32 * MIB), trace)
            assert (response.status, response.body) == (403, b"no")
            assert trace.sent_s == 0.0
            assert trace.first_byte_s > 0.0
            assert client.unusable
            assert client.idle == []

    run(main)


@pytest.mark.parametrize("raw", [b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"?", b""], ids=["408", "?", "eof"])
def test_whatever_comes_while_idle_ends_the_connection(run: Run, raw: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await told.wait()
        writer.write(raw)
        if raw:
            await asyncio.Event().wait()

    told = asyncio.Event()

    async def main() -> None:
        async with talking(handler) as client:
            await client.request()
            assert client.connection.usable
            told.set()
            await until(lambda: bool(client.closed))
            assert client.unusable

    run(main)


def test_a_connection_that_closed_before_its_request_says_so_at_once(run: Run) -> None:
    """Between the handshake and the first request (or with it, in TLS) the store may close."""

    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def main() -> None:
        async with talking(handler) as client:
            await until(lambda: bool(client.closed))
            with pytest.raises(AttemptError) as caught:
                await asyncio.wait_for(client.request(b"body"), 5.0)
            assert caught.value.kind is FailureKind.RESET
            assert client.unusable

    run(main)


def test_tls(run: Run, tls: Any) -> None:
    import ssl

    body = bytes(range(256)) * (8 * MIB // 256)
    received: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            received.append(await read_request(reader))
            writer.write(OK)

    async def main() -> None:
        context = ssl.create_default_context(cafile=str(tls.ca_file))
        async with (
            serving(handler, tls=tls.server_context) as port,
            connected(port, tls=context) as client,
        ):
            trace = client.trace()
            await client.request(body, trace)
            await client.request(b"small")
            assert trace.request_s <= trace.sent_s <= trace.first_byte_s
            assert client.connection.usable
        assert received == [body, b"small"]

    run(main)
