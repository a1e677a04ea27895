"""How a request ends early, and how its progress and its buffers are handled on the way."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http1 import tcp_info
from s3_upload.http1.connection import CLOSED, SLICE_BYTES, Connection
from s3_upload.http1.trace import Answer, SendOptions, Trace
from tests.http1.peers import MIB, OK, answering, head_for, read_request, reset, talking, until

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[Callable[[], Any]], None]
    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]

PHASES = ["sending", "waiting", "reading"]
BODY = bytes(32 * MIB)


class Phase:
    """A server that stops in a phase of the request, and tells when it got there and when the peer left."""

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self.body = BODY if phase == "sending" else b"small"
        self.reached = asyncio.Event()
        self.peer_left = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.phase == "sending":
            await reader.readuntil(b"\r\n\r\n")
        else:
            await read_request(reader)
        if self.phase == "reading":
            writer.write(OK[:20])
            await writer.drain()
        self.reached.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 20):
                pass
        self.peer_left.set()


def test_what_has_come_of_an_answer_shows_while_it_comes(run: Run) -> None:
    """Of each answer by itself, also on a connection that had one before."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for piece in (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", b"de"):
                await goes_on.wait()
                goes_on.clear()
                writer.write(piece)

    goes_on = asyncio.Event()

    async def main() -> None:
        async with talking(handler) as client:
            for _ in range(2):
                trace = client.trace()
                waiting = asyncio.ensure_future(client.request(b"", trace, Answer.WHOLE))
                assert trace.transfer() is None
                await until(lambda: trace.probe is not None)  # noqa: B023
                assert trace.probe is not None
                assert trace.probe().answer_bytes == 0
                goes_on.set()
                await until(lambda: trace.probe().answer_bytes == 3)  # type: ignore[misc] # noqa: B023
                goes_on.set()
                assert (await waiting).body == b"abcde"
                assert trace.transfer() is None

    run(main)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("how", ["abort", "cancel", "close"])
def test_a_request_that_is_ended_early_ends_its_connection(run: Run, phase: str, how: str) -> None:
    async def main() -> None:
        server = Phase(phase)
        async with talking(server) as client:
            trace = client.trace()
            waiting = asyncio.ensure_future(client.request(server.body, trace))
            await server.reached.wait()
            if phase == "reading":
                await until(lambda: trace.first_byte_s > 0.0)
            if how == "cancel":
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            else:
                assert trace.abort is not None
                client.connection.close() if how == "close" else trace.abort("no answer within 3 s")
                with pytest.raises(AttemptError) as caught:
                    await waiting
                kind, text = {
                    "abort": (FailureKind.TIMEOUT, "no answer within 3 s"),
                    "close": (FailureKind.CLIENT_CLOSED, CLOSED),
                }[how]
                assert (caught.value.kind, caught.value.message) == (kind, text)
            assert trace.abort is None
            assert client.unusable
            assert client.idle == []
            await server.peer_left.wait()

    run(main)


class Looked(Connection):
    """Looks at itself when it is lost: its request has ended then, and its task does not know."""

    before = after = None

    def connection_lost(self, exc: Exception | None) -> None:
        trace = self._trace
        assert trace is not None
        self.before = tcp_info.read(self.socket), tcp_info.sample(self.socket, 1, busy=True)
        super().connection_lost(exc)
        self.after = trace.abort, trace.probe


def test_between_its_loss_and_its_tasks_turn_a_connection_tells_nothing_and_raises_nothing(run: Run) -> None:
    """uvloop has closed the socket by then, and asyncio has not."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        reset(writer)

    async def main() -> None:
        async with talking(handler, connection_type=Looked) as client:
            with pytest.raises(AttemptError):
                await client.request(b"body")
            looked = client.connection
            assert isinstance(looked, Looked)
            assert looked.before is not None
            assert looked.after == (None, None)
            assert tcp_info.read(looked.socket) is None
            assert not tcp_info.pace(looked.socket, 1e6)
            assert tcp_info.congestion_control(looked.socket) == b""

    run(main)


def test_ending_twice_says_so_once(run: Run) -> None:
    async def main() -> None:
        async with talking(answering(OK)) as client:
            await client.request()
            client.connection.close()
            client.connection.close()
            client.connection.abort("late")
            assert client.unusable

    run(main)


@pytest.mark.parametrize("how", ["abort", "cancel"])
def test_what_ends_an_answered_request_leaves_the_next_one_alone(run: Run, how: str) -> None:
    """The answer is there, its waiter has not run yet, and another task has taken the connection."""

    async def main() -> None:
        async with talking(answering(OK)) as client:
            first, second = client.trace(), client.trace()
            others: list[asyncio.Task[Any]] = []

            def take_at_once(_connection: Connection) -> None:
                if not others:
                    others.append(asyncio.ensure_future(client.request(b"", second)))
                    asyncio.get_running_loop().call_soon(too_late)

            def too_late() -> None:
                if how == "cancel":
                    waiting.cancel()
                elif first.abort is not None:
                    first.abort("too late")

            client.connection._on_idle = take_at_once
            waiting = asyncio.ensure_future(client.request(b"", first))
            await asyncio.wait([waiting])
            assert waiting.cancelled() == (how == "cancel")
            assert (await others[0]).status == 200
            assert client.connection.usable

    run(main)


@pytest.mark.parametrize("body", [b"", b"small", BODY], ids=["empty", "small", "big"])
def test_times_are_in_order(run: Run, body: bytes) -> None:
    async def main() -> None:
        async with talking(answering(OK)) as client:
            trace = client.trace()
            assert trace.request_s == trace.sent_s == trace.first_byte_s == 0.0
            await client.request(body, trace)
            now_s = trace.now()
            assert 0.0 < trace.started_s <= trace.request_s <= trace.sent_s
            assert trace.sent_s <= trace.first_byte_s <= now_s

    run(main)


def test_sent_is_when_the_last_byte_has_left_us_and_not_before(run: Run) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reached.set()
        await go_on.wait()
        received.append(await reader.readexactly(len(BODY)))
        writer.write(OK)

    reached, go_on = asyncio.Event(), asyncio.Event()
    received: list[bytes] = []

    async def main() -> None:
        async with talking(handler) as client:
            trace = client.trace()
            waiting = asyncio.ensure_future(client.request(BODY, trace))
            await reached.wait()
            await asyncio.sleep(0.05)  # long enough for a wrong implementation to have "sent" it
            assert trace.sent_s == 0.0
            go_on_s = trace.now()
            go_on.set()
            await waiting
            assert go_on_s <= trace.sent_s <= trace.first_byte_s
            assert received == [BODY]

    run(main)


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_what_has_left_is_told_when_a_request_ends_early(run: Run, how: str) -> None:
    """Not what waits here, in buffers of ours or the kernel's, for a peer that takes in no more."""
    received = 100_000

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(received)
        reached.set()
        await go_on.wait()
        reset(writer)

    reached, go_on = asyncio.Event(), asyncio.Event()

    async def main() -> None:
        async with talking(handler) as client:
            trace = client.trace()
            waiting = asyncio.ensure_future(client.request(BODY, trace))
            await reached.wait()
            if how == "reset":
                go_on.set()
            else:
                assert trace.abort is not None
                trace.abort("enough")
            with pytest.raises(AttemptError):
                await waiting
            # A transport that broke does not tell how much of the last slice had left.
            at_least = received - SLICE_BYTES if how == "reset" else received
            assert at_least <= trace.sent_bytes < len(BODY)

    run(main)


