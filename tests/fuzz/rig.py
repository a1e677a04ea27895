"""Feeds an answer to a `Connection` without a socket, and says what is wrong with the outcome.

Theory of operation: `Connection.request` is a coroutine that waits for one future, so it can be
driven by hand: `send(None)` once to write the request, then the callbacks of the transport, then
`send(None)` again, which must end it.  No loop runs, so a hang cannot happen here; it would be a
future without a result after the connection was lost, and is a violation.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Coroutine, Iterable
from typing import Any, cast

from s3_upload.errors import AttemptError
from s3_upload.http import Response
from s3_upload.http1.connection import Connection
from s3_upload.http1.received import MAX_HEADER_BYTES, MAX_RESPONSE_BODY_BYTES
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.s3 import operations
from s3_upload.s3.operations.create_multipart_upload import upload_id
from s3_upload.s3.responses import MAX_MESSAGE_CHARS, Failure, classify
from s3_upload.s3.xml import MAX_ID_CHARS
from tests.fuzz.answers import Answer

REQUEST = b"PUT /b/k HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\n"
CLEAN = Response(200, {"etag": '"next"', "content-length": "2"}, b"ok")
CLEAN_RAW = b'HTTP/1.1 200 OK\r\nETag: "next"\r\nContent-Length: 2\r\n\r\nok'
OPERATIONS = (
    operations.PUT_OBJECT,
    operations.CREATE_MULTIPART_UPLOAD,
    operations.UPLOAD_PART,
    operations.COMPLETE_MULTIPART_UPLOAD,
    operations.ABORT_MULTIPART_UPLOAD,
    operations.HEAD_OBJECT,
    operations.LIST_PARTS,
)


class Violation(Exception):  # noqa: N818 - named for what happened
    """What must never happen."""


class MemoryTransport(asyncio.Transport):
    """Takes everything at once; an abort ends delivery, as that of a real one does."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: Any) -> None:
        pass

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class Talk:
    """One connection and the transport below it."""

    def __init__(self) -> None:
        self.idle = self.closed = 0
        self.transport = MemoryTransport()
        self.connection = Connection(
            loop=_loop(), address="192.0.2.1", on_idle=self._on_idle, on_closed=self._on_closed
        )
        self.connection.connection_made(self.transport)
        self._waiting: tuple[Coroutine[Any, Any, Response], asyncio.Future[Response]] | None = None

    def ask(self, pieces: Iterable[bytes]) -> Response | AttemptError | None:
        """Sends a request that is answered by `pieces`; the outcome, None if it still waits for more."""
        request = self.connection.request(REQUEST, b"x", Trace(SendOptions(5.0), lambda: 1.0))
        self._waiting = request, request.send(None)
        for piece in pieces:
            if self.transport.aborted:
                break
            self.connection.data_received(piece)
        return self._outcome()

    def lose(self, *, closes: bool) -> Response | AttemptError | None:
        """The connection ends, in good order if it `closes`; the outcome of a request that waits."""
        if closes and not self.transport.aborted:
            self.connection.eof_received()
        self.connection.connection_lost(None if closes else ConnectionResetError(104, "reset"))
        return self._outcome()

    def _outcome(self) -> Response | AttemptError | None:
        if self._waiting is None:
            return None
        request, future = self._waiting
        if not future.done():
            return None
        self._waiting = None
        try:
            request.send(None)
        except StopIteration as end:
            return cast("Response", end.value)
        except AttemptError as error:
            return error
        raise Violation("its future has a result and it goes on waiting")

    def _on_idle(self, _: Connection) -> None:
        self.idle += 1

    def _on_closed(self, _: Connection) -> None:
        self.closed += 1


def outcome_of(answer: Answer) -> str:
    """What became of a request answered so. Raises `Violation`, or whatever escaped from the code."""
    talk = Talk()
    result = talk.ask(answer.pieces)
    if talk.connection.usable:
        if result is None:
            raise Violation("usable though it waits for an answer")
        check_next(talk)
    lost = talk.lose(closes=answer.closes)
    result = result or lost
    if result is None:
        raise Violation("hangs: no result though the connection was lost")
    if talk.connection.usable or talk.closed != 1:
        raise Violation(f"a lost connection is {talk.connection!r}, closed {talk.closed} times")
    check(result)
    if isinstance(result, AttemptError):
        return f"no answer: {result.kind.value}"
    failure = classify(operations.PUT_OBJECT, result)
    return f"answer: {failure.kind.value if failure else 'success'}"


def check_next(talk: Talk) -> None:
    """A connection that calls itself usable must give the next request its own answer."""
    second = talk.ask([CLEAN_RAW])
    if second != CLEAN:
        raise Violation(f"the next request got {second!r}")


def check(result: Response | AttemptError) -> None:
    """Bounds and text of what came out, for each operation it could be the answer to."""
    if isinstance(result, AttemptError):
        _check_text("the error", result.message, MAX_MESSAGE_CHARS)
        return
    if sum(len(name) + len(value) for name, value in result.headers.items()) > MAX_HEADER_BYTES:
        raise Violation("headers beyond the bound")
    if len(result.body) > MAX_RESPONSE_BODY_BYTES:
        raise Violation("a body beyond the bound")
    if result.status < 200:
        raise Violation(f"status {result.status} taken for an answer")
    for operation in OPERATIONS:
        failure = classify(operation, result)
        if failure is not None:
            _check_failure(failure)
        elif not 200 <= result.status < 300:
            raise Violation(f"{operation}: status {result.status} taken for success")
    _check_text("the upload ID", upload_id(result), MAX_ID_CHARS)


def _check_failure(failure: Failure) -> None:
    for name in ("code", "message", "request_id"):
        _check_text(name, getattr(failure, name), MAX_MESSAGE_CHARS)
    wait_s = failure.retry_after_s
    if wait_s is not None and not (math.isfinite(wait_s) and wait_s >= 0):
        raise Violation(f"retry after {wait_s} s")


def _check_text(what: str, text: str, limit: int) -> None:
    if len(text) > limit or not text.isprintable():
        raise Violation(f"{what}: {len(text)} characters, {text[:80]!r}")


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """Makes futures, and never runs."""
    loop = asyncio.new_event_loop()
    loop.close()
    return loop
