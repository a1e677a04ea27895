"""Our algorithm on an SDK client that you have already: aiobotocore's, or boto3's in threads.

    async with session.create_client("s3", config=Config(retries={"total_max_attempts": 1})) as sdk:
        await s3_upload_files(aiobotocore_client(sdk), "bucket", files)

Rules:

* One `send` is one SDK call.  The SDK must not retry by itself, or its retries would multiply ours
  and hide throttling from the window: pass `Config(retries={"total_max_attempts": 1})`; a client
  that retries is accepted with a warning.
* Our timers cut a call through `Trace.abort`.  An aiobotocore call is cancelled.  A boto3 call
  sits in a thread that nothing can stop: its result is dropped, and its thread, with the body it
  sends, stays until the SDK's own `read_timeout` (60 s) ends it.
* The wait for a free connection of the SDK's pool is no part of an attempt's time: there are as many
  slots as connections, and `Trace.request_s` is when a call got its slot.
* An SDK's timeouts still hold: `read_timeout` must be longer than CompleteMultipartUpload may take.
  They do not cover everything: aiobotocore 3.10 waits for ever for the `100 Continue` of a silent
  server, and only our timer ends that.
* The SDK does not say when the last byte left, so `Trace.sent_s` stays 0.0, and `first_byte_s` is
  when the whole answer (a few hundred bytes) was there; `sent_bytes` is the whole body, unless it is
  clear that nobody got any of it.
* What the SDK raises becomes what our own client would have given: an answer of the store is a
  `Response`, whatever its status; the rest has a `FailureKind`.  What is wrong with the client itself (no
  region, say) is a `ConfigError`, which ends the run: no object would fare better.
"""

from __future__ import annotations

import asyncio
import functools
import io
import socket
import ssl
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from s3_upload.checks import wrong_type
from s3_upload.errors import AttemptError, ConfigError, FailureKind, SourceError
from s3_upload.http import Body, Response, SlicedBody
from s3_upload.http1.trace import Trace
from s3_upload.parts import StoreParts
from s3_upload.request_fields import NO_FIELDS
from s3_upload.s3.checksum import Digests
from s3_upload.s3.fields import NO_KEY_OVER_HTTP, field_arguments, not_unicode
from s3_upload.s3.operations import OPERATIONS, Operation
from s3_upload.s3.responses import Failure
from s3_upload.s3.xml import element
from s3_upload.text import reason_of
from s3_upload.threads import DaemonThreads, seen
from s3_upload.transfer.client import Client

MAX_THREADS = 1000
MAX_CAUSES = 20
"""Bounds the walk through an exception's causes, which may be circular."""


def aiobotocore_client(client: Any) -> Client:
    """A `Client` on an open aiobotocore S3 client, which stays the caller's to close.

    Have `Config(max_pool_connections=...)` at least as large as `UploadConfig.max_in_flight`.
    """
    _check(client)
    _warn_of_retries(client)
    # As many as the SDK has connections: to wait for one inside of it would count as slowness.
    slots = asyncio.Semaphore(client.meta.config.max_pool_connections)

    async def in_slot(call: Callable[[], Any], trace: Trace) -> Any:
        async with slots:
            trace.has_slot()
            return await call()

    return _SdkClient(client, lambda call, trace: asyncio.ensure_future(in_slot(call, trace)))


def boto3_client(client: Any, threads: int | None = None) -> Client:
    """A `Client` on a boto3 (or botocore) S3 client, called in at most `threads` threads.

    `threads` (1 to 1000, default: the client's `max_pool_connections`, 1000 at most) bounds the calls at the
    same time, those of abandoned threads included: while all of them hang, new calls wait until the SDK's
    own timeouts end one.  Raises `ConfigError`.
    """
    _check(client)
    limit = min(client.meta.config.max_pool_connections, MAX_THREADS) if threads is None else threads
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_THREADS:
        raise ConfigError(f"threads = {limit!r}: must be a whole number from 1 to {MAX_THREADS}")
    _warn_of_retries(client)
    pool = DaemonThreads(limit, "s3-upload-boto3")

    def in_thread(call: Callable[[], Any], trace: Trace) -> Any:
        trace.has_slot()
        return call()

    def start(call: Callable[[], Any], trace: Trace) -> asyncio.Future[Any]:
        return pool.call(functools.partial(in_thread, call, trace))

    return _SdkClient(client, start, any_loop=True)


def _check(client: Any) -> None:
    """Raises `TypeError` for what is no client of an SDK."""
    if not (hasattr(client, "put_object") and hasattr(client, "meta")):
        raise wrong_type("client", client, "an S3 client of boto3, botocore or aiobotocore")


