"""The exceptions a caller can meet, and the kinds of failure one attempt can have.

Rules:

* `FailureKind` names the cause of one failed attempt, and each member carries its fate: what the
  algorithm does about it.  `s3/responses.py` and `http1/` choose the kind, `control/retrying/retry.py` reads
  the fate, `transfer/` acts.  Nothing else branches on errors.
* A file that could not be uploaded is an `UploadError` inside its report and in
  `UploadSummary.failed`; it is raised only by `UploadSummary.raise_for_failures()`.
* A cause that no other file would survive (no such bucket, wrong key, unknown host) is a
  `RunError` and is raised at once from `s3_upload_files`.
* No text in this module or made by it may hold a secret: messages quote what the server said and
  what the user named, never a header or a credential.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from s3_upload.text import printable


class Fate(enum.Enum):
    """What becomes of an attempt's work after a failure of some kind."""

    RETRY = "retry"
    """Transient: try again after a back-off, charged to the retry budget."""
    THROTTLE = "throttle"
    """The store asks for less: try again later, and begin fewer requests a second."""
    CORRECT = "correct"
    """Something we may be able to put right (region, clock, token, checksums): put it right and try
    again, at once, and once; else as RUN."""
    FILE = "file"
    """This object fails; the others go on."""
    RUN = "run"
    """No other object would fare better: stop the run with one clear message; among successes, try again
    elsewhere, then fail the object (`control/retrying/refusals.py`)."""


class Remedy(enum.Enum):
    """What is put right before a request or an object is tried again."""

    NONE = "none"
    CLIENT = "client"
    """What requests are made with: `Client.correct` puts right a region, a clock, a token, checksums."""
    REREAD = "reread"
    """The body is read and hashed again from its source; a stream's, which is gone, is only hashed again."""
    NEW_VERSION = "new-version"
    """The object is begun again, as its source is now. A stream cannot be."""
    IN_PARTS = "in-parts"
    """What went in one request is begun again in parts."""
    NEW_UPLOAD = "new-upload"
    """The multipart upload is aborted and begun again. That of a stream cannot be."""
    FEWER_PARTS = "fewer-parts"
    """The multipart upload is aborted and begun again with larger parts. That of a stream cannot be."""
    RESEND_PARTS = "resend-parts"
    """ListParts tells which parts the store has; those that differ are sent again."""
    ASK = "ask"
    """HeadObject is asked at once whether the object is there; where it is not, it is sent again."""


