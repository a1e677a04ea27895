"""Requests about a bucket, or about all: is it there, make it, which are there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from s3_upload.errors import AttemptError, FailureKind, RunError
from s3_upload.s3.bucket_kinds import ARN, is_directory
from s3_upload.s3.hints import words_of
from s3_upload.s3.operations import CREATE_BUCKET, HEAD_BUCKET, LIST_BUCKETS, Operation
from s3_upload.s3.requests import create_bucket_body
from s3_upload.s3.responses import bucket_names, classify
from s3_upload.settings import DEFAULT_REGION
from s3_upload.wire.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from s3_upload.http import Response

    Send = Callable[[Operation, Exchange], Awaitable[Response]]

ALL = ""  # for the bucket, in the one request that is about all
BUCKET_TIMEOUT_S = 30.0
"""For the answer to a request about a bucket."""


async def ask(send: Send, name: str, bucket: str, body: bytes = b"") -> Response:
    """Sends one such request; the answer, whatever it says. Raises `AttemptError` where there is none."""
    operation = Operation(name=name, bucket=bucket, key="", body=body)
    exchange = Exchange(now=asyncio.get_running_loop().time, connect_timeout_s=BUCKET_TIMEOUT_S)
    try:
        return await asyncio.wait_for(send(operation, exchange), BUCKET_TIMEOUT_S)
    except TimeoutError:
        raise AttemptError(FailureKind.TIMEOUT, f"no answer within {BUCKET_TIMEOUT_S:g} s") from None


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


async def list_buckets(send: Send, endpoint: str) -> list[str]:
    """See `S3Client.list_buckets`."""
    try:
        answer = await ask(send, LIST_BUCKETS, ALL)
    except AttemptError as error:
        raise RunError(f"{endpoint}: {error.message}", error.kind) from error
    failure = classify(LIST_BUCKETS, answer)
    if failure is not None:
        raise RunError(f"{endpoint}: does not list buckets: {words_of(failure)}", failure.kind)
    return bucket_names(answer)
