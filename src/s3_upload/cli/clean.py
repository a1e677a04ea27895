"""`clean`: lists unfinished uploads in parts below a prefix, and ends them if that is asked for.

Below s3://BUCKET/a lie a and a/b, as an upload to it would name them, and not ab.  Where an age is asked for,
what has none is left alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from s3_upload.blocking import loop_factory
from s3_upload.bucket.asking import Asker
from s3_upload.bucket.unfinished import GONE, HAS_PARTS, Unfinished
from s3_upload.cli.output import EXIT_FILES_FAILED, EXIT_OK, emit, note
from s3_upload.cli.store import open_store
from s3_upload.errors import RunError
from s3_upload.text import printable
from s3_upload.units import show_bytes

if TYPE_CHECKING:
    from s3_upload.cli.options.store import StoreOptions
    from s3_upload.s3.operations.list_multipart_uploads import ListedUpload
    from s3_upload.sources.mapping import Destination

UNTOUCHED, REFUSED = "unfinished", "cannot be aborted"
"""What may be said of an upload, beside what becomes of it when it is told to end."""


def clean(options: StoreOptions, place: Destination, older_than_s: float | None, *, yes: bool) -> int:
    """Returns the exit code. Raises `RunError`."""
    counts = _Counts()

    async def look() -> None:
        async with connect() as client:
            unfinished = Unfinished(Asker(client), place.bucket)
            async for upload in unfinished.below(place.prefix):
                if upload.key != place.prefix and not upload.key.startswith(place.base):
                    continue
                if older_than_s is not None and upload.initiated_s is None:
                    counts.undated += 1
                elif _is_old(upload.initiated_s, older_than_s):
                    await _one(unfinished, place.bucket, upload, counts, yes=yes)

    with (
        open_store(options, place.bucket) as connect,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        runner.run(look())
    emit(counts.said(yes=yes))
    if counts.ended and not yes:
        note("s3-upload: note: nothing was aborted: --yes does that")
    if counts.undated:
        left = "1 more is" if counts.undated == 1 else f"{counts.undated:,} more are"
        note(f"s3-upload: note: {left} left alone: the store does not say when it was begun")
    return EXIT_FILES_FAILED if counts.left else EXIT_OK


async def _one(
    unfinished: Unfinished, bucket: str, upload: ListedUpload, counts: _Counts, *, yes: bool
) -> None:
    held, done = await unfinished.size(upload), UNTOUCHED
    if yes:
        try:
            done = await unfinished.abort(upload)
        except RunError as error:
            if not error.kind.refuses:
                raise
            done = REFUSED
            note(printable(f"failed: {error}"))
    counts.ended[done] += 1
    parts, size = held or (0, 0)
    counts.bytes += 0 if done in {GONE, REFUSED} else size
    what = f"{parts:,} {'part' if parts == 1 else 'parts'}, {show_bytes(size)}" if held else "size unknown"
    begun = _date(upload.initiated_s)
    emit(printable(f"{done}: s3://{bucket}/{upload.key} (begun {begun}, {what})"))


def _is_old(begun_s: float | None, older_than_s: float | None) -> bool:
    """The store's clock says when it was begun, ours what time it is: these are compared only where an age is
    given."""
    return begun_s is None or older_than_s is None or time.time() - begun_s >= older_than_s


class _Counts:
    """`ended`: uploads, by what became of them; `bytes`: of those that are neither gone nor refused."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.bytes = self.undated = 0

    @property
    def left(self) -> int:
        return self.ended[HAS_PARTS] + self.ended[REFUSED]

    def said(self, *, yes: bool) -> str:
        count = self.ended.total() - self.ended[GONE] - self.ended[REFUSED]
        uploads = f"{f'{count:,}' if count else 'no'} unfinished {'upload' if count == 1 else 'uploads'}"
        size = f", {show_bytes(self.bytes)}" if count else ""
        more = ((HAS_PARTS, "still have parts: try again"), (REFUSED, REFUSED), (GONE, "gone already"))
        told = [f"; {self.ended[which]:,} {words}" for which, words in more if self.ended[which]]
        return f"{'aborted ' if yes and (count or self.left) else ''}{uploads}{size}{''.join(told)}"


def _date(seconds: float | None) -> str:
    if seconds is None:
        return "at a time unknown"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
