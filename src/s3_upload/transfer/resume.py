"""Takes up uploads in parts that an earlier run has left unfinished, so that only what is missing is sent.

Rules:

* The store says which parts there are (ListParts).  A part is taken up if it is that of the file as it is
  now: its number and size fit, and the journal knows its ETag of this very version of the file; or else its
  bytes were read, and their checksum or MD5 is that which the store has.  All others are sent.
* What the journal knows is ours.  Of several uploads one is taken up, and the others are aborted, as is that
  of a file whose size has changed.  Where it has shrunk so far that it goes in one request nobody asks: such
  uploads are aborted at the end of the run.
* One that the store does not know any more may be complete: its process was killed before it knew.  Then the
  object proves it (HeadObject), by the parts that the journal knows and those that the file has now.
* What only the store knows (ListMultipartUploads) may be somebody else's.  It is taken up if all its parts
  are proven to be the file's; else it is left alone.  It is looked for where the user says so, and where the
  journal says that an upload was asked for whose ID it never got: then one without parts is ours, too.  The
  store may come to that request when its process is long dead, and the next one has looked: so it is looked
  for once more when the object is complete; and so where this run has asked twice, since the answer was lost.
* Who goes by the store alone knows nothing of an upload without parts: the end of a run leaves none for it.
* What was said of an object when its upload was begun is said of it for good, and no store tells it before
  the object is complete.  The journal knows a hash of it: with another one nobody goes on with that upload.
  Where nobody knows it, the object is looked at when it is complete (HeadObject).  If it lacks something that
  is asked for now, it is sent again from its beginning, and no other of its uploads is looked for.
* What the store refuses to tell costs nothing but the resumption: the object is sent as any other is.  Where
  it does not answer, the object fails, and what the store may have is kept for the next run.  Where something
  else answers for it that an upload is gone (a web server's own 404 page), the object is sent as any other,
  and that upload is aborted only when it is complete: then the store was there.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Protocol

import msgspec

from s3_upload.observe.journal_rows import KnownUploads
from s3_upload.request_fields import RequestFields
from s3_upload.s3.fields import mark_of
from s3_upload.s3.operations import ABORT_MULTIPART_UPLOAD, Operation
from s3_upload.s3.operations.list_multipart_uploads import ListedUpload
from s3_upload.s3.proof import missing_field
from s3_upload.sources.version import Identity
from s3_upload.transfer.inquiry import question_about
from s3_upload.transfer.record import Record
from s3_upload.transfer.resume_search import Search, Sides, TakenUp, is_hearsay
from s3_upload.transfer.verdicts import GivenUp
from s3_upload.units import show_bytes

CLOCK_ERROR_S = 900.0
"""How far the store's clock may be from ours: requests that differ by more are refused."""


class UploadsBefore(Protocol):
    """What is known of earlier runs. Blocking, but for the last two. `works`: whether what this one does is
    known to the next.  `outlived`: keys and IDs of uploads that nobody goes on with, since their objects are
    complete in one request; `freed`: the store has nothing of such a one any more."""

    @property
    def works(self) -> bool: ...
    def known_uploads(self, key: str) -> KnownUploads: ...
    def begin_creating(self, key: str) -> None: ...
    def end_upload(self, upload_id: str) -> None: ...
    def outlived(self) -> Sequence[tuple[str, str]]: ...
    def freed(self, upload_id: str) -> None: ...


