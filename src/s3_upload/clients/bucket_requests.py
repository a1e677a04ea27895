"""Requests about a bucket, or about all: is it there, make it, which are there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from s3_upload.account.settings import DEFAULT_REGION
from s3_upload.errors import AttemptError, FailureKind, Fate, RunError
from s3_upload.http1.coming import answer_of
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.s3.bucket_kinds import ARN, is_directory
from s3_upload.s3.hints import joined, words_of
from s3_upload.s3.operations import CREATE_BUCKET, CREATE_SESSION, HEAD_BUCKET, LIST_BUCKETS, Operation
from s3_upload.s3.operations.create_bucket import create_bucket_body
from s3_upload.s3.operations.list_buckets import bucket_names
from s3_upload.s3.responses import classify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from s3_upload.http import Response
    from s3_upload.s3.responses import Failure

    Send = Callable[[Operation, Trace], Awaitable[Response]]
    Correct = Callable[[Operation, Failure, Trace], Awaitable[bool]]

_OF_ACCOUNTS = (FailureKind.EXPIRED_TOKEN, FailureKind.CLOCK, FailureKind.CREDENTIALS)
LONG = frozenset({LIST_BUCKETS})
"""Whose answers may be long."""
ALL = ""  # for the bucket, in the one request that is about all
BUCKET_TIMEOUT_S = 30.0
"""For the answer to a request about a bucket."""
WRONG_ZONE = "; the zone of a directory bucket must be one of the region that is set"
"""For a host of AWS's; an endpoint URL says the zone itself."""
SESSION_TIMEOUT_S = 10.0
"""For a session, which all requests to a directory bucket may wait for: then it is asked for again."""


async def ask(send: Send, name: str, bucket: str, body: bytes = b"") -> Response:
    """Sends one such request; the answer, whatever it says. Raises `AttemptError` where there is none."""
    operation = Operation(name=name, bucket=bucket, key="", body=body)
    return await _answer(send, operation, BUCKET_TIMEOUT_S)


async def create_session(send: Send, correct: Correct, bucket: str, where: str, hint: str) -> Response:
    """The answer to a CreateSession: on a new connection, since what breaks one that is idle would break all
    requests that wait for the session.  `where`: for which bucket, in words.  `hint`: what may be
    wrong where its host is unknown.

    Raises `AttemptError` where there is none to be had: as the requests that wait would have been refused,
    and never as if one object alone were.
    """
    operation = Operation(name=CREATE_SESSION, bucket=bucket, key="")
    trace = _trace(SESSION_TIMEOUT_S, fresh=True)
    try:
        answer = await _answer(send, operation, SESSION_TIMEOUT_S, trace)
    except AttemptError as error:
        if error.kind is not FailureKind.HOST_UNKNOWN:
            raise
        raise AttemptError(error.kind, f"{error.message}{hint}") from error
    failure = classify(CREATE_SESSION, answer)
    if failure is not None and failure.kind in _OF_ACCOUNTS and await correct(operation, failure, trace):
        answer = await _answer(send, operation, SESSION_TIMEOUT_S, _trace(SESSION_TIMEOUT_S, fresh=True))
        failure = classify(CREATE_SESSION, answer)
    if failure is None:
        return answer
    kind = FailureKind.ACCESS_DENIED if failure.kind.fate is Fate.FILE else failure.kind
    if kind is FailureKind.UNPROVEN:
        kind = FailureKind.SERVER  # there is no object to ask about
    need = "it takes the permission s3express:CreateSession" if failure.status == 403 else ""
    raise AttemptError(kind, f"{where}: no session (CreateSession): {joined(words_of(failure), need)}")


def _trace(timeout_s: float, *, fresh: bool = False) -> Trace:
    now = asyncio.get_running_loop().time
    return Trace(SendOptions(timeout_s, fresh=fresh), now)


async def _answer(send: Send, operation: Operation, timeout_s: float, trace: Trace | None = None) -> Response:
    trace = trace or _trace(timeout_s)
    try:
        return await answer_of(send(operation, trace), trace, timeout_s)
    except AttemptError as error:
        if error.kind is not FailureKind.TIMEOUT:
            raise
        raise AttemptError(error.kind, f"{operation.name}: {error.message}") from None


async def create_bucket(send: Send, bucket: str, *, endpoint: str, aws_region: str | None) -> bool:
    """See `S3Client.create_bucket`. `aws_region`: where S3 makes it; None for another store."""
    try:
        found = await ask(send, HEAD_BUCKET, bucket)
    except AttemptError:
        return False
    if found.status != 404:
        return False
    where = f"{endpoint}: bucket {bucket!r}"
    if bucket.startswith(ARN) or is_directory(bucket):
        raise RunError(
            f"{where}: there is none, and only buckets of the usual kind are made here: make it elsewhere",
            FailureKind.NO_SUCH_BUCKET,
        )
    body = create_bucket_body(aws_region) if aws_region not in (None, DEFAULT_REGION) else b""
    try:
        answer = await ask(send, CREATE_BUCKET, bucket, body)
    except AttemptError as error:
        raise RunError(f"{where}: {error.message}", error.kind) from error
    failure = classify(CREATE_BUCKET, answer)
    if failure is None or failure.code == "BucketAlreadyOwnedByYou":
        return failure is None
    why = f"the bucket {bucket!r} could not be created: {words_of(failure)}"
    raise RunError(f"{endpoint}: {why}", failure.kind)


async def list_buckets(send: Send, endpoint: str, begin: Callable[[], object]) -> list[str]:
    """See `S3Client.list_buckets`. `begin` has `send` know where to."""
    try:
        begin()
        answer = await ask(send, LIST_BUCKETS, ALL)
    except AttemptError as error:
        raise RunError(f"{endpoint}: {error.message}", error.kind) from error
    failure = classify(LIST_BUCKETS, answer)
    if failure is not None:
        raise RunError(f"{endpoint}: does not list buckets: {words_of(failure)}", failure.kind)
    return bucket_names(answer)