class _SdkClient:
    """`start` begins a call as soon as a slot is free, and tells the trace when that is. `any_loop`: calls
    are made in threads, so it belongs to no event loop."""

    digests = Digests()
    """None: the SDK computes its own."""

    def __init__(
        self,
        client: Any,
        start: Callable[[Callable[[], Any], Trace], asyncio.Future[Any]],
        *,
        any_loop: bool = False,
    ) -> None:
        self._client = client
        self._start = start
        self.any_loop = any_loop
        self.parts = StoreParts(self.endpoint)

    @property
    def endpoint(self) -> str:
        return str(self._client.meta.endpoint_url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.endpoint})"

    async def send(self, operation: Operation, trace: Trace) -> Response:
        """See `Client.send`."""
        from botocore.exceptions import BotoCoreError, ClientError

        if operation.fields.sse_customer_key is not None and not self.endpoint.startswith("https://"):
            raise ConfigError(NO_KEY_OVER_HTTP)
        arguments = _arguments(operation)
        call = functools.partial(getattr(self._client, OPERATIONS[operation.name].sdk.method), **arguments)
        try:
            answer = await _abortable(self._start(call, trace), trace, len(operation.body))
        except Exception as error:
            body = arguments.get("Body")
            if isinstance(body, _BodyFile) and body.problem is not None:  # whatever the SDK makes of it
                raise AttemptError(body.problem.kind, str(body.problem)) from error
            if isinstance(error, ClientError):
                response = _error_response(error)
            elif isinstance(error, BotoCoreError):
                kind = _kind(error)
                if not kind.ambiguous:  # nobody got it
                    trace.ends(0)
                raise AttemptError(kind, reason_of(error)) from error
            elif _is_unreadable(error):
                raise AttemptError(FailureKind.MALFORMED, reason_of(error)) from error
            else:
                raise
        else:
            response = _response(operation, answer)
        trace.answered()
        return response

    async def correct(self, operation: Operation, failure: Failure, trace: Trace) -> bool:
        """See `Client.correct`. Regions, clocks and tokens are the SDK's own business."""
        return False

    def remark(self, failure: Failure, trace: Trace) -> str:
        """See `Client.remark`."""
        return ""


def _warn_of_retries(client: Any) -> None:
    if (client.meta.config.retries or {}).get("total_max_attempts") != 1:
        warnings.warn(
            "this SDK client retries by itself, on top of s3-upload's retries: "
            'create it with Config(retries={"total_max_attempts": 1})',
            stacklevel=3,
        )


async def _abortable(call: asyncio.Future[dict[str, Any]], trace: Trace, size: int) -> dict[str, Any]:
    """What `call` gives, or AttemptError(TIMEOUT) once `trace.abort(text)` was called."""
    aborted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def abort(text: str) -> None:
        if not aborted.done():
            aborted.set_result(text)

    trace.can_be_cut(abort, size)  # of what the SDK has sent it says nothing
    try:
        await asyncio.wait((call, aborted), return_when=asyncio.FIRST_COMPLETED)
        if call.done():
            return call.result()
        raise AttemptError(FailureKind.TIMEOUT, aborted.result())
    finally:
        trace.ends(size)
        aborted.cancel()
        if not call.done():
            call.add_done_callback(seen)
            call.cancel()


def _arguments(operation: Operation) -> dict[str, Any]:
    """`operation` as the SDK's keyword arguments."""
    kind = OPERATIONS[operation.name]
    arguments: dict[str, Any] = {"Bucket": operation.bucket, **kind.sdk.arguments(operation)}
    if kind.names_key:
        try:
            operation.key.encode()
        except UnicodeEncodeError as error:  # which the SDK would raise as it is
            raise not_unicode("the key") from error
        arguments["Key"] = operation.key
    if kind.carries_data:
        arguments["Body"] = _sdk_body(operation.body)
    if operation.fields is not NO_FIELDS:
        arguments |= field_arguments(operation.fields, operation.name)
    return arguments


def _sdk_body(body: Body) -> bytes | io.RawIOBase:
    """An SDK takes no memoryview, and reads what is not in memory itself."""
    if isinstance(body, SlicedBody):
        return _BodyFile(body)
    return body if isinstance(body, bytes) else bytes(body)


