"""Aborts what the store holds of unfinished multipart uploads.  At the end of a run these are all that are
left; before that, when the store answers again, those whose abort has failed (in an outage, say).

Best effort, in bounded time.  Parts left behind are billed until a lifecycle rule ends them.  A part
that was on its way when its upload was aborted may still have been stored.  So after each abort the
parts are listed, and the upload is aborted again until there are none (S3's own advice,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import msgspec

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http import Response
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.s3.operations import LIST_PARTS, Operation
from s3_upload.s3.operations.list_parts import listed_parts
from s3_upload.s3.responses import classify
from s3_upload.transfer.client import Client

ABORT_GRACE_S = 5.0
"""How long the end of a run, or a later try, may take to abort multipart uploads."""
MAX_ABORTS_AT_ONCE = 32
ABORT_CONNECT_S = 1.0
"""What the handshake of a first try may take, doubled each time: a silent address leaves time for others."""
ABORT_AGAIN_S = 0.2
"""The wait before the next try to abort; ABORT_GRACE_S bounds their number."""
LATER_S = 5.0
"""After an abort has failed none is tried for so long, though the store answers."""


class NotAborted(NamedTuple):
    """`late`: not done in time; `refused`: the store does not do it, or nobody may ask it."""

    late: list[Operation]
    refused: list[Operation]

    @property
    def all(self) -> list[Operation]:
        return self.late + self.refused


class Unfinished:
    """Multipart uploads that are begun and not ended, and those whose abort has failed.

    `kept`: how many are left for the next run, which knows of them.  `completing`: how many have all their
    parts, and are being completed.
    """

    def __init__(self, client: Client, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        self._open: list[Operation] = []
        self._resumable: list[Operation] = []
        self._left: list[Operation] = []
        self._refused: list[Operation] = []
        self._not_before_s = 0.0
        self._trying: asyncio.Task[None] | None = None
        self.completing = 0

    @property
    def kept(self) -> int:
        return len(self._resumable)

    def begin(self, abort: Operation, *, resumable: bool = False) -> None:
        """What `abort` aborts is begun. `resumable`: the end of the run leaves it to the next one."""
        (self._resumable if resumable else self._open).append(abort)

    def can_go_on(self, abort: Operation) -> None:
        """From now on the next run can go on with it."""
        if abort in self._open:
            self._open.remove(abort)
            self._resumable.append(abort)

    @contextmanager
    def being_completed(self) -> Iterator[None]:
        self.completing += 1
        try:
            yield
        finally:
            self.completing -= 1

    def end(self, abort: Operation) -> None:
        """It is completed, or the store has nothing of it."""
        (self._resumable if abort in self._resumable else self._open).remove(abort)

    def in_vain(self, abort: Operation, kind: FailureKind) -> None:
        """`abort` has failed by `kind`: it is tried again when the store answers, or at the end."""
        if not kind.passes:
            self.try_at_end(abort)
            return
        self._left.append(abort)
        self._not_before_s = self._now() + LATER_S

    def try_at_end(self, abort: Operation) -> None:
        """It is tried once more, and the run says what it came to."""
        self._refused.append(abort)

    def spare(self, upload_id: str) -> None:
        """This upload is looked at to be gone on with: that it was to be aborted does not count any more."""
        for aborts in (self._left, self._refused):
            aborts[:] = [abort for abort in aborts if abort.upload_id != upload_id]

    def answered(self) -> None:
        """The store serves requests: perhaps it takes aborts again."""
        if not self._left or self._now() < self._not_before_s:
            return
        if self._trying is None or self._trying.done():
            self._trying = asyncio.get_running_loop().create_task(self._try_again())

    async def finish(self, *, keeps: bool = False) -> list[str]:
        """At the run's end: aborts all; `keeps`: but for those that the next run can go on with.

        Returns the keys of those that may be left.
        """
        if not keeps:
            self._open += self._resumable
            self._resumable.clear()
        # What is being tried is still among those left, and is tried with all of them.
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
        left = await abort_all(self._client, self._now, [*self._left, *self._refused, *self._open])
        return [abort.key for abort in left.all]

    async def _try_again(self) -> None:
        tried = tuple(self._left)
        left = await abort_all(self._client, self._now, tried)
        # Others may have been added meanwhile, and some are spared.
        self._refused += [abort for abort in left.refused if abort in self._left]
        self._left = [abort for abort in self._left if abort not in tried or abort in left.late]
        self._not_before_s = self._now() + LATER_S


async def abort_all(client: Client, now: Callable[[], float], aborts: Iterable[Operation]) -> NotAborted:
    """Carries out `aborts`, each until the store has no parts of its upload, for ABORT_GRACE_S at most."""
    slots = asyncio.Semaphore(MAX_ABORTS_AT_ONCE)

    async def send(connect_s: float, operation: Operation) -> Response:
        return await client.send(operation, Trace(SendOptions(connect_s, fresh=True), now))

    async def abort(operation: Operation) -> bool:
        connect_s = ABORT_CONNECT_S
        async with slots:
            while True:
                is_gone = await _is_gone(operation, partial(send, connect_s))
                if is_gone is not None:
                    return is_gone
                await asyncio.sleep(ABORT_AGAIN_S)
                connect_s *= 2.0

    tasks = {asyncio.ensure_future(abort(operation)): operation for operation in aborts}
    if not tasks:
        return NotAborted([], [])
    try:
        _, late = await asyncio.wait(tasks, timeout=ABORT_GRACE_S)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    ended = zip(tasks.items(), outcomes, strict=True)
    # Also what raised: keys that could not be renewed, say.
    refused = [operation for (task, operation), outcome in ended if task not in late and outcome is not True]
    return NotAborted([tasks[task] for task in tasks if task in late], refused)


async def _is_gone(operation: Operation, send: Callable[[Operation], Awaitable[Response]]) -> bool | None:
    """Whether nothing is left to abort, as far as the store tells; False: it refuses. None: not yet."""
    try:
        failure = classify(operation.name, await send(operation))
        # That it is gone may be the doing of an abort before this one, of which no answer came.
        if failure is not None and failure.kind is not FailureKind.NO_SUCH_UPLOAD:
            return _never(failure.kind)
        # A part that was on its way may have been stored after the abort.
        listing = msgspec.structs.replace(operation, name=LIST_PARTS)
        answer = await send(listing)
    except AttemptError as error:
        return _never(error.kind)
    failure = classify(LIST_PARTS, answer)
    if failure is None:
        return None if listed_parts(answer).parts else True
    # Who may not list parts has aborted them all the same.
    return None if failure.kind.passes else True


def _never(kind: FailureKind) -> bool | None:
    return None if kind.passes else False
