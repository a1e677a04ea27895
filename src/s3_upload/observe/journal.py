"""`Journal`: a handle on the file in which a job is written down, so that it can be run again.

`journal_of_run.py` says what is written, and `journal_file.py` how.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from s3_upload.checks import must_be

if TYPE_CHECKING:
    from s3_upload.observe.journal_file import JournalFile
    from s3_upload.observe.journal_of_run import JournalOfRun
    from s3_upload.observe.journal_rows import Revisit
    from s3_upload.sources.walk import Entry

MAX_TRIES = 50
TRY_EVERY_S = 0.1
"""Who only looks (a dry run, `jobs`) has a journal for a moment, or for seconds where it tells of a million
objects: a run that begins meanwhile tries for five."""


class Journal:
    """The journal in the file at `path`, which is made by the first run that is given it.

        upload("photos", "s3://my-bucket/holidays", journal="holidays.journal")

    `about`: what is to be known of the job beside it.  `is_optional`: where none can be kept (on a full disk)
    the run goes without, and says so.  Raises `TypeError` for what is no path.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        about: Mapping[str, str] | None = None,
        *,
        is_optional: bool = False,
    ) -> None:
        must_be("path", path, (str, os.PathLike), "str or os.PathLike")
        self.path = os.fspath(path)
        self.about = about or {}
        self.is_optional = is_optional
        self.is_ours = False
        """Whether nobody has named it but this program: what is there, however damaged, was a journal."""
        self.unkept = ""
        """Why none is kept."""
        self.of_run: JournalOfRun | None = None
        """That of the last run which began."""
        self.revisit: Revisit | None = None
        """What the next run does with sources that are done; None: nothing."""
        self.keeps_times = False
        """Whether the next run says of each object when its file was modified."""

    def __repr__(self) -> str:
        return f"Journal({self.path!r})"


def journal_of(given: Journal | str | os.PathLike[str]) -> Journal:
    """What was given, as a journal. Raises `TypeError`."""
    return given if isinstance(given, Journal) else Journal(given)


def no_journal(why: str) -> str:
    """The note of a run that was to have one."""
    return f"no journal is kept, so another run sends everything again: {why}"


def begin(
    journal: Journal, about: Mapping[str, str], pause: Callable[[float], bool | None] = time.sleep
) -> JournalOfRun | None:
    """Opens it for one run. `about`: what the job is. None where it is optional, and cannot be kept.

    `pause` waits so many seconds, and returns True where nobody wants the journal any more.
    Raises `ConfigError` where another run keeps it, where it is that of another job, and for a file
    that is no journal.
    """
    # Here: SQLite takes time to load, and few runs need it.
    from s3_upload.observe.journal_file import UnwritableError
    from s3_upload.observe.journal_of_run import JournalOfRun

    try:
        journal.of_run = JournalOfRun(_opened(journal, pause), {**journal.about, **about})
    except UnwritableError as error:
        if not journal.is_optional:
            raise
        journal.of_run, journal.unkept = None, str(error)
    return journal.of_run


def _opened(journal: Journal, pause: Callable[[float], bool | None]) -> JournalFile:
    from s3_upload.observe.journal_file import InUseError, JournalFile

    for _ in range(MAX_TRIES - 1):
        try:
            return JournalFile(journal.path, is_ours=journal.is_ours)
        except InUseError:
            if pause(TRY_EVERY_S):
                raise
    return JournalFile(journal.path, is_ours=journal.is_ours)


def revisit_by(journal: Journal, revisit: Revisit | None) -> None:
    """See `Journal.revisit`."""
    journal.revisit = revisit


def left_of(journal: Journal, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Those of a walk that are not done, as far as a run has begun that knows."""
    return iter(entries) if journal.of_run is None else journal.of_run.left_of(entries)