class _BodyFile(io.RawIOBase):
    """A `SlicedBody` as a file. An SDK reads it once for its own checksum, and again to send it.

    `problem`: why it could not be read, if it could not.
    """

    def __init__(self, body: SlicedBody) -> None:
        self.problem: SourceError | None = None
        self._body = body
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._body)}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self._body.read_at(self._at, len(buffer))
        except SourceError as error:
            self.problem = error
            raise
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _response(operation: Operation, answer: dict[str, Any]) -> Response:
    """A success as HTTP: the SDK has parsed the body, so what is read of it is rebuilt."""
    status, headers = _status_and_headers(answer)
    rebuild = OPERATIONS[operation.name].sdk.answer
    return Response(status, headers, rebuild(answer) if rebuild is not None else b"")


def _error_response(error: Any) -> Response:
    """The store's own answer inside a ClientError."""
    status, headers = _status_and_headers(error.response)
    if not status:
        raise AttemptError(FailureKind.MALFORMED, reason_of(error))
    said = error.response.get("Error", {})
    code = said.get("Code")
    # The SDK's own words for a body that is no error of S3's: the status as its code or, where a page happens
    # to be XML, nothing.  To pass them on would make a proxy's answer the store's.
    if code == str(status) or (code == "" and not said.get("Message")):
        return Response(status, headers, b"")
    tags = {name: text for name, text in said.items() if isinstance(text, str)}
    return Response(status, headers, element("Error", tags))


def _status_and_headers(answer: Mapping[str, Any]) -> tuple[int, dict[str, str]]:
    meta = answer.get("ResponseMetadata", {})
    headers = {name.lower(): value for name, value in meta.get("HTTPHeaders", {}).items()}
    return meta.get("HTTPStatusCode", 0), headers


def _is_unreadable(error: Exception) -> bool:
    """Whether the SDK could not read the answer. Of a number that is none it raises what Python does."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") in _PARSERS for frame, _ in frames)


_PARSERS = ("botocore.parsers", "aiobotocore.parsers")
_KINDS: dict[str, FailureKind] = {
    **dict.fromkeys((
        "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
        "RefreshWithMFAUnsupportedError", "NoAuthTokenError", "TokenRetrievalError", "SSOError", "LoginError",
        # What is wrong with the profile that they are to come from, which is read when they are needed.
        "UnknownCredentialError", "UnknownTokenProviderError", "ProfileNotFound", "ConfigNotFound",
        "ConfigParseError", "InvalidConfigError", "MetadataRetrievalError",
    ), FailureKind.CREDENTIALS),
    # A parameter or a body that this object alone may have.
    **dict.fromkeys((
        "ParamValidationError", "UnseekableStreamError", "AwsChunkedWrapperError", "FlexibleChecksumError",
    ), FailureKind.REJECTED),
    "ConnectTimeoutError": FailureKind.CONNECT,
    "ReadTimeoutError": FailureKind.TIMEOUT,
    **dict.fromkeys((
        "ConnectionClosedError", "ResponseStreamingError", "IncompleteReadError", "HTTPClientError",
    ), FailureKind.RESET),
    "ConnectionError": FailureKind.CONNECT,
}  # fmt: skip
"""The SDK's exceptions by their names: older ones lack some. What is none of these, nor made of one, has to
do with the client or its bucket."""


def _kind(error: Exception) -> FailureKind:
    """What lies beneath decides first: the SDKs call a lost connection and an unknown host alike.

    Raises `ConfigError` where the client can send nothing at all.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return FailureKind.CERTIFICATE
        if isinstance(cause, ssl.SSLError) and getattr(cause, "reason", "") in _NOT_TLS:
            return FailureKind.TLS_MISMATCH
        if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
            return FailureKind.HOST_UNKNOWN
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return FailureKind.RESET
    classes = (each.__name__ for each in type(error).__mro__)
    found = next((_KINDS[name] for name in classes if name in _KINDS), None)
    if found is None:
        raise ConfigError(f"this SDK client cannot send: {reason_of(error)}") from error
    return found


# OpenSSL's words for an answer that is no TLS; which one depends on its version and the bytes.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and all it came from: chained, or kept in an attribute as urllib3 and aiohttp do."""
    pending: list[Any] = [error]
    for _ in range(MAX_CAUSES):
        if not pending:
            return
        cause = pending.pop(0)
        yield cause
        kept = (getattr(cause, "kwargs", None) or {}).get("error")
        reasons = (getattr(cause, name, None) for name in ("reason", "os_error", "certificate_error"))
        chained = (cause.__cause__, cause.__context__, kept, *reasons, *cause.args)
        pending.extend(found for found in chained if isinstance(found, BaseException))
