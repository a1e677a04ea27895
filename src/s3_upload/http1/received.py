"""What a connection receives: the parser's callbacks collect an answer, with bounds on what it may hold.

The parser is llhttp's (through httptools).  What it raises, and what is raised in a callback, ends the
connection (`connection.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import httptools

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http1.trace import Answer

MAX_HEADER_BYTES = 64 << 10
"""Also of anything else that is no body and comes without any: interim answers, one endless line."""
MAX_RESPONSE_BODY_BYTES = 1 << 20
MAX_LIST_BYTES = 4 << 20
"""Of 10,000 buckets, each with its names, date and region."""
SEEN_BYTES = 24
MAX_NAMES = 256
MAX_NAME_BYTES = 64
_NAMES: dict[bytes, str] = {}
"""Header names as they came, and in lower case; at most MAX_NAMES of at most MAX_NAME_BYTES."""
_BODILESS = frozenset({204, 304})
"""Statuses after which there is no body, whatever the headers say (RFC 9112 §6.3)."""


class Received:
    """The answer under way. `on_message_complete` is called when it is whole.

    `needs`: what of it is needed, None where nothing was asked; `bodiless_bytes`: came since the last piece
    of a body, counted in whole reads; `body_bytes`: of its body, so far; `ends_with_connection`: that has no
    length; `settled`: its headers say all that the request needs to know; `errors_only`: nothing else is
    believed of this connection.
    """

    def __init__(self, on_message_complete: Callable[[], None]) -> None:
        self.on_message_complete = on_message_complete
        self._fields: dict[bytes, bytes] = {}  # of the header, as they come
        self.on_header = self._fields.__setitem__  # what the parser calls; a method costs more than the rest
        self.needs: Answer | None = None
        self.headers: dict[str, str] = {}
        self.bodiless_bytes = self.body_bytes = 0
        self.ends_with_connection = False
        self.settled = False
        self.errors_only = False
        self._chunks: list[bytes] = []
        self.parser = httptools.HttpResponseParser(self)

    def expect(self, needs: Answer) -> None:
        """A request is being sent."""
        self.needs = needs
        self.bodiless_bytes = self.body_bytes = 0

    def expect_nothing(self) -> None:
        """What was asked for has come, or does not matter any more."""
        self.needs = None

    def believe_errors_only(self) -> None:
        self.errors_only = True

    def feed(self, data: bytes) -> None:
        """What came. Raises what the parser raises."""
        self.bodiless_bytes += len(data)
        self.parser.feed_data(data)

    def end_early(self) -> bool:
        """Whether the answer ends before what the parser waits for."""
        waits, self.settled = self.settled, False
        return waits

    def parse_anew(self) -> None:
        """The parser waits for a body that does not come: the next answer has another."""
        self.parser = httptools.HttpResponseParser(self)

    def body(self) -> bytes:
        return b"".join(self._chunks) if self._chunks else b""

    def read_trailer(self) -> None:
        """What follows a chunked body as headers."""
        if self._fields:
            self._read_fields()

    def not_http(self, error: Exception, data: bytes) -> str:
        """What was seen, of the very beginning of an answer only: later it may quote our request."""
        at_first = self.bodiless_bytes == len(data) and not (self._fields or self.headers or self._chunks)
        seen = f" (it begins {data[:SEEN_BYTES]!r})" if at_first else ""
        return f"the answer is not HTTP/1.1: {error}{seen}"

    # --- what the parser calls -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.needs is None:
            raise AttemptError(FailureKind.MALFORMED, "the store sent more than it was asked for")
        self.headers = {}
        self._chunks = []
        self.ends_with_connection = self.settled = False

    def on_headers_complete(self) -> None:
        headers = self._read_fields()
        if "content-length" not in headers and "transfer-encoding" not in headers:
            self._without_length()
        if self.needs is Answer.BODILESS and self.parser.get_status_code() >= 200:
            self.settled = True  # for the parser it is not: it waits for a body of the length that is named

    def _read_fields(self) -> dict[str, str]:
        """The headers, and what follows a chunked body as such."""
        headers, fields = self.headers, self._fields
        counts = self.bodiless_bytes > MAX_HEADER_BYTES or self._chunks  # else they cannot be too many
        if counts and sum(map(len, chain(*fields.items()))) > MAX_HEADER_BYTES:
            raise AttemptError(FailureKind.MALFORMED, f"the answer's headers exceed {MAX_HEADER_BYTES} bytes")
        for name, value in fields.items():
            # llhttp leaves the white space behind a value, which is no part of it (RFC 9110 §5.5).
            headers[_NAMES.get(name) or _header_name(name)] = value.decode("latin-1").rstrip(" \t")
        fields.clear()
        return headers

    def _without_length(self) -> None:
        """The answer has no body, or one that lasts until the connection ends: a gateway that speaks
        HTTP/1.0.  What the headers of a success say is enough for most requests, and that end may be long
        in coming, or come as a reset."""
        status = self.parser.get_status_code()
        if status < 200 or status in _BODILESS:
            return
        self.ends_with_connection = True
        self.settled = status < 300 and self.needs is Answer.HEADERS and "etag" in self.headers

    def on_body(self, body: bytes) -> None:
        if self.needs is Answer.BODILESS:
            self.ends_with_connection = True  # out of step with us: nothing more is believed of it
            return
        self.bodiless_bytes = 0
        self.body_bytes += len(body)
        limit = MAX_LIST_BYTES if self.needs is Answer.LONG else MAX_RESPONSE_BODY_BYTES
        if self.body_bytes > limit:
            raise AttemptError(FailureKind.MALFORMED, f"the answer's body exceeds {limit} bytes")
        self._chunks.append(body)


def _header_name(name: bytes) -> str:
    """In lower case.  The few that a store sends are kept: it sends them with every answer."""
    lower = name.decode("latin-1").lower()
    if len(_NAMES) < MAX_NAMES and len(name) <= MAX_NAME_BYTES:
        _NAMES[name] = lower
    return lower