class FailureKind(enum.StrEnum):
    """The cause of one failed attempt, and what follows from it: the table of errors as data. Each is its own
    name in reports.

    The columns: name in reports; `fate`; `remedy`; `times`, how often at most one request (or, of an
    object begun again, one object) is tried again for this cause (None: as often as `n_retries` allows);
    `ambiguous`: the store may have done what it was asked all the same, so HeadObject asks it before the
    object is given up; `on_complete`: what CompleteMultipartUpload needs instead of being sent again.
    """

    # Every kind but those that came inside a complete, well-formed response makes its connection
    # unusable; `http1/` closes such a connection itself, so that is no part of the table.

    CONNECT = ("connect", Fate.RETRY)
    """No connection: refused, unreachable, or the connect timer ran out. Next: another address; in the
    end the object fails, or the run where the store has never answered anything."""
    RESET = ("reset", Fate.RETRY, Remedy.NONE, None, True)
    """The connection broke (reset, EOF, broken pipe) before the whole answer was there."""
    TIMEOUT = ("timeout", Fate.RETRY, Remedy.NONE, None, True)
    """One of our own timers ran out. The next attempt gets a longer one."""
    MALFORMED = ("malformed", Fate.RETRY, Remedy.NONE, None, True)
    """The answer was not HTTP, or broke a bound on its size."""
    SERVER = ("server", Fate.RETRY, Remedy.NONE, None, True)
    """5xx that is no throttle. The object may be there all the same; a PUT is idempotent."""
    UNPROVEN = ("unproven", Fate.RETRY, Remedy.ASK, None, True)
    """A success without a proof: no ETag (or checksum, or upload ID), a body that is no S3's (a console's, a
    captive portal's), or an answer before the whole request was sent. As NOT_S3, where it stays so."""
    NOT_S3 = ("not-s3", Fate.RETRY)
    """404 or 405 in words that are not S3's: what stands before a store that is away; or no store is there
    at all, which is so as long as nothing has succeeded, and then stops the run."""
    REQUEST_TIMEOUT = ("request-timeout", Fate.RETRY)
    """The store waited for our body in vain (400 RequestTimeout, 408)."""
    BAD_REQUEST = ("bad-request", Fate.RETRY)
    """400 without a word of S3's: what the HTTP layer of a server says that stood still for a while, or of
    what stands before it, and not the store. Where it stays so, as REJECTED."""
    INCOMPLETE_BODY = ("incomplete-body", Fate.RETRY, Remedy.REREAD, 2)
    """The store says that bytes are missing: what a source that has changed meanwhile would do."""
    DIGEST = ("digest", Fate.RETRY, Remedy.REREAD, 1, False, Remedy.NEW_UPLOAD)
    """The store computed another checksum than we sent, or answered with one: corruption on the way."""
    CONFLICT = ("conflict", Fate.RETRY, Remedy.NONE, None, False, Remedy.NEW_UPLOAD)
    """409 OperationAborted, ConditionalRequestConflict: another operation on the same key is under way."""
    THROTTLE = ("throttle", Fate.THROTTLE)
    """503 SlowDown, 429 and the other codes of AWS's throttling list."""
    REGION = ("region", Fate.CORRECT, Remedy.CLIENT, 1)
    """The bucket lives in another region. Where the answer names it, its requests go there from now on."""
    MOVED = ("moved", Fate.CORRECT, Remedy.CLIENT, 1)
    """A redirect that names another place. Where that is the same store under another name, the bucket's
    requests go there from now on; else, among successes, it is as NOT_S3 (a captive portal)."""
    CLOCK = ("clock", Fate.CORRECT, Remedy.CLIENT, 1)
    """Our clock is too far from the store's. Signatures take the difference, from the answer's Date."""
    EXPIRED_TOKEN = ("expired-token", Fate.CORRECT, Remedy.CLIENT, 1)
    """The session credentials have expired: refresh them, once for all who wait."""
    UNSUPPORTED = ("unsupported", Fate.CORRECT, Remedy.CLIENT, 1)
    """The store does not implement something that was asked for. Checksums are left out from then on, and
    that is said once; nothing else is."""
    NEEDS_MD5 = ("needs-md5", Fate.CORRECT, Remedy.CLIENT, 1)
    """400: the bucket has a default retention, say, and the store wants a checksum of every body. Content-MD5
    goes with every one from then on, and that is said once."""
    REJECTED = ("rejected", Fate.FILE)
    """Any other 4xx (any other 409, too): the store does not take this object."""
    EXISTS = ("exists", Fate.FILE)
    """412: there is an object of that name already and it was not to be overwritten. It may be ours, of an
    attempt that was ambiguous."""
    TOO_LARGE = ("too-large", Fate.FILE, Remedy.IN_PARTS, 1)
    """The store does not take an object of this size; a file that went in one request, perhaps in parts."""
    NO_SUCH_UPLOAD = ("no-such-upload", Fate.FILE, Remedy.NEW_UPLOAD, 3)
    """404 NoSuchUpload: the multipart upload is gone, aborted by somebody or already completed. A store that
    keeps uploads in memory loses them at each of its restarts, of which a long upload may meet several."""
    INVALID_PART = ("invalid-part", Fate.FILE, Remedy.RESEND_PARTS, 1)
    """The store does not have the parts that CompleteMultipartUpload names."""
    TOO_MANY_PARTS = ("too-many-parts", Fate.FILE, Remedy.FEWER_PARTS, 1)
    """The store takes fewer parts of an object than S3 does, and has refused one for its number."""
    OUR_BUG = ("our-bug", Fate.FILE)
    """InvalidPartOrder, EntityTooSmall: the program broke a rule of S3 that no input should make it break."""
    SOURCE = ("source", Fate.FILE)
    """The source could not be read."""
    SOURCE_CHANGED = ("source-changed", Fate.FILE, Remedy.NEW_VERSION, 1)
    """The source changed while it was read; a mix of two versions is never sent."""
    SAME_KEY = ("same-key", Fate.FILE)
    """Another source of the run has the same key, and is still being uploaded: which stays would be chance.
    Or it is a file that is removed when it is uploaded, and would be lost."""
    ACCESS_DENIED = ("access-denied", Fate.RUN)
    """403 AccessDenied."""
    CREDENTIALS = ("credentials", Fate.CORRECT, Remedy.CLIENT, 1)
    """401; the key or the signature is wrong, or there are no credentials. Only a clock that is minutes off,
    which some stores call a wrong signature, can be put right."""
    PROXY = ("proxy", Fate.RUN)
    """A proxy on the way refuses us: 407, or no tunnel to the store. (One that cannot be reached, or cannot
    reach the store, is CONNECT.)"""
    NO_SUCH_BUCKET = ("no-such-bucket", Fate.RUN)
    """404 NoSuchBucket, NoSuchAccessPoint; 400 InvalidBucketName."""
    STORE_FULL = ("store-full", Fate.RUN)
    """507, QuotaExceeded: the store, or what it allows this account, is full."""
    HOST_UNKNOWN = ("host-unknown", Fate.RUN)
    """The endpoint's name does not resolve."""
    CERTIFICATE = ("certificate", Fate.RUN)
    """The endpoint's certificate is not trusted, or it does not trust ours."""
    TLS_MISMATCH = ("tls-mismatch", Fate.RUN)
    """The endpoint does not speak TLS where https was asked for, or the other way round."""

    CLIENT_CLOSED = ("client-closed", Fate.RUN)
    """Our client was closed (`aclose`) while a run was under way."""

    _value_: str
    fate: Fate
    remedy: Remedy
    times: int | None
    ambiguous: bool
    on_complete: Remedy

    def __new__(  # noqa: PLR0917 - the columns of the table
        cls,
        name: str,
        fate: Fate,
        remedy: Remedy = Remedy.NONE,
        times: int | None = None,
        ambiguous: bool = False,
        on_complete: Remedy = Remedy.NONE,
    ) -> FailureKind:
        member = str.__new__(cls, name)
        member._value_ = name
        member.fate = fate
        member.remedy = remedy
        member.times = times
        member.ambiguous = ambiguous
        member.on_complete = on_complete
        return member

    @property
    def retried(self) -> bool:
        """Tried again after a back-off, at a charge to the retry budget."""
        return self.fate in (Fate.RETRY, Fate.THROTTLE)

    @property
    def doubts_connection(self) -> bool:
        """What carried it, or who answered, is in doubt: the next try takes a new connection, to another
        address. After any other failure the answer was whole and the connection is good; after CONNECT one
        that is idle will do better than the next handshake."""
        return self in _DOUBTS_CONNECTION or self.stops_run

    @property
    def is_foreign(self) -> bool:
        """What answered does not look like S3: a store's ingress while it is away, a captive portal; or, as
        long as nothing has succeeded, no store at all."""
        return self in _FOREIGN

    @property
    def refuses(self) -> bool:
        """The store has said that it does not tell or do this, and to ask again would not help."""
        return self in _REFUSES

    @property
    def passes(self) -> bool:
        """Where this was the last answer, a later one may be another."""
        return self.retried and not self.refuses

    @property
    def throttles(self) -> bool:
        """The store asks for less: from then on fewer requests begin each second (`concurrency/rate.py`)."""
        return self.fate is Fate.THROTTLE

    @property
    def stops_run(self) -> bool:
        """At once, or where it cannot be put right; among successes see `control/retrying/refusals.py`."""
        return self.fate in (Fate.RUN, Fate.CORRECT)