@pytest.mark.parametrize("status", [b"200 OK", b"500 No"])
def test_what_was_answered_after_it_was_read_has_left(run: Run, status: bytes) -> None:
    async def main() -> None:
        async with talking(answering(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")) as client:
            trace = client.trace()
            await client.request(BODY, trace)
            assert trace.sent_bytes == len(BODY)

    run(main)


class Spied(Connection):
    """Notes what is handed to the real transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.written: list[Any] = []
        self._transport = _Spy(transport, self.written)  # type: ignore[assignment]


class _Spy:
    def __init__(self, transport: Any, written: list[Any]) -> None:
        self._transport = transport
        self._written = written

    def write(self, data: Any) -> None:
        self._written.append(data)
        self._transport.write(data)

    def writelines(self, buffers: Any) -> None:
        self._written.extend(buffers)
        self._transport.writelines(buffers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@pytest.mark.parametrize("size", [1, SLICE_BYTES, SLICE_BYTES + 1, 3 * SLICE_BYTES])
def test_head_and_body_stay_two_buffers(run: Run, size: int) -> None:
    body = bytes(size)

    async def main() -> None:
        async with talking(answering(OK), connection_type=Spied) as client:
            await client.request(body)
            assert isinstance(client.connection, Spied)
            head, *slices = client.connection.written
            assert head == head_for(body)
            assert sum(map(len, slices)) == size
            assert max(map(len, slices)) <= SLICE_BYTES
            # The very bytes that were given, or views of them: nothing is copied.
            assert all(piece is body or piece.obj is body for piece in slices)

    run(main)


class _Silent(_Spy):
    """`writelines` as in CPython 3.12.1 and 3.13.0: it does not say that bytes remain."""

    def writelines(self, buffers: Any) -> None:
        if isinstance(self._transport, asyncio.Transport):
            self._transport._maybe_pause_protocol = lambda: None  # type: ignore[attr-defined]
            super().writelines(buffers)
            del self._transport._maybe_pause_protocol  # type: ignore[attr-defined]
        else:
            super().writelines(buffers)


class Narrow(Connection):
    """The kernel takes in little."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self._transport = _Silent(transport, [])  # type: ignore[assignment]


def test_an_answer_before_the_whole_of_a_small_body_was_sent_is_early(run: Run) -> None:
    answered = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(OK)
        await answered.wait()

    async def main() -> None:
        async with talking(handler, connection_type=Narrow) as client:
            trace = client.trace()
            response = await client.request(bytes(SLICE_BYTES), trace)
            answered.set()
            assert response.early
            assert client.unusable
            assert trace.sent_s == 0.0
            assert trace.sent_bytes < SLICE_BYTES

    run(main)


def test_what_takes_its_time_to_leave_is_sent_in_the_end(run: Run) -> None:
    async def main() -> None:
        async with talking(answering(OK), connection_type=Narrow) as client:
            trace = client.trace()
            assert not (await client.request(bytes(SLICE_BYTES), trace)).early
            assert trace.sent_s > 0.0
            assert client.connection.usable

    run(main)


def test_a_proxy_is_named_too_where_a_connection_ends_before_its_first_request() -> None:
    async def main() -> str:
        def nothing(_: Connection) -> None: ...

        loop = asyncio.get_running_loop()
        connection = Connection(loop=loop, address="127.0.0.1", on_idle=nothing, on_closed=nothing)
        connection.goes_through("; the way leads through the proxy p.test:1")
        connection.connection_lost(None)
        with pytest.raises(AttemptError) as caught:
            await connection.request(b"", b"", Trace(SendOptions(1.0), loop.time))
        return str(caught.value)

    assert asyncio.run(main()) == (
        "the store closed the connection before the request; the way leads through the proxy p.test:1"
    )
