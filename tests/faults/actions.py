"""What the fault server does with a request, as plain data, and the rules that choose it.

A script is a callable `(Request) -> Action | None`, or a sequence of `Rule`s of which the first that
matches counts.  It is asked once per request, when the headers are there and the body is not.  None
means `Serve()`: behave like S3.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from fnmatch import fnmatchcase
from http import HTTPStatus

_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """One request as the server saw it. Times are `time.monotonic()` in seconds, 0.0 for not yet."""

    number: int
    """1 for the server's first request, and so on."""
    attempt: int
    """1 for the first request of this method, key, and part number, 2 for the next (a retry), ..."""
    connection: int
    """1 for the server's first connection, and so on."""
    method: str
    bucket: str
    key: str
    """Percent-decoded."""
    target: str
    """The request target as it was sent: path and query."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case; of a repeated header the last."""
    started_s: float
    """The headers were complete."""
    body: bytes = b""
    """What came of the body, decoded if it was `aws-chunked`; empty if the server keeps no bodies."""
    body_bytes: int = 0
    """Bytes received of the body."""
    complete: bool = False
    """The whole request was received."""
    received_s: float = 0.0
    """The body was complete."""
    answered_s: float = 0.0
    """The answer was handed to the socket."""
    status: int = 0
    """Status of the answer; 0 if there was none (yet)."""
    dropped_sha256: str = ""
    action: Action | None = None
    """What the script chose; None for the default."""

    @property
    def sha256(self) -> str:
        """Of the body, in hex; also where the body was not kept."""
        return self.dropped_sha256 or hashlib.sha256(self.body).hexdigest()

    @property
    def part_number(self) -> int:
        """0 where it is not an UploadPart."""
        return int(self.query.get("partNumber", "0"))


class Action:
    """The base of all actions."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Serve(Action):
    """Behave like S3. `close`: say `Connection: close` and close after the answer.

    `silent`: close after the answer without having said so.  `lengthless`: as a gateway that speaks
    HTTP/1.0 and does not know lengths; the end of the connection ends the answer.
    """

    close: bool = False
    silent: bool = False
    lengthless: bool = False


@dataclass(frozen=True, slots=True)
class Answer(Action):
    """A whole HTTP response, sent when the body has been received. Content-Length is added.

    `of_s3`: with the headers by which a store shows that it is one.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    close: bool = False
    of_s3: bool = True


@dataclass(frozen=True, slots=True)
class Delay(Action):
    """Waits `seconds` after the body was received, then does `then` (None: behave like S3)."""

    seconds: float
    then: Action | None = None


@dataclass(frozen=True, slots=True)
class Held(Action):
    """Waits, after the body was received, until the test sets `let_go`; then does `then`, as `Delay`."""

    let_go: threading.Event
    then: Action | None = None


@dataclass(frozen=True, slots=True)
class Stall(Action):
    """Never answers. With `after_body_bytes` it also stops reading there (0: at the headers).

    The peer's writes go on until the kernel's buffers are full: see `receive_buffer_bytes`.
    `stored`: S3 did what was asked all the same.
    """

    after_body_bytes: int | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Reset(Action):
    """Resets the connection (RST) instead of an answer, or once `after_body_bytes` were read."""

    after_body_bytes: int | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Torn(Action):
    """Sends `data`, a part of a response, and closes. `stored`: S3 did what was asked all the same."""

    data: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Garbage(Action):
    """Sends something that is not HTTP, and closes."""

    data: bytes = b"\x16\x03\x01\x00\xff220 smtp.example.com ESMTP\r\n"


@dataclass(frozen=True, slots=True)
class Early(Action):
    """Answers at the headers, leaves the body unread and closes: what a store does that says no."""

    answer: Answer


Script = Callable[[Request], Action | None]


@dataclass(slots=True)
class Rule:
    """`action` for the requests that match all that is given.

    `key` is a glob (fnmatch).  `query` names parameters that must be there, with a value or None for
    any.  `nth` counts, from 1, the requests that match the rest: a number or anything with `in`.
    `attempt` is `Request.attempt`.  An `nth` counter belongs to the rule: use a rule in one server.
    """

    action: Action | None
    method: str | None = None
    key: str | None = None
    query: Mapping[str, str | None] = field(default_factory=dict)
    nth: int | Container[int] | None = None
    attempt: int | Container[int] | None = None
    matched: int = 0

    def matches(self, request: Request) -> bool:
        if self.method is not None and request.method != self.method:
            return False
        if self.key is not None and not fnmatchcase(request.key, self.key):
            return False
        for name, value in self.query.items():
            if name not in request.query or value not in (None, request.query[name]):
                return False
        if self.attempt is not None and not _among(request.attempt, self.attempt):
            return False
        self.matched += 1
        return self.nth is None or _among(self.matched, self.nth)


def _among(number: int, wanted: int | Container[int]) -> bool:
    return number == wanted if isinstance(wanted, int) else number in wanted


def as_script(rules: Script | Sequence[Rule] | Mapping[str, Action] | None) -> Script:
    """A script of a callable, of rules, or of a mapping from key (glob) to action."""
    if rules is None:
        return lambda _request: None
    if callable(rules):
        return rules
    if isinstance(rules, Mapping):
        rules = [Rule(action, key=key) for key, action in rules.items()]
    ordered = tuple(rules)

    def first_match(request: Request) -> Action | None:
        return next((rule.action for rule in ordered if rule.matches(request)), None)

    return first_match


def s3_error(
    status: int,
    code: str,
    message: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    close: bool = False,
) -> Answer:
    """An error as S3 words it (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message or code}</Message>"
        "<RequestId>FAULTSERVER</RequestId></Error>"
    )
    return Answer(status, {"Content-Type": "application/xml", **(headers or {})}, text.encode(), close)


def foreign(status: int, text: str = "<html><body>No.</body></html>", **headers: str) -> Answer:
    """What something says that is no S3: a proxy, a console, a captive portal."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "text/html", **named}, text.encode(), of_s3=False)


def render(answer: Answer, *, close: bool = False, head: bool = False, lengthless: bool = False) -> bytes:
    """The bytes of a response; `head`: without its body; `lengthless`: see `Serve`."""
    headers = {"Date": formatdate(usegmt=True), "Server": "FaultServer"}
    if answer.of_s3:
        headers["x-amz-request-id"] = "FAULTSERVER"
    if answer.status >= 200 and answer.status not in (204, 304):
        headers["Content-Length"] = str(len(answer.body))
    headers.update(answer.headers)
    if close:
        headers["Connection"] = "close"
    if lengthless:
        headers.pop("Content-Length", None)
    lines = [
        f"HTTP/{'1.0' if lengthless else '1.1'} {answer.status} {_REASONS.get(answer.status, 'Unknown')}"
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (b"" if head else answer.body)