# The connection broke, or fell silent, or what came through it was not what was sent, or no S3's.
_DOUBTS_CONNECTION = frozenset(
    {
        FailureKind.RESET,
        FailureKind.TIMEOUT,
        FailureKind.MALFORMED,
        FailureKind.NOT_S3,
        FailureKind.UNPROVEN,
        FailureKind.REQUEST_TIMEOUT,
        FailureKind.BAD_REQUEST,
        FailureKind.INCOMPLETE_BODY,
        FailureKind.DIGEST,
    }
)


_FOREIGN = frozenset({FailureKind.UNPROVEN, FailureKind.NOT_S3, FailureKind.MOVED})
_REFUSES = frozenset(
    {FailureKind.ACCESS_DENIED, FailureKind.REJECTED, FailureKind.UNSUPPORTED, FailureKind.BAD_REQUEST}
)


class S3UploadError(Exception):
    """The root of every exception that s3-upload raises on purpose.

    Its text is one that can be printed anywhere: a name in it may have control characters, or bytes that are
    no text, and `print` of such a one would do what they say, or raise.
    """

    def __str__(self) -> str:
        return printable(self._text())

    def _text(self) -> str:
        return super().__str__()


class ConfigError(S3UploadError, ValueError):
    """A setting is wrong. The message names the field, the value and the range."""


