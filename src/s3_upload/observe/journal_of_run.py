"""The journal of one run: what earlier ones did, and what this one does.

Rules:

* It is a fold over the events of a run.  A thread writes what they tell, WRITE_EVERY_S at the latest, so that
  the event loop never waits for a disk; where MAX_WAITING rows wait for a slow one, the run does too.
* A source is done when its object was proven to be in the store and the file is still that version: the
  same path, from whichever directory it is named, size and time of modification.  The store is not asked.
* What the store has of files in parts is known by the IDs of the uploads, the parts and their checksums.
  These are parts of one version of the file: when it is another, all that are not told again are forgotten.
  That an upload is about to be created is written before it is asked for: if the answer is lost, the next
  run looks for the upload.
* An upload of whose key an object is complete in one request is outlived: nobody goes on with it, and the end
  of a run aborts it.  So is that of a stream, once its run is over.
* It is no source itself: where it lies among them, it and what SQLite keeps beside it are skipped.
* A journal that cannot be written any more (a full disk) ends, and says so; the run goes on without.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from s3_upload.errors import ConfigError
from s3_upload.observe.events import Event, Listening, ObjectEnded, PartStored, UploadCreated
from s3_upload.observe.journal_content import Lookup
from s3_upload.observe.journal_file import JournalFile, UnwritableError
from s3_upload.observe.journal_rows import (
    DONE,
    FAILED,
    LAST_RUN,
    LEFT,
    Done,
    KnownUploads,
    ObjectRow,
    PartRow,
    Revisit,
    Row,
    State,
    Tally,
    UploadRow,
    row_of_part,
    row_of_upload,
    went_whole,
)
from s3_upload.report import SKIPPED, SUCCESS, UploadReport
from s3_upload.sources.own_journals import Parts
from s3_upload.sources.source import Here, ObjectSource, info_of
from s3_upload.sources.version import NO_TIME_NS
from s3_upload.sources.walk import Entry, PlainFiles
from s3_upload.text import unicode_of
from s3_upload.threads import DaemonThreads

WRITE_EVERY_S = 0.02
MAX_WAITING = 20_000
"""Rows; of 300 bytes each."""
MAX_REVISITED = 64
"""Sources that are done and about which the store is asked at a time."""
T = TypeVar("T")
Files = Iterable[ObjectSource] | AsyncIterable[ObjectSource]
LEFT_UNKNOWN = ""


class Before(msgspec.Struct, frozen=True):
    """What earlier runs did of those sources that this one has come to."""

    files: int = 0
    bytes: int = 0


class Heard:
    """Rows that wait to be written."""

    def __init__(self) -> None:
        self.objects: deque[Row] = deque()
        self.in_parts: deque[UploadRow | PartRow] = deque()
        self.ended: deque[str] = deque()
        self.outlived: deque[str] = deque()
        self.freed: deque[str] = deque()


class Writer:
    """Writes what is `heard`, in a thread of its own. `problem`: why it has stopped, "" while it has not."""

    def __init__(self, file: JournalFile, heard: Heard) -> None:
        self.problem = ""
        self.closed = False
        self._file = file
        self._heard = heard
        self._lock = threading.Lock()  # over those who write
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="s3-upload-journal", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """No more is begun while the disk is slow."""
        return len(self._heard.objects) > MAX_WAITING and not self.problem

    def wake(self) -> None:
        """What there is, is written now."""
        self._wake.set()

    def close(self) -> None:
        """Writes what is left. Blocks for the disk."""
        self.closed = True
        self._wake.set()
        self._thread.join()

    def flush(self) -> None:
        """Writes what there is."""
        heard = self._heard
        with self._lock:
            # In this order: what came before any of these is taken with it.
            objects, ended, outlived = _taken(heard.objects), _taken(heard.ended), _taken(heard.outlived)
            in_parts, freed = _taken(heard.in_parts), _taken(heard.freed)
            if (objects or in_parts or ended or outlived or freed) and not self.problem:
                try:
                    self._file.write(objects, in_parts, ended, outlived=outlived, freed=freed)
                # Whatever it is: who waits for room would wait for ever.
                except Exception as error:
                    self.problem = f"{error}; what is uploaded from now on is not in it"

    def _write_on(self) -> None:
        while not self.closed:
            self._wake.wait(WRITE_EVERY_S)
            self._wake.clear()
            self.flush()
        self.flush()


class JournalOfRun:
    """An open journal, to be closed. `before`: see `Before`.

    `about["destination"]` has to be that of the runs before; where `about["said"]`, what is said of objects
    beside their bytes, has changed, all are sent again, those in parts from their first one: the store goes
    by what was said when an upload was created.
    """

    def __init__(self, file: JournalFile, about: Mapping[str, str]) -> None:
        self.before = Before()
        self._file = file
        self._heard = Heard()
        self._here = Here()
        self._parts = Parts(file.path)
        self._seen = self._ended = 0
        self._walk_ended = False
        self._twice: set[str] = set()
        self._outlived: dict[str, str] = {}
        """Keys of uploads, by their IDs."""
        self._unmet: set[str] = set()
        """Keys of files of which earlier runs have left parts, and that are not among the sources so far."""
        self._revisiting: Future[Sequence[ObjectSource]] | None = None
        try:
            self._in_parts = self._begin(about)
        except sqlite3.Error as error:
            file.close()
            raise UnwritableError(f"{file.path}: the journal cannot be written: {error}") from error
        except BaseException:
            file.close()
            raise
        self._writer = Writer(file, self._heard)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def path(self) -> str:
        return self._file.path

    @property
    def listening(self) -> Listening:
        """For the `events` of a run."""
        return Listening(self._hear, frozenset({ObjectEnded, UploadCreated, PartStored}))

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of it, in phrases."""
        notes = []
        if self._file.aside:
            notes.append(
                f"the journal could not be used, and is now {self._file.aside}: all is uploaded again"
            )
        if self.before.files:
            count = "1 file was" if self.before.files == 1 else f"{self.before.files:,} files were"
            notes.append(f"{count} uploaded by earlier runs (journal: {self.path})")
        if self._walk_ended and self._unmet:
            whose = "1 file that is" if len(self._unmet) == 1 else f"{len(self._unmet):,} files that are"
            notes.append(
                f"parts of {whose} not among the sources any more may be left in the store "
                f"({min(self._unmet)}): s3-upload clean lists and removes them"
            )
        if self._writer.problem:
            notes.append(f"the journal {self.path} has stopped: {self._writer.problem}")
        return tuple(notes)

    @property
    def works(self) -> bool:
        """Whether what it hears is written, and the next run will find it."""
        return not self._writer.problem and self._file.is_there

    def tally(self) -> Tally:
        """What it has, when all that was heard is written."""
        self._writer.flush()
        self._file.sort_in()
        return self._file.tally()

    def left(self, files: Files, revisit: Revisit | None = None) -> Files:
        """Those of `files` that are not done, and those of the others that `revisit` gives back. With that it
        is called on the loop."""
        if isinstance(files, AsyncIterable):
            return self._left_async(files, revisit)
        loop = None if revisit is None else asyncio.get_running_loop()

        def settle(done: list[Done]) -> Sequence[ObjectSource]:
            if revisit is None or loop is None or not done:
                return ()
            self._revisiting = asyncio.run_coroutine_threadsafe(revisit(done), loop)
            return self._revisiting.result()

        return self._left(files, settle)

    def left_of(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Those of a walk that are not done; nothing is counted."""
        lookup, here = Lookup(self._file), self._here
        for entry in map(self._parts.left_of, entries):
            if not self._known:
                yield entry
            elif isinstance(entry, PlainFiles):
                base, prefix, names = entry
                left = [name for name in names if not knows(lookup, prefix + name, base + name, here)]
                if left:
                    yield PlainFiles(base, prefix, left)
            elif not (entry.is_file and knows(lookup, entry.key, entry.path, here)):
                yield entry

    def close(self) -> None:
        """Writes what is left. Blocks for the disk."""
        if self._writer.closed:
            return
        if self._revisiting is not None:  # its run has ended, and nobody waits for it
            self._revisiting.cancel()
        self._writer.close()
        if not self._file.is_there:
            self._writer.problem = (
                self._writer.problem or "its file was removed or replaced; another run sends all again"
            )
        try:
            left = self._seen - self.before.files - self._ended
            self._file.set_about({LEFT: str(left) if self._walk_ended else LEFT_UNKNOWN})
        except sqlite3.Error as error:
            self._writer.problem = self._writer.problem or str(error)
        self._file.close()

    # --- of uploads in parts; blocking ---------------------------------------------------------------

    def known_uploads(self, key: str) -> KnownUploads:
        """What earlier runs left of the object of that key."""
        try:
            return self._file.known_uploads(key)
        except sqlite3.Error:  # the file has come to harm since, and what it knew is lost
            return KnownUploads(())

    def begin_creating(self, key: str) -> None:
        """An upload of that key is asked for in a moment."""
        with suppress(sqlite3.Error):  # of which the writer tells
            self._file.begin_creating(key)

    def end_upload(self, upload_id: str) -> None:
        """The store has nothing of it any more, or it is not ours."""
        self._outlived.pop(upload_id, None)
        with suppress(sqlite3.Error):
            self._file.write((), freed=(upload_id,))

    # --- of those that are outlived; on the loop -----------------------------------------------------

    def outlived(self) -> Sequence[tuple[str, str]]:
        """Keys and IDs of uploads that nobody goes on with."""
        return [(key, upload_id) for upload_id, key in tuple(self._outlived.items())]

    def freed(self, upload_id: str) -> None:
        """The store has nothing of that upload any more."""
        self._outlived.pop(upload_id, None)
        self._heard.freed.append(upload_id)

    # --- what is done --------------------------------------------------------------------------------

    def _begin(self, about: Mapping[str, str]) -> dict[str, set[str]]:
        """Returns the IDs of the uploads that there are of each key."""
        was = self._file.about()
        check_job(self.path, was, about)
        about = {"said": "", **about}
        self._known = self._file.has_objects()
        if is_said_otherwise(was, about):
            self._file.forget_objects()
            self._known = False
        self._file.forget_failed()
        self._file.set_about({**about, LEFT: LEFT_UNKNOWN, LAST_RUN: f"{time.time():.0f}"})
        found: dict[str, set[str]] = {}
        self._file.outlive_streams()
        for row in self._file.uploads():
            # Of a stream it is no upload of the object that is sent now, and ends by itself.
            if row.size:
                found.setdefault(row.key, set()).add(row.upload_id)
            if not row.part_size:
                self._outlived[row.upload_id] = row.key
            elif row.size:
                self._unmet.add(row.key)
        return found

    def _left(
        self, files: Iterable[ObjectSource], settle: Callable[[list[Done]], Sequence[ObjectSource]]
    ) -> Iterator[ObjectSource]:
        lookup, done = Lookup(self._file), list[Done]()
        for source in map(self._parts.passed_over, files):
            self._meet(source)
            # In a thread, which may wait.
            while self._writer.full:
                time.sleep(WRITE_EVERY_S)
            found = self._done(lookup, source) if self._known else None
            if found is None:
                yield source
                continue
            done.append(found)
            if len(done) >= MAX_REVISITED:
                yield from self._counted(done, settle(done))
                done = []
        yield from self._counted(done, settle(done))
        self._walk_ended = True

    async def _left_async(
        self, files: AsyncIterable[ObjectSource], revisit: Revisit | None
    ) -> AsyncIterator[ObjectSource]:
        lookup = Lookup(self._file)
        with closing(DaemonThreads(1, "s3-upload-source")) as threads:
            async for given in files:
                source = self._parts.passed_over(given)
                self._meet(source)
                while self._writer.full:  # noqa: ASYNC110 - a thread's
                    await asyncio.sleep(WRITE_EVERY_S)
                found = await threads.call(partial(self._done, lookup, source)) if self._known else None
                if found is None:
                    yield source
                    continue
                for again in self._counted([found], () if revisit is None else await revisit([found])):
                    yield again
        self._walk_ended = True

    def _meet(self, source: ObjectSource) -> None:
        self._seen += 1
        if self._unmet and isinstance(source, ObjectSource):
            self._unmet.discard(source.key)

    def _done(self, lookup: Lookup, source: ObjectSource) -> Done | None:
        if not isinstance(source, ObjectSource) or not source.is_file or source.problem or source.skip_reason:
            return None
        if source.key in self._twice:
            return None
        found = _state(lookup, source.key)
        if found is None:
            return None
        if _is_same(found, self._here.whole(source.path)):
            return Done(source, found[1], found[4], found[2])
        # Of two sources with one key the journal knows the last. Were that skipped when its turn comes, the
        # first would have overwritten it.
        if _is_same(found, found[0]):
            self._twice.add(source.key)
        return None

    def _counted(self, done: Sequence[Done], again: Sequence[ObjectSource]) -> Sequence[ObjectSource]:
        """Those that go again; the others have been done before."""
        goes = set(map(id, again))
        stay = [one for one in done if id(one.source) not in goes] if goes else done
        self.before = Before(self.before.files + len(stay), self.before.bytes + sum(one.size for one in stay))
        return again

    # --- what is heard -------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        if type(event) is ObjectEnded:
            report = event.report
            # What failed is told apart; what was skipped is nothing that another run would upload.
            self._ended += 1
            if report.outcome == SUCCESS:
                is_known = report.mtime_ns != NO_TIME_NS
                source = self._here.whole(report.source) if is_known else report.source
                # An `ObjectRow`, as a plain tuple: there are many, and each is only written.
                self._heard.objects.append(
                    (
                        report.key, unicode_of(source), report.bytes, report.mtime_ns, DONE,
                        report.etag, report.checksum_algorithm, report.checksum, "",
                    )
                )  # fmt: skip
                if report.key in self._in_parts:
                    self._is_complete(report)
            elif report.outcome != SKIPPED:
                key, source = unicode_of(report.key), unicode_of(report.source)
                why = unicode_of(str(report.error or report.reason or report.outcome))
                self._heard.objects.append(ObjectRow(key, source, report.bytes, NO_TIME_NS, FAILED, why=why))
        elif type(event) is UploadCreated:
            self._in_parts.setdefault(event.key, set()).add(event.upload_id)
            self._heard.in_parts.append(row_of_upload(event))
            # An upload that nobody knows of costs its owner money.
            self._writer.wake()
        elif type(event) is PartStored:
            self._heard.in_parts.append(row_of_part(event))

    def _is_complete(self, report: UploadReport) -> None:
        """An object of whose key there are uploads in parts."""
        upload_ids = self._in_parts.pop(report.key)
        if went_whole(report):
            # They are of what the file was before, and the store still has them.
            self._outlived |= dict.fromkeys(upload_ids, report.key)
            self._heard.outlived.append(report.key)
            return
        for upload_id in upload_ids:
            self._outlived.pop(upload_id, None)
        self._heard.ended.append(report.key)


def check_job(path: str, was: Mapping[str, str], about: Mapping[str, str]) -> None:
    """Raises `ConfigError` where the journal at `path` `was` that of another job than `about`."""
    where, there = about.get("destination", ""), was.get("destination", "")
    if there and there != where:
        raise ConfigError(
            f"{path}: is the journal of another job, to {there}, and this one is to {where}: name that store "
            "(--endpoint-url, --region, --profile), or another journal"
        )


def is_said_otherwise(was: Mapping[str, str], about: Mapping[str, str]) -> bool:
    """Whether other things are said of objects than before, so that all are sent again."""
    return bool(was) and was.get("said", "") != about["said"]


def knows(lookup: Lookup, key: str, path: str, here: Here) -> State | None:
    """What a journal says of the object of that key, if that is done and the file still is what was sent."""
    found = _state(lookup, key)
    return found if found is not None and _is_same(found, here.whole(path)) else None


def _state(lookup: Lookup, key: str) -> State | None:
    try:
        return lookup.state_of(key)
    # It is closed, or has come to harm since; or the key is not valid Unicode, and no object has it.
    except (sqlite3.Error, UnicodeEncodeError):
        return None


def _is_same(found: State, path: str) -> bool:
    """Whether the file at the whole `path` is done as it is now, by what a journal says of its key."""
    was_at, size, mtime_ns, state, _ = found
    if state != DONE or mtime_ns == NO_TIME_NS:
        return False
    # The same, written otherwise ("a" and "./a"): dots are taken out, links stay links.
    if was_at != path and os.path.normpath(was_at) != os.path.normpath(unicode_of(path)):
        return False
    info = info_of(path)
    return info is not None and info.st_size == size and info.st_mtime_ns == mtime_ns


def _taken(rows: deque[T]) -> list[T]:
    """All that were there; the event loop adds others meanwhile."""
    return [rows.popleft() for _ in range(len(rows))]
