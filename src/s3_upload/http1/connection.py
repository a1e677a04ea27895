"""One HTTP/1.1 connection: sends a request, gives back the response.

Rules:

* One request at a time; the response is parsed by llhttp (through httptools), with bounds on what it
  may hold.
* A connection that saw anything irregular (an error, an abort, bytes nobody asked for, an answer
  before the whole request was sent, `Connection: close`) is closed and never used again.
* Head and body stay two buffers.  A big body is handed to the transport in slices, the next one when
  the last has left the transport's buffer: so a TLS transport never encrypts a whole part at once,
  and `sent_s` is the moment the last byte reached the kernel.  A body that is not in memory gives its
  slices as they are read (`http.SlicedBody`).
* Beneath a TLS transport is another, whose buffer cannot be seen; only when that holds more than its mark
  does the upper one fill.  So over TLS the last slice is small: all but 2 * TLS_LAST_BYTES have reached the
  kernel when all counts as sent.  (Through a proxy that speaks TLS itself a third holds more.)

Theory of operation: `request()` writes and waits on a future.  `data_received` feeds the parser, whose
callbacks collect the response (`received.py`); `_complete` resolves the future.  Everything that goes
wrong meets in `_fail()`, which poisons the connection and makes `request()` raise `AttemptError`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

import httptools

from s3_upload.errors import AttemptError, FailureKind, SourceError
from s3_upload.http import Body, Response, SlicedBody, Slices
from s3_upload.http1 import tcp_info
from s3_upload.http1.received import MAX_HEADER_BYTES, Received
from s3_upload.http1.tls import tls_failure
from s3_upload.http1.trace import Answer, Trace, Transfer

SLICE_BYTES = 1 << 20
TLS_LAST_BYTES = 1 << 16
"""Of a body over TLS, the last slice: the transport beneath takes as much before it says that it is full."""
RTO_RTTVARS = 4  # K of RFC 6298
CLOSED = "the client was closed while requests were still to be sent: close it after its runs"
TLS_ALERT = b"\x15\x03"


class Holder(Protocol):
    """The lease of a run that is held back (`lease.py`), as far as a connection knows it."""

    def leave(self, connection: Connection, /) -> None:
        """Somebody else takes `connection`, or it has ended."""


class _Made:
    """How it was made. `way`: for the end of what is said of one that broke: which proxy reads what is
    sent.  `by_asyncio`: its transport is asyncio's.  `last_bytes`: how much of a body goes last, by itself,
    where it is not all."""

    def __init__(self) -> None:
        self.handshake_s = 0.0
        self.way = ""
        self.by_asyncio = False
        self.last_bytes = 0


class Connection(asyncio.Protocol):
    """See the module's rules. `on_idle` and `on_closed` tell the pool what became of it.

    `lease`: of the run that uses it or did so last, where that run is held back.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        address: str,
        on_idle: Callable[[Connection], None],
        on_closed: Callable[[Connection], None],
    ) -> None:
        self.address = address
        self.requests = 0
        self.lease: Holder | None = None
        self._made = _Made()
        self._loop = loop
        self._on_idle = on_idle
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._received = Received(self._complete)
        self._future: asyncio.Future[Response] | None = None
        self._trace: Trace | None = None
        self._body: Body = b""
        self._slices: Slices | None = None  # of a body that is not in memory
        self._ahead = b""  # what was taken of `_slices`, and is not handed over
        self._unsent = 0  # where in the body the next slice starts; len(body) once all is handed over
        self._paused = False
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "busy" if self._future else "idle"
        return f"<Connection {self.address} {state} requests={self.requests}>"

    @property
    def handshake_s(self) -> float:
        """How long its handshake took."""
        return self._made.handshake_s

    @property
    def usable(self) -> bool:
        """Whether it is open and free for a request."""
        return not self._closed and self._future is None and self._transport is not None

    def goes_through(self, way: str) -> None:
        """There is a proxy on its way, as `way` says in words."""
        self._made.way = way

    def led(self, handshake_s: float) -> None:
        """It is there, after a handshake that took so long."""
        self._made.handshake_s = handshake_s

    def leased(self, lease: Holder | None) -> None:
        """See `lease`."""
        self.lease = lease

    async def request(
        self, head: bytes, body: Body, trace: Trace, needs: Answer = Answer.HEADERS
    ) -> Response:
        """Sends one request and waits for its response, recording its progress in `trace`.

        Raises `AttemptError`.  Cancelling it closes the connection.
        """
        if self._closed:  # between the handshake and now
            message = f"the store closed the connection before the request{self._made.way}"
            raise AttemptError(FailureKind.RESET, message)
        future: asyncio.Future[Response] = self._loop.create_future()
        self._future = future
        self._trace = trace
        self._received.expect(needs)
        trace.begins(self.address, self.abort, self.probe)
        self.requests += 1
        self._send(head, body)
        try:
            return await future
        except asyncio.CancelledError:
            if self._future is future:  # else it was answered, and may be another request's by now
                trace.ends(0)
                self._poison()
            raise

    def hung_up(self) -> bool:
        """Whether the other side has closed it, or said something, and the loop does not know yet.

        Three system calls: for a request that must not be sent in vain.
        """
        try:
            with socket.socket(fileno=socket.dup(self.socket.fileno())) as copy:  # os.dup: not on Windows
                copy.setblocking(False)
                copy.recv(1, socket.MSG_PEEK)
        except BlockingIOError:  # nothing has come, as it should be
            return False
        except tcp_info.UNREADABLE as error:
            return isinstance(error, ConnectionError)
        return True

    def keep(self) -> None:
        """It is not needed now: to the pool's idle ones."""
        if self.usable:
            self._on_idle(self)

    def abort(self, reason: str) -> None:
        """Ends the request under way: `request` raises `AttemptError(TIMEOUT, reason)`."""
        self._fail(FailureKind.TIMEOUT, reason)

    def probe(self) -> Transfer:
        """How far the request under way has been taken in by the other side."""
        transport = self._transport
        assert transport is not None
        came_bytes = self._received.body_bytes
        buffered = transport.get_write_buffer_size()
        left = buffered == 0
        handed_over = self._unsent == len(self._body) and left
        starved = self._slices is not None and not handed_over and left
        info = tcp_info.read(transport.get_extra_info("socket"))
        taken_in = info is None or not (info.notsent_bytes or info.unacked)
        # What neither waits in the kernel nor is under way has been acknowledged: if not, the kernel does
        # not tell (see `tcp_info`), and a transfer that is fine would seem to stand still.
        unsent_bytes = len(self._body) - self._unsent + buffered
        if info is None or (taken_in and info.bytes_acked < self._unsent - buffered):
            sent = self._unsent - buffered
            return Transfer(sent, handed_over, 0.0, 0.0, starved, unsent_bytes, unsent_bytes, 0.0, came_bytes)
        unsent_bytes += info.notsent_bytes
        return Transfer(
            progress=info.bytes_acked,
            drained=handed_over and taken_in,
            last_ack_age_s=info.last_ack_age_s,
            rto_s=info.rtt_s + RTO_RTTVARS * info.rttvar_s,
            starved=starved and taken_in,
            left_bytes=unsent_bytes + info.unacked * info.mss_bytes,
            unsent_bytes=unsent_bytes,
            trip_s=info.min_rtt_s,
            answer_bytes=came_bytes,
        )

    @property
    def socket(self) -> Any:
        """The transport's socket, None where there is none."""
        return self._transport.get_extra_info("socket") if self._transport is not None else None

    def close(self) -> None:
        """Closes the connection: it was idle, or else the client is being closed, as its request hears."""
        self._fail(FailureKind.CLIENT_CLOSED, CLOSED)

    # --- sending -------------------------------------------------------------------------------

    def _send(self, head: bytes, body: Body) -> None:
        transport = self._transport
        assert transport is not None
        size = len(body)
        if isinstance(body, SlicedBody):
            self._body, self._unsent = body, 0
            transport.write(head)
            self._slices = body.slices(self._slice_ready)
        elif size <= (self._made.last_bytes or SLICE_BYTES):
            self._body, self._unsent = body, size
            transport.writelines((head, body) if size else (head,))
            # asyncio's `writelines` of Python 3.12 and 3.13 does not say that bytes remain: it does so now.
            if self._made.by_asyncio and not self._paused and transport.get_write_buffer_size():
                transport.set_write_buffer_limits(high=1, low=0)
            if not self._paused and self._trace is not None:
                self._trace.all_sent()
        else:
            view = self._body = memoryview(body)
            self._unsent = 0
            if self._made.last_bytes:  # together, which spares a record and a system call
                self._unsent = self._next_bytes()
                transport.writelines((head, view[: self._unsent]))
            else:
                transport.write(head)
            self._send_slices()

    def _send_slices(self) -> None:
        transport, size = self._transport, len(self._body)
        assert transport is not None
        while self._unsent < size and not self._paused and not self._closed and not transport.is_closing():
            piece = self._next_slice()
            if piece is None:
                return
            self._unsent += len(piece)
            transport.write(piece)
        if not self._paused:
            self._all_sent()

    def _slice_ready(self) -> None:
        try:
            self._send_slices()
        except Exception as error:  # nobody else would hear of it
            self._fail(FailureKind.RESET, f"the connection broke: {plain_text(error)}")

    def _next_slice(self) -> bytes | memoryview | None:
        """None where it is being read (this is called again when it is there) or cannot be."""
        body, size = self._body, self._next_bytes()
        if not isinstance(body, SlicedBody):
            return body[self._unsent : self._unsent + size]
        try:
            piece = self._ahead or (self._slices.take() if self._slices is not None else None)
            self._ahead = b"" if piece is None else piece[size:]
            return piece if piece is None or not self._ahead else piece[:size]
        except Exception as error:
            kind = error.kind if isinstance(error, SourceError) else FailureKind.SOURCE
            self._fail(kind, str(error) or type(error).__name__)
            return None

    def _next_bytes(self) -> int:
        """How much of the body the next slice may have."""
        before_last = len(self._body) - self._unsent - self._made.last_bytes
        return min(before_last, SLICE_BYTES) if before_last > 0 else SLICE_BYTES

    def _all_sent(self) -> None:
        if self._trace is not None and self._unsent == len(self._body):
            self._trace.all_sent()

    def _body_sent(self) -> int:
        """How much of the body has left this machine, as far as can be told: neither what waits in the
        transport's buffer nor in the kernel's.  A transport that broke has dropped what was in its
        buffer: then the last slice counts as not sent."""
        transport = self._transport
        if transport is None:
            return 0
        waiting = transport.get_write_buffer_size()
        if self._paused and not waiting:
            waiting = (self._unsent - 1) % SLICE_BYTES + 1
        info = tcp_info.read(transport.get_extra_info("socket"))
        return max(0, self._unsent - waiting - (info.notsent_bytes if info is not None else 0))

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._future is not None:
            self._send_slices()

    # --- receiving: transport callbacks ----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._made.by_asyncio = isinstance(transport, asyncio.Transport)  # uvloop's is none by its class
        if transport.get_extra_info("sslcontext") is not None:
            self._made.last_bytes = TLS_LAST_BYTES
        if self._closed:  # while its handshake was under way
            self._transport.abort()
            return
        # Paused while bytes remain in the transport's buffer (see the module's rules).  Not 0: a TLS
        # transport pauses at `size >= high`, so with 0 it would stay paused with nothing to send.
        self._transport.set_write_buffer_limits(high=1, low=0)

    def data_received(self, data: bytes) -> None:
        trace = self._trace
        if trace is None:
            self._poison()  # nobody asked: a late answer, or a server saying that it closes (408)
            return
        if trace.first_byte_s == 0.0:
            trace.answered()
            if data.startswith(TLS_ALERT):
                self._fail(FailureKind.TLS_MISMATCH, "the endpoint speaks TLS; use https:// in its URL")
                return
        received = self._received
        try:
            received.feed(data)
        except httptools.HttpParserUpgrade:
            self._fail(FailureKind.MALFORMED, "the store switched to a protocol nobody asked for")
        except httptools.HttpParserError as error:
            cause = error.__context__ if isinstance(error.__context__, AttemptError) else None
            self._fail(FailureKind.MALFORMED, str(cause or received.not_http(error, data)))
        if received.settled:
            self._complete()
        # The parser gathers a header until its end, and asks nobody about interim answers.
        if received.bodiless_bytes > MAX_HEADER_BYTES and self._future is not None:
            self._fail(FailureKind.MALFORMED, f"the answer's headers exceed {MAX_HEADER_BYTES} bytes")

    def eof_received(self) -> None:
        self._ended(f"the store closed the connection{self._made.way}", in_order=True)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self._future is not None:
            self._read_refusal()
        if isinstance(exc, ssl.SSLError):
            self._fail(*tls_failure(exc, FailureKind.RESET, "the connection broke"))
        self._ended(f"the connection broke: {plain_text(exc)}{self._made.way}", in_order=exc is None)

    def _read_refusal(self) -> None:
        """After a write error: a store that hung up in the middle of a request has usually said why, and
        the transport ends without looking.  Only an error is believed: no success begins like that."""
        transport = self._transport
        sock = transport.get_extra_info("socket") if transport is not None else None
        if sock is None or transport is None or transport.get_extra_info("sslcontext") is not None:
            return
        self._received.believe_errors_only()
        said = read_rest(sock)
        if said:
            self.data_received(said)

    def _ended(self, message: str, *, in_order: bool) -> None:
        """An answer without a length ends with its connection (RFC 9112 §6.3), if that was closed in order.
        An error, whose text may be cut short, is believed even of a reset, with which a server leaves that
        has not read the whole request."""
        received = self._received
        if received.ends_with_connection and (in_order or received.parser.get_status_code() >= 400):
            self._complete()
        trace = self._trace
        if trace is not None and trace.first_byte_s == 0.0 and not trace.new_connection:
            trace.broke_idle()
        self._fail(FailureKind.RESET, message)

    def _complete(self) -> None:
        """An answer is whole, as far as it is needed."""
        received = self._received
        status = received.parser.get_status_code()
        parser_waits = received.end_early()
        future, trace = self._future, self._trace
        if future is None or trace is None:
            return
        # 1xx: the real answer follows, and what is still to be sent may take long.
        if status < 200:
            trace.interim()
            return
        if received.errors_only and status < 400:
            return
        if trace.first_byte_s == 0.0:
            trace.answered()  # it came in one read with an interim answer
        received.read_trailer()
        early = self._unsent != len(self._body) or self._paused
        response = Response(status, received.headers, received.body(), early)
        trace.ends(self._body_sent() if early else self._unsent)  # before the waiter runs
        self._future = self._trace = None
        received.expect_nothing()
        self._let_go_of_body()
        self._unsent = 0
        if not early and not received.ends_with_connection and received.parser.should_keep_alive():
            if parser_waits:
                received.parse_anew()
            self._on_idle(self)
        else:
            self._poison()
        if not future.done():
            future.set_result(response)

    # --- the end -----------------------------------------------------------------------------------

    def _fail(self, kind: FailureKind, message: str) -> None:
        future, self._future = self._future, None
        self._received.expect_nothing()
        if self._trace is not None:
            self._trace.ends(self._body_sent())
        self._poison()
        if future is not None and not future.done():
            future.set_exception(AttemptError(kind, message))

    def _let_go_of_body(self) -> None:
        self._body = self._ahead = b""
        if self._slices is not None:
            self._slices.close()
            self._slices = None

    def _poison(self) -> None:
        self._trace = None
        self._let_go_of_body()
        if not self._closed:
            self._closed = True
            self._on_closed(self)
            if self._transport is not None:
                self._transport.abort()


def client_closed() -> AttemptError:
    """What becomes of everything that is asked of a client that was closed."""
    return AttemptError(FailureKind.CLIENT_CLOSED, CLOSED)


def read_rest(sock: Any) -> bytes:
    """What has come in on a transport's socket and nobody has read, at most MAX_HEADER_BYTES; b"" if it
    cannot be had."""
    try:
        with socket.socket(fileno=socket.dup(sock.fileno())) as copy:
            copy.setblocking(False)
            return copy.recv(MAX_HEADER_BYTES)
    except (OSError, AttributeError):  # a transport without a socket of the kernel's
        return b""


def plain_text(error: BaseException | None) -> str:
    """An exception as text for a message: an OSError's reason without its number."""
    if isinstance(error, OSError) and error.strerror:
        # asyncio's own text for a refused connection is "Connect call failed ('192.0.2.1', 443)".
        if error.errno is None or isinstance(error, socket.gaierror):
            return error.strerror
        return os.strerror(error.errno)
    return str(error) or type(error).__name__ if error is not None else "closed by the other side"
