"""A scriptable HTTP/1.1 server that behaves like S3, or as badly as a test wants.

    with FaultServer([Rule(Reset(), key="a", attempt=1)]) as server:
        ... upload to server.url ...
        assert [r.status for r in server.requests] == [0, 200]

Rules:

* It runs its own event loop in a daemon thread, so that tests may use asyncio.run, threads or child
  processes against it.  Port 0; TLS if a server-side `ssl.SSLContext` is given.
* Requests are parsed whole, recorded, and answered by a script (see `actions`); the default is a
  small model of S3 (see `model`).  The script runs in the server's thread: keep it quick.
* `wait_until` waits for something to have happened here, which spares tests their sleeps.

The life of a request: headers -> script -> [Early, or cut at n bytes of body] -> body -> action.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import struct
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote

import httptools

from s3_upload.blocking import loop_factory
from tests.faults.actions import (
    Action,
    Answer,
    Delay,
    Early,
    Garbage,
    Held,
    Request,
    Reset,
    Rule,
    Script,
    Serve,
    Stall,
    Torn,
    as_script,
    render,
    s3_error,
)
from tests.faults.model import S3Model, decode_aws_chunked

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Mapping, Sequence

_VIRTUAL_HOSTS = re.compile(r"(.+)\.localhost(:\d+)?")
HELD_S = 0.01
"""Between two looks whether an answer that is held may go."""
_LINGER_0 = struct.pack("ii", 1, 0)


class FaultServer:
    """The server; a context manager. All attributes may be read from any thread.

    `script`: see `actions.as_script`; may be replaced while running by `set_script`.  `on_connect`
    gets the number of a new connection and may return `Reset`, `Stall` (never reads), `Torn` or
    `Garbage` for it.  `record` False: no list of requests (the model still stores).  `keep_bodies`
    False: bodies are checked and measured, then dropped.  `receive_buffer_bytes` is SO_RCVBUF, so
    that the peer of a `Stall` notices soon.  A server that stopped reading does not notice a peer's close.
    `virtual_hosts`: the Host headers whose first group is the bucket.
    """

    def __init__(
        self,
        script: Script | Sequence[Rule] | Mapping[str, Action] | None = None,
        *,
        on_connect: Callable[[int], Action | None] | None = None,
        tls: ssl.SSLContext | None = None,
        record: bool = True,
        keep_bodies: bool = True,
        model: S3Model | None = None,
        receive_buffer_bytes: int | None = None,
        virtual_hosts: re.Pattern[str] = _VIRTUAL_HOSTS,
    ) -> None:
        self.script = as_script(script)
        self.on_connect = on_connect
        self.record = record
        self.keep_bodies = keep_bodies
        self.model = model or S3Model(keep_bodies=keep_bodies)
        self.requests: list[Request] = []
        self.errors: list[str] = []
        """What was received that is no HTTP, and exceptions of the script."""
        self.counts: Counter[str] = Counter()
        """`requests`, `connections`, and the answers by status: "200", "503", ..."""
        self.open_connections = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.port = 0
        self._tls = tls
        self._receive_buffer_bytes = receive_buffer_bytes
        self._virtual_hosts = virtual_hosts
        self._attempts: Counter[tuple[str, str, str]] = Counter()
        self._connections: set[_Connection] = set()
        self.is_away = False
        self._changed = threading.Condition()
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault-server", daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def set_script(self, script: Script | Sequence[Rule] | Mapping[str, Action] | None) -> None:
        self.script = as_script(script)

    def of(self, method: str, key: str | None = None) -> list[Request]:
        """The recorded requests of that method (and key), in order."""
        return [r for r in self.requests if r.method == method and key in (None, r.key)]

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Returns once `condition()` holds; it is looked at after every event here."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise AssertionError(f"the fault server waited {timeout_s} s in vain")

    def close_connections(self, *, reset: bool = False) -> None:
        """Closes the connections that are open now, as a store does with idle ones; waits for it."""

        def close() -> None:
            for connection in tuple(self._connections):
                connection.reset() if reset else connection.transport.close()

        self._loop.call_soon_threadsafe(close)
        self.wait_until(lambda: self.open_connections == 0)

    def go_away(self) -> None:
        """Resets all connections and refuses new ones, as the kernel does when the process is killed."""
        self._in_loop(self._go_away())

    def come_back(self) -> None:
        """Listens again, on the same port."""
        self._in_loop(self._come_back())

    def _in_loop(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10.0)

    async def _go_away(self) -> None:
        self.is_away = True  # so is whoever is accepted but has not got here yet
        self._server.close()
        self._listener.close()
        for connection in tuple(self._connections):
            connection.reset()
        await self._server.wait_closed()

    async def _come_back(self) -> None:
        self.is_away = False
        self._listen()
        self._server = await self._serve()

    async def _serve(self) -> asyncio.AbstractServer:
        return await self._loop.create_server(
            lambda: _Connection(self), sock=self._listener, ssl=self._tls, backlog=1024
        )

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._receive_buffer_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(1024)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener

    def start(self) -> Self:
        self._listen()
        self._loop = (loop_factory() or asyncio.new_event_loop)()  # uvloop's, where it is to be had
        self._thread.start()
        assert self._serving.wait(10.0)
        return self

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def forget(self) -> None:
        """Lets go of what it was sent, after its end: it is part of a circle, which stays until the collector
        looks through all there is."""
        self.requests.clear()
        self.model.objects.clear()
        self.model.uploads.clear()
        self.model.completed.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _run(self) -> None:
        loop = self._loop
        self._server = loop.run_until_complete(self._serve())
        self._serving.set()
        loop.run_forever()
        self._server.close()
        loop.run_until_complete(asyncio.sleep(0))  # who is accepted gets here, and is closed with the rest
        for connection in tuple(self._connections):
            connection.transport.abort()
        loop.run_until_complete(self._server.wait_closed())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    def changed(self) -> None:
        """Wakes those in `wait_until`."""
        with self._changed:
            self._changed.notify_all()

    def opened(self, connection: _Connection) -> int:
        self.counts["connections"] += 1
        self.open_connections += 1
        self._connections.add(connection)
        self.changed()
        return self.counts["connections"]

    def closed(self, connection: _Connection) -> None:
        self.open_connections -= 1
        self._connections.discard(connection)
        self.changed()

    def begin(self, connection: int, method: str, target: str, headers: dict[str, str]) -> Request:
        """A new request, at its headers: recorded, counted, and given its action."""
        path, _, query_text = target.partition("?")
        query = dict(parse_qsl(query_text, keep_blank_values=True)) if query_text else {}
        host = self._virtual_hosts.fullmatch(headers.get("host", ""))
        bucket, _, key = (host[1], "", path[1:]) if host else path[1:].partition("/")
        slot = (method, path, query.get("partNumber", ""))
        self._attempts[slot] += 1
        self.counts["requests"] += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        request = Request(
            number=self.counts["requests"],
            attempt=self._attempts[slot],
            connection=connection,
            method=method,
            bucket=unquote(bucket),
            key=unquote(key),
            target=target,
            query=query,
            headers=headers,
            started_s=time.monotonic(),
        )
        if self.record:
            self.requests.append(request)
        try:
            request.action = self.script(request)
        except Exception as error:  # a test's mistake must show, not hang
            self.errors.append(f"the script raised {error!r}")
            request.action = s3_error(500, "ScriptError", repr(error))
        return request


class _Connection(asyncio.Protocol):
    """One connection; the callbacks `on_*` are httptools'."""

    transport: Any

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.parser: Any = httptools.HttpRequestParser(self)
        self.request: Request | None = None
        self.cut: int | None = None
        self.muted = False  # nothing that comes is looked at any more
        self.timer: asyncio.TimerHandle | None = None
        self.keep_alive = True
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.number = self.server.opened(self)
        if self.server.is_away:
            self.reset()
            return
        action = self.server.on_connect(self.number) if self.server.on_connect else None
        if action is not None:
            self._fault(action)

    def connection_lost(self, error: Exception | None) -> None:
        self.muted = True
        self.parser = None  # a circle, which would keep the last body
        if self.timer:
            self.timer.cancel()
        if self.request:
            self.server.in_flight -= 1
            self.request = None
        self.server.closed(self)

    def data_received(self, data: bytes) -> None:
        if self.muted:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.server.errors.append(f"not HTTP: {error!r}: {data[:80]!r}")
            self._answer(Answer(400, close=True))

    def eof_received(self) -> bool:
        """The peer sends no more: S3 explains to one whose body is too short what is missing."""
        if self.request and not self.request.complete and not self.muted:
            self._finish_body()
            self._answer(s3_error(400, "IncompleteBody", "The request body ended early", close=True))
        if self.timer is None or self.muted:
            return False
        self.keep_alive = False  # a delayed answer is still to come, and after it nothing
        return True

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self.muted:
            return
        if self.request:
            self.server.errors.append("a request was sent before the one before it was answered")
            self._answer(Answer(400, close=True))
            return
        method, target = self.parser.get_method().decode(), self.url.decode("latin-1")
        self.request = self.server.begin(self.number, method, target, self.headers)
        action = self.request.action
        if isinstance(action, Early):
            self._answer(action.answer, close=True)
        self.cut = action.after_body_bytes if isinstance(action, Stall | Reset) else None
        self._cut_if_due()
        if not self.muted and self.headers.get("expect", "").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.server.changed()

    def on_body(self, chunk: bytes) -> None:
        if self.muted or self.request is None:
            return
        self.chunks.append(chunk)
        self.request.body_bytes += len(chunk)
        self._cut_if_due()

    def on_message_complete(self) -> None:
        if self.muted or self.request is None:
            return
        self.request.complete = True
        self.keep_alive = self.parser.should_keep_alive()
        self._finish_body()
        self._act(self.request.action)
        self.server.changed()

    def _cut_if_due(self) -> None:
        request = self.request
        if request and self.cut is not None and request.body_bytes >= self.cut:
            self._finish_body()
            self._fault(request.action)

    def _finish_body(self) -> None:
        assert self.request is not None
        body = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        if "aws-chunked" in self.headers.get("content-encoding", ""):
            body = decode_aws_chunked(body)
        self.request.body = body
        self.request.received_s = time.monotonic()

    def _drop_body(self, request: Request) -> None:
        if not self.server.keep_bodies:
            request.dropped_sha256 = hashlib.sha256(request.body).hexdigest()
            request.body = b""

    def _act(self, action: Action | None) -> None:
        """What becomes of a request that is there as a whole."""
        self.timer = None
        assert self.request is not None
        match action:
            case None:
                self._answer(self.server.model.answer(self.request))
            case Serve(close, silent, lengthless):
                answer = self.server.model.answer(self.request)
                self._answer(answer, close=close or lengthless, lengthless=lengthless, hang_up=silent)
            case Answer():
                self._answer(action)
            case Delay(seconds, then):
                self.timer = self.server._loop.call_later(seconds, self._act, then)
            case Held(let_go, then):
                self.timer = self.server._loop.call_later(
                    HELD_S, self._act, then if let_go.is_set() else action
                )
            case _:
                self._fault(action)

    def _fault(self, action: Action | None) -> None:
        """Everything that ends this connection without a whole answer."""
        self.muted = True
        if self.request:
            if isinstance(action, Stall | Reset | Torn) and action.stored:
                self.server.model.answer(self.request)
            self._drop_body(self.request)
        match action:
            case Stall():
                if not (self.request and self.request.complete):
                    self.transport.pause_reading()
            case Reset():
                self.reset()
            case Torn() | Garbage():
                self.transport.write(action.data)
                self.transport.close()
            case _:
                self.server.errors.append(f"{action!r} makes no sense here")
                self.reset()
        self.server.changed()

    def reset(self) -> None:
        """RST: SO_LINGER with a time of 0, then close."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self.transport.abort()

    def _answer(
        self, answer: Answer, *, close: bool = False, lengthless: bool = False, hang_up: bool = False
    ) -> None:
        close = close or answer.close or not self.keep_alive
        request = self.request
        head = request is not None and request.method == "HEAD"
        self.transport.write(render(answer, close=close, head=head, lengthless=lengthless))
        self.server.counts[str(answer.status)] += 1
        if request is not None:
            request.status = answer.status
            request.answered_s = time.monotonic()
            self._drop_body(request)
            self.request = None
            self.server.in_flight -= 1
        if close or hang_up:
            self.muted = True
            self.transport.close()
        self.server.changed()
