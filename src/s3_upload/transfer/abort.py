"""Aborts what the store holds of unfinished multipart uploads: at the end of a run that was stopped, and of
those whose abort failed (in an outage, say), when the store answers again and at the end of any run.

Best effort, in bounded time: parts left behind are billed until a lifecycle rule ends them.  A part
that was on its way when its upload was aborted may still have been stored, so after each abort the
parts are listed, and the upload is aborted again until there are none (S3's own advice,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http import Response
from s3_upload.http1.exchange import Exchange
from s3_upload.s3.operations import LIST_PARTS, Operation
from s3_upload.s3.responses import classify, listed_parts
from s3_upload.transfer.client import Client

ABORT_GRACE_S = 5.0
"""How long the end of a run, or a later try, may take to abort multipart uploads."""
MAX_ABORTS_AT_ONCE = 32
ABORT_AGAIN_S = 0.2
"""The wait before a next try to abort; their number is bounded by the time."""
LATER_S = 5.0
"""After an abort has failed nothing is aborted for so long, though the store answers."""


class Leftovers:
    """Multipart uploads whose abort has failed."""

    def __init__(self, client: Client, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        self._aborts: list[Operation] = []
        self._not_before_s = 0.0
        self._trying: asyncio.Task[None] | None = None

    def add(self, abort: Operation) -> None:
        """`abort` was tried in vain."""
        self._aborts.append(abort)
        self._not_before_s = self._now() + LATER_S

    def answered(self) -> None:
        """The store serves requests: perhaps it takes aborts again."""
        if not self._aborts or self._now() < self._not_before_s:
            return
        if self._trying is None or self._trying.done():
            self._trying = asyncio.get_running_loop().create_task(self._try_again())

    async def finish(self, others: Iterable[Operation]) -> list[str]:
        """At the run's end: tries all once more, and `others`. Returns the keys of those that may be left."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
        left = await abort_all(self._client, self._now, [*self._aborts, *others])
        return [abort.key for abort in left]

    async def _try_again(self) -> None:
        tried = tuple(self._aborts)
        left = await abort_all(self._client, self._now, tried)
        self._aborts = [abort for abort in self._aborts if abort not in tried or abort in left]
        self._not_before_s = self._now() + LATER_S


async def abort_all(client: Client, now: Callable[[], float], aborts: Iterable[Operation]) -> list[Operation]:
    """Carries out `aborts`, each until the store has no parts of its upload, within ABORT_GRACE_S. Returns
    those that were not done by then."""
    slots = asyncio.Semaphore(MAX_ABORTS_AT_ONCE)

    async def send(operation: Operation) -> Response:
        return await client.send(operation, Exchange(now, ABORT_GRACE_S, fresh=True))

    async def abort(operation: Operation) -> None:
        async with slots:
            while True:
                if await _is_gone(operation, send):
                    return
                await asyncio.sleep(ABORT_AGAIN_S)

    tasks = {asyncio.ensure_future(abort(operation)): operation for operation in aborts}
    if not tasks:
        return []
    try:
        _, late = await asyncio.wait(tasks, timeout=ABORT_GRACE_S)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [tasks[task] for task in tasks if task in late]


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