class Resumed(msgspec.Struct):
    """What a run has gone on with, and how many uploads it leaves to the next one (`kept`).

    `misled`: how many of these had been begun without what is said now, and began again; `unseen`: of how
    many the store does not tell.
    """

    uploads: int = 0
    bytes: int = 0
    misled: int = 0
    unseen: int = 0
    kept: int = 0

    def add(self, other: Resumed) -> None:
        """Of another run of the same job."""
        self.uploads += other.uploads
        self.bytes += other.bytes
        self.misled += other.misled
        self.unseen += other.unseen
        self.kept += other.kept

    def notes(self) -> list[str]:
        """What there is to say of it."""
        notes = []
        if self.uploads:
            what = "an upload in parts" if self.uploads == 1 else f"{self.uploads:,} uploads in parts"
            notes.append(f"went on with {what}, of which the store had {show_bytes(self.bytes)}")
        if self.misled:
            which = f"{self.misled:,} of these had" if self.misled > 1 else "one of these had"
            notes.append(
                f"{which} been begun without what is said now, and was sent again from the beginning"
            )
        if self.unseen:
            which = f"{self.unseen:,} of these" if self.unseen > 1 else "one of these"
            notes.append(f"whether what is said now was said when {which} was begun, the store does not tell")
        if self.kept:
            what = "an upload in parts is" if self.kept == 1 else f"{self.kept:,} uploads in parts are"
            notes.append(f"{what} left in the store for the next run to go on with")
        return notes


class Resume(msgspec.Struct, frozen=True):
    """What a run is told: what a journal knows (`before`), and whether what it does not is asked for.

    `resumed`: where it is one of several of a job, which says itself what all of them came to.  `lost`: keys
    of objects that a process of this job had which has ended: it may have sent them.
    """

    before: UploadsBefore | None
    asks_store: bool = False
    resumed: Resumed | None = None
    lost: Container[str] = frozenset()


