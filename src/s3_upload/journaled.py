"""A run with its journal: opened before it, told of all that happens, and closed behind it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from s3_upload.observe.events import Events, Listening
from s3_upload.observe.journal import Journal, begin, journal_of, no_journal
from s3_upload.report import UploadSummary, broken_off
from s3_upload.sources.content_type import Guess
from s3_upload.threads import DaemonThreads
from s3_upload.transfer.guard import undisturbed
from s3_upload.transfer.pulling import Sources
from s3_upload.transfer.resume import Resume

if TYPE_CHECKING:
    from s3_upload.observe.journal_of_run import JournalOfRun


def job_of(
    endpoint: str, bucket: str, default_request: object, *, keeps_times: bool = False
) -> dict[str, str]:
    """What tells a job from others: where to, and what is said of objects beside their bytes.  `keeps_times`:
    that of the files, too."""
    said = default_request.said if isinstance(default_request, Guess) else ""
    said += " and their times" if keeps_times else ""
    digest = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:16] if said else ""
    about = {"destination": f"s3://{bucket} at {endpoint}"}
    return about | {"said": digest} if digest else about


class Journaled(msgspec.Struct, frozen=True):
    """A run's files and events, with what a journal adds to them; `resume`: what it goes on with.

    `journal`: None for none; `unkept`: why none is kept that was to be.
    """

    files: Sources
    events: Events
    resume: Resume | None = None
    journal: JournalOfRun | None = None
    unkept: str = ""

    def noted(self, summary: UploadSummary) -> UploadSummary:
        """What there is to say of the journal, which is closed by now, is said, too."""
        notes = () if self.journal is None else self.journal.notes
        if self.unkept:
            notes = (no_journal(self.unkept),)
        return msgspec.structs.replace(summary, notes=(*summary.notes, *notes))


@asynccontextmanager
async def journaled(
    given: Journal | str | os.PathLike[str] | None,
    about: Mapping[str, str],
    run: Journaled,
    *,
    resume_multipart: bool,
) -> AsyncIterator[Journaled]:
    """Within, `run` goes with the journal. Raises `ConfigError` and `TypeError`."""
    without = msgspec.structs.replace(run, resume=Resume(None, asks_store=True) if resume_multipart else None)
    if given is None:
        yield without
        return
    kept, handle = run, journal_of(given)

    def noted(summary: UploadSummary) -> UploadSummary:
        return kept.noted(summary)  # of that moment

    with broken_off(noted):
        async with _opened(handle, about) as journal:
            if journal is None:
                kept = msgspec.structs.replace(without, unkept=handle.unkept)
            else:
                kept = Journaled(
                    journal.left(run.files, handle.revisit),
                    # First: what others raise ends the run, and the object is there all the same.
                    Events([journal.listening, Listening(run.events.tell, run.events.kinds)]),
                    Resume(journal, resume_multipart),
                    journal,
                )
            yield kept


@asynccontextmanager
async def _opened(journal: Journal, about: Mapping[str, str]) -> AsyncIterator[JournalOfRun | None]:
    """Opened and closed in a thread, where SQLite may wait for its disk. None where none can be kept."""
    threads = DaemonThreads(1, "s3-upload-journal")
    opened: list[JournalOfRun | None] = []
    over = threading.Event()

    def close() -> None:
        for each in opened:
            if each is not None:
                each.close()

    try:
        await threads.call(lambda: opened.append(begin(journal, about, over.wait)))
        yield opened[0]
    finally:
        over.set()  # who waits for the journal need not
        # Behind the opening, where somebody was cancelled during that.
        try:
            await undisturbed(threads.call(close))
        finally:
            threads.close()
