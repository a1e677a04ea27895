"""At the end of a run that was stopped: aborts what the store holds of unfinished multipart uploads.

Best effort, in bounded time: parts left behind are billed until a lifecycle rule ends them.  A part
that was on its way when its upload was aborted may still have been stored, so after each abort the
parts are listed, and the upload is aborted again until there are none (S3's own advice,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from s3_upload.engine.client import Client
from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http import Response
from s3_upload.s3.operations import LIST_PARTS, Operation
from s3_upload.s3.responses import classify, listed_parts
from s3_upload.wire.exchange import Exchange

ABORT_GRACE_S = 5.0
"""How long the end of a stopped run may take to abort its multipart uploads."""
MAX_ABORTS_AT_ONCE = 32
ABORT_AGAIN_S = 0.2
"""The wait before a next try to abort; their number is bounded by the time."""


async def abort_all(client: Client, now: Callable[[], float], aborts: Iterable[Operation]) -> None:
    """Carries out `aborts`, each until the store has no parts of its upload, within ABORT_GRACE_S."""
    slots = asyncio.Semaphore(MAX_ABORTS_AT_ONCE)

    async def send(operation: Operation) -> Response:
        return await client.send(operation, Exchange(now, ABORT_GRACE_S, fresh=True))

    async def abort(operation: Operation) -> None:
        async with slots:
            while True:
                if await _is_gone(operation, send):
                    return
                await asyncio.sleep(ABORT_AGAIN_S)

    tasks = [asyncio.ensure_future(abort(operation)) for operation in aborts]
    if tasks:
        await asyncio.wait(tasks, timeout=ABORT_GRACE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _is_gone(operation: Operation, send: Callable[[Operation], Awaitable[Response]]) -> bool:
    """Whether nothing is left to abort, or nothing can be done about it."""
    try:
        failure = classify(operation.name, await send(operation))
        if failure is None:
            listing = msgspec.structs.replace(operation, name=LIST_PARTS)
            answer = await send(listing)
            failure = classify(LIST_PARTS, answer)
            if failure is None:
                return not listed_parts(answer).etags
    except AttemptError as error:
        return not error.kind.retried
    return failure.kind is FailureKind.NO_SUCH_UPLOAD or not failure.kind.retried