class Resumption:
    """See the module's rules."""

    def __init__(self, resume: Resume, sides: Sides) -> None:
        self._before = resume.before
        self._asks_store = resume.asks_store
        self._sides = sides
        self._asked_for_s: dict[str, float] = {}
        self._hearsay: dict[str, list[str]] = {}
        """IDs of uploads of which only something else says that they are gone, by their keys."""
        self._resumed = resume.resumed or Resumed()
        self._says = resume.resumed is None
        self._misled: set[str] = set()
        """Keys of objects that lacked what is asked for, since their uploads had been begun without it."""

    @property
    def keeps(self) -> bool:
        """Whether the next run will find what this one leaves unfinished."""
        return self._asks_store or self.keeps_without_parts

    @property
    def keeps_without_parts(self) -> bool:
        """The same of what has no part yet: of such a one the store does not tell whose it is."""
        return self._before is not None and self._before.works

    def notes(self, kept: int) -> list[str]:
        """What there is to say of it; `kept`: uploads that are left for the next run."""
        self._resumed.kept = kept
        return self._resumed.notes() if self._says else []

    async def creating(self, key: str) -> None:
        """An upload of that key is asked for in a moment."""
        if self._before is not None:
            await self._sides.offload(self._before.begin_creating, key)

    def asked_twice(self, key: str, since_s: float) -> None:
        """An upload of that key was asked for at `since_s` (seconds since the epoch), and again: the store
        may have begun two."""
        self._asked_for_s.setdefault(key, since_s)

    async def take_up(
        self, record: Record, operation: Operation, identity: Identity, max_count: int
    ) -> TakenUp | None:
        """What there is of the object that `operation` would create.

        Raises `GivenUp` where the store does not say, and `RunError`.
        """
        search = Search(self._sides, record, operation, identity, max_count)
        known = KnownUploads(())
        if self._before is not None:
            known = await self._sides.offload(self._before.known_uploads, record.key)
        if known.creating_since_s is not None:
            self._asked_for_s[record.key] = known.creating_since_s
        taken = await self._of_journal(search, known, mark_of(operation.fields))
        asks = self._asks_store or known.creating_since_s is not None
        if asks and record.key not in self._misled:
            taken = await self._of_store(search, known, taken)
        if taken is not None:
            self._sides.unfinished.spare(taken.upload_id)
            self._resumed.uploads += 1
            self._resumed.bytes += sum(part.size for part in taken.stored.values())
        return taken

    async def lacking(self, record: Record, operation: Operation) -> str:
        """What is asked for and not shown of an object, by its header; "" for nothing. It is complete, and
        nobody here knows what was said when its upload was begun. Raises `RunError`."""
        try:
            found = await self._sides.requests.make(
                question_about(record, operation, may_be_missing=True, patient=True)
            )
        except GivenUp:
            found = None
        # It is complete: who does not see it is not told what was said of it either.
        if found is None or found.status == 404:
            self._resumed.unseen += 1
            return ""
        lost = missing_field(operation.fields, found.headers)
        if lost:
            self._misled.add(record.key)
            # It begins again, but where nothing may be overwritten.
            self._resumed.misled += not operation.fields.if_none_match
        return lost

    async def completed(
        self, record: Record, operation: Operation, identity: Identity, max_count: int
    ) -> None:
        """The object is complete: what an earlier run has asked for, and the store came to only now, ends;
        so does what may be gone."""
        since_s, hearsay = self._asked_for_s.pop(record.key, None), self._hearsay.pop(record.key, ())
        if since_s is None and not hearsay:
            return
        search = Search(self._sides, record, operation, identity, max_count)
        for upload_id in hearsay:
            await search.abort(upload_id)
        if since_s is None:
            return
        for upload in await search.in_store():
            if _is_since(upload, since_s):
                listed = await search.listed(upload.upload_id)
                if listed is not None and not listed.parts and not listed.gone:
                    await search.abort(upload.upload_id)

    def outlived(self, bucket: str, fields: RequestFields) -> list[Operation]:
        """What aborts the uploads that nobody goes on with. `fields` say who pays, for one."""
        return [
            Operation(name=ABORT_MULTIPART_UPLOAD, bucket=bucket, key=key, upload_id=upload_id, fields=fields)
            for key, upload_id in (() if self._before is None else self._before.outlived())
        ]

    def freed(self, aborts: Iterable[Operation]) -> None:
        """Of these the store has nothing any more."""
        for abort in aborts:
            if self._before is not None:
                self._before.freed(abort.upload_id)

    async def _of_journal(self, search: Search, known: KnownUploads, said: str) -> TakenUp | None:
        assert self._before is not None or not known.uploads
        taken: TakenUp | None = None
        # The newest first: the others have parts of older tries.
        for row, parts in reversed(known.uploads):
            # This run may have begun it, and failed to abort it, which would be tried again.
            self._sides.unfinished.spare(row.upload_id)
            found = None
            if row.size == search.identity.size and row.said in ("", said) and taken is None:
                # Of another version each part is read and compared.
                is_same = (row.mtime_ns, row.ctime_ns) == (search.identity.mtime_ns, search.identity.ctime_ns)
                try:
                    found = await search.ours(row, parts if is_same else {}, may_be_complete=is_same)
                except GivenUp as given_up:
                    if not is_hearsay(given_up):
                        raise
                    self._hearsay.setdefault(row.key, []).append(row.upload_id)
                    continue
            taken = taken or found
            # Should it be gone, this costs a request, and the store says so.
            if found is None and await search.abort(row.upload_id):
                await self._sides.offload(self._before.end_upload, row.upload_id)  # type: ignore[union-attr]
        return taken

    async def _of_store(self, search: Search, known: KnownUploads, taken: TakenUp | None) -> TakenUp | None:
        ours = {row.upload_id for row, _ in known.uploads}
        for upload in await search.in_store():
            if upload.upload_id in ours:
                continue
            listed = await search.listed(upload.upload_id)
            if listed is None or listed.gone:
                continue
            since_s = known.creating_since_s
            # Nobody else would have begun one of this key in that time, and sent nothing.
            if not listed.parts and since_s is not None and _is_since(upload, since_s):
                await search.abort(upload.upload_id)
            elif listed.parts and taken is None:
                taken = await search.anybodys(upload, listed)
        return taken


def _is_since(upload: ListedUpload, since_s: float) -> bool:
    return upload.initiated_s is None or upload.initiated_s > since_s - CLOCK_ERROR_S