class SourceError(S3UploadError):
    """A source cannot be read or listed: its message says which and why."""

    def __init__(self, message: str, kind: FailureKind = FailureKind.SOURCE) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class AttemptError(S3UploadError):
    """One attempt failed before a whole response was there (`http1/` and the adapters raise it).

    `message` says what was seen, without secrets; `timer` names the timer that cut the attempt.
    """

    def __init__(self, kind: FailureKind, message: str, timer: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.timer = timer

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, self.message, self.timer)


class UploadError(S3UploadError):
    """One object was not uploaded.

    Attributes: `key`, `kind` (the cause of the last failed attempt), `attempts` (tries made, 0 when
    the source failed before the first), `status` and `code` and `request_id` as the store gave them
    (0 and "" where there was no answer), `message`.
    """

    def __init__(
        self,
        message: str,
        *,
        key: str,
        kind: FailureKind,
        attempts: int = 0,
        status: int = 0,
        code: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.kind = kind
        self.attempts = attempts
        self.status = status
        self.code = code
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)

    def _text(self) -> str:
        tries = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        request = f" (request ID {self.request_id})" if self.request_id else ""
        return f"{self.key}: {self.message}{tries}{request}"


def _rebuild(cls: type[UploadError], message: str, state: dict[str, Any]) -> UploadError:
    error = cls.__new__(cls, message)
    error.__dict__.update(state)
    return error


class RunError(S3UploadError):
    """The run cannot go on: no such bucket, bad credentials, unknown or unreachable host, untrusted
    certificate.

    `summary`: the `UploadSummary` of what had been done by then; None where no run had begun.
    """

    def __init__(self, message: str, kind: FailureKind) -> None:
        super().__init__(message)
        self.kind = kind
        self.summary: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.kind)


MAX_CHAIN = 8
"""Exceptions that are followed back from the one that was caught."""


def attach_summary(error: BaseException, summary: Any) -> None:
    """Whoever catches `error`, whatever it is, finds as its `summary` what had been done by then."""
    with suppress(AttributeError, TypeError):
        error.summary = summary  # type: ignore[attr-defined]


def foreign(error: BaseException) -> BaseException:
    """What something of the caller's raised, as it may leave us. No future takes a StopIteration, as no
    generator does (PEP 479); and whoever did not cancel us (a `TaskGroup`, say) would take a CancelledError
    for an end that was asked for, and go on as if all were uploaded."""
    from asyncio import CancelledError  # here, or every start of the command would pay for it

    if not isinstance(error, StopIteration | CancelledError):
        return error
    wrapped = RuntimeError(f"something of the caller's raised {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped


def are_we_cancelled(error: BaseException) -> bool:
    """Whether it is this task that was cancelled, and not something of the caller's that it waited for."""
    import asyncio  # here, or every start of the command would pay for it

    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def summary_of(error: BaseException | None) -> Any:
    """What `attach_summary` attached to `error`, or to what it came from: a task that is cancelled raises an
    exception of its own in place of the one that ended it. None where there is none."""
    for _ in range(MAX_CHAIN):
        if error is None:
            break
        summary = getattr(error, "summary", None)
        if summary is not None:
            return summary
        error = error.__cause__ or error.__context__
    return None


class UploadsFailed(S3UploadError):  # noqa: N818 - named for what happened, as in concurrent.futures
    """Raised by `UploadSummary.raise_for_failures()`; `errors` has one `UploadError` per object."""

    def __init__(self, errors: Sequence[UploadError]) -> None:
        self.errors = tuple(errors)
        first = f": {self.errors[0]}" if self.errors else ""
        super().__init__(f"{len(self.errors)} object(s) were not uploaded{first}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.errors,)
