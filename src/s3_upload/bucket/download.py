"""Reads an object back and compares it with its source, byte by byte.

The client keeps an answer in memory, and bounds it.  So an object is read in pieces, as large as those in
which a file is read, and a few of them at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque

from s3_upload.bucket.asking import Unanswered, answer_to
from s3_upload.bucket.compare import DIFFERS, NEW, SAME, Local
from s3_upload.bucket.local_bytes import LocalBytes
from s3_upload.bucket.proof import Bucket, Unproven
from s3_upload.s3.operations import GET_OBJECT, Operation
from s3_upload.s3.operations.list_objects_v2 import ListedObject
from s3_upload.sources.files import SUM_BYTES
from s3_upload.threads import DaemonThreads

OBJECTS = 16
"""That are read back at a time."""
AHEAD = 4
"""Pieces of one object that are on their way at a time, so that together they are 64 MiB at most."""


class Downloader:
    """Reads back what is `there`. `local_bytes` reads what is here."""

    def __init__(self, there: Bucket, threads: DaemonThreads, local_bytes: LocalBytes) -> None:
        self._there = there
        self._threads = threads
        self._local_bytes = local_bytes
        self._room = asyncio.Semaphore(OBJECTS)

    async def reason(self, local: Local, found: ListedObject) -> str:
        """As `Prover.reason`: SAME, DIFFERS or, where it has gone meanwhile, NEW. Both have the same size.

        Raises `Unproven` where the object cannot be read, `SourceError` where the source cannot, and
        `RunError`.
        """
        assert local.size is not None
        async with self._room:
            ours = self._local_bytes.pieces(local)
            offsets = deque(range(0, local.size, SUM_BYTES))
            coming: deque[asyncio.Task[bytes]] = deque()
            try:
                while offsets or coming:
                    while offsets and len(coming) < AHEAD:
                        start = offsets.popleft()
                        span = start, min(SUM_BYTES, local.size - start)
                        coming.append(asyncio.ensure_future(self._piece(found.key, span)))
                    piece = await self._threads.call(lambda: next(ours, b""))
                    if await coming.popleft() != piece:
                        return DIFFERS
                # Behind the last piece it is known that the source has not grown: else this raises.
                await self._threads.call(lambda: next(ours, b""))
            except Unanswered as unanswered:
                if unanswered.failure.status == 404:
                    return NEW
                self._there.require_refusal(unanswered)
                raise Unproven(f"its object cannot be read back: {unanswered}") from unanswered
            finally:
                for task in coming:
                    task.cancel()
                await asyncio.gather(*coming, return_exceptions=True)
        return SAME

    async def _piece(self, key: str, span: tuple[int, int]) -> bytes:
        there = self._there
        operation = Operation(name=GET_OBJECT, bucket=there.name, key=key, fields=there.fields, span=span)
        return (await there.asker.ask(operation, answer_to(operation))).body
