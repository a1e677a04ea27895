"""Takes up uploads in parts that an earlier run has left unfinished, so that only what is missing is sent.

Rules:

* The store says which parts there are (ListParts).  A part is taken up if it is that of the file as it is
  now: its number and size fit, and the journal knows its ETag of this very version of the file; or else its
  bytes were read, and their checksum or MD5 is that which the store has.  All others are sent.
* What the journal knows is ours.  Of several uploads one is taken up, and the others are aborted, as is that
  of a file whose size has changed.
* What only the store knows (ListMultipartUploads) may be somebody else's.  It is taken up if all its parts
  are proven to be the file's; else it is left alone.  It is looked for where the user says so, and where the
  journal says that an upload was asked for whose ID it never got: then one without parts is ours, too.  The
  store may come to that request when its process is long dead, and the next one has looked: so it is looked
  for once more when the object is complete.
* What cannot be found out costs nothing but the resumption: the object is sent as any other is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from s3_upload.errors import SourceError
from s3_upload.http import SlicedBody
from s3_upload.observe.journal_rows import KnownUploads, PartRow
from s3_upload.parts import MAX_PART_BYTES
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    LIST_MULTIPART_UPLOADS,
    LIST_PARTS,
    Checksum,
    CompletedPart,
    Operation,
    Page,
)
from s3_upload.s3.operations.list_multipart_uploads import ListedUpload, listed_uploads
from s3_upload.s3.operations.list_parts import ListedParts
from s3_upload.s3.proof import etag_of, same_etag
from s3_upload.s3.responses import listed_parts
from s3_upload.sources.files import Reader
from s3_upload.sources.version import Identity
from s3_upload.transfer.abort import Unfinished
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.reading import Offload
from s3_upload.transfer.record import Record
from s3_upload.transfer.request import Requests
from s3_upload.transfer.sliced import read_part
from s3_upload.transfer.tries import Request
from s3_upload.transfer.verdicts import GivenUp
from s3_upload.units import show_bytes

MAX_CANDIDATES = 5
"""Unfinished uploads of one key that are looked at, the newest first."""
CLOCK_ERROR_S = 900.0
"""How far the store's clock may be from ours: requests that differ by more are refused."""


class UploadsBefore(Protocol):
    """What is known of earlier runs. Blocking. `works`: whether what this one does is known to the next."""

    @property
    def works(self) -> bool: ...
    def known_uploads(self, key: str) -> KnownUploads: ...
    def begin_creating(self, key: str) -> None: ...
    def end_upload(self, upload_id: str) -> None: ...


class TakenUp(msgspec.Struct, frozen=True):
    """An upload that is gone on with, in parts of `part_size`, of which the store has `stored`.

    `known`: those of them that the journal knows.
    """

    upload_id: str
    part_size: int
    checksum_type: str
    stored: Mapping[int, CompletedPart]
    known: frozenset[int] = frozenset()


class Resume(msgspec.Struct, frozen=True):
    """What a run is told: what a journal knows (`before`), and whether what it does not is asked for."""

    before: UploadsBefore | None
    asks_store: bool = False


class Resumption:
    """See the module's rules. `uploads`, `bytes`: what was taken up."""

    def __init__(
        self,
        resume: Resume,
        *,
        reader: Reader,
        offload: Offload,
        memory: Memory,
        requests: Requests,
        unfinished: Unfinished,
    ) -> None:
        self._before = resume.before
        self._asks_store = resume.asks_store
        self._sides = _Sides(reader, offload, memory, requests, unfinished)
        self._asked_for_s: dict[str, float] = {}
        self.uploads = self.bytes = 0

    @property
    def keeps(self) -> bool:
        """Whether the next run will find what this one leaves unfinished."""
        return self._asks_store or (self._before is not None and self._before.works)

    def notes(self, kept: int) -> list[str]:
        """What there is to say of it; `kept`: uploads that are left for the next run."""
        notes = []
        if self.uploads:
            what = "an upload in parts" if self.uploads == 1 else f"{self.uploads:,} uploads in parts"
            notes.append(f"went on with {what}, of which the store had {show_bytes(self.bytes)}")
        if kept:
            what = "an upload in parts is" if kept == 1 else f"{kept:,} uploads in parts are"
            notes.append(f"{what} left in the store for the next run to go on with")
        return notes

    async def creating(self, key: str) -> None:
        """An upload of that key is asked for in a moment."""
        if self._before is not None:
            await self._sides.offload(self._before.begin_creating, key)

    async def take_up(
        self, record: Record, operation: Operation, identity: Identity, max_count: int
    ) -> TakenUp | None:
        """What there is of the object that `operation` would create. Raises `RunError`."""
        search = _Search(self._sides, record, operation, identity, max_count)
        known = KnownUploads(())
        if self._before is not None:
            known = await self._sides.offload(self._before.known_uploads, record.key)
        if known.creating_since_s is not None:
            self._asked_for_s[record.key] = known.creating_since_s
        taken = await self._of_journal(search, known)
        if self._asks_store or known.creating_since_s is not None:
            taken = await self._of_store(search, known, taken)
        if taken is not None:
            self.uploads += 1
            self.bytes += sum(part.size for part in taken.stored.values())
        return taken

    async def completed(
        self, record: Record, operation: Operation, identity: Identity, max_count: int
    ) -> None:
        """The object is complete: what an earlier run has asked for, and the store came to only now, ends."""
        since_s = self._asked_for_s.pop(record.key, None)
        if since_s is None:
            return
        search = _Search(self._sides, record, operation, identity, max_count)
        for upload in await search.in_store():
            if _is_since(upload, since_s):
                listed = await search.listed(upload.upload_id)
                if listed is not None and not listed.parts:
                    await search.abort(upload.upload_id)

    async def _of_journal(self, search: _Search, known: KnownUploads) -> TakenUp | None:
        assert self._before is not None or not known.uploads
        taken: TakenUp | None = None
        for row, parts in reversed(known.uploads):
            found = None
            if row.size == search.identity.size and taken is None:
                is_same = (row.mtime_ns, row.ctime_ns) == (search.identity.mtime_ns, search.identity.ctime_ns)
                candidate = _Candidate(row.upload_id, row.part_size, row.algorithm, row.checksum_type)
                found = await search.ours(candidate, parts if is_same else {})
            taken = taken or found
            if found is None:
                await search.abort(row.upload_id)
                await self._sides.offload(self._before.end_upload, row.upload_id)  # type: ignore[union-attr]
        return taken

    async def _of_store(self, search: _Search, known: KnownUploads, taken: TakenUp | None) -> TakenUp | None:
        ours = {row.upload_id for row, _ in known.uploads}
        for upload in await search.in_store():
            if upload.upload_id in ours:
                continue
            listed = await search.listed(upload.upload_id)
            if listed is None:
                continue
            since_s = known.creating_since_s
            if not listed.parts and since_s is not None and _is_since(upload, since_s):
                await search.abort(upload.upload_id)
            elif listed.parts and taken is None:
                taken = await search.anybodys(upload, listed)
        return taken


def _is_since(upload: ListedUpload, since_s: float) -> bool:
    return upload.initiated_s is None or upload.initiated_s > since_s - CLOCK_ERROR_S


class _Sides(msgspec.Struct, frozen=True):
    reader: Reader
    offload: Offload
    memory: Memory
    requests: Requests
    unfinished: Unfinished


class _Candidate(msgspec.Struct, frozen=True):
    upload_id: str
    part_size: int
    algorithm: str
    checksum_type: str


class _Search:
    """For the unfinished uploads of one file, which `identity` names."""

    def __init__(
        self, sides: _Sides, record: Record, operation: Operation, identity: Identity, max_count: int
    ) -> None:
        self._sides = sides
        self.identity = identity
        self._record = record
        self._operation = operation
        self._max_count = max_count

    async def ours(self, candidate: _Candidate, known: Mapping[int, PartRow]) -> TakenUp | None:
        """What there is of an upload of ours; None where nothing is, or nothing that could go on.  `known`:
        parts of this version of the file."""
        listed = await self.listed(candidate.upload_id)
        if listed is None or not self._goes_on(candidate):
            return None
        stored: dict[int, CompletedPart] = {}
        for number, part in listed.parts.items():
            row = known.get(number)
            if part.size != self._size(number, candidate.part_size):
                continue
            if row is not None and row.size == part.size and same_etag(row.etag, part.etag):
                checksum = Checksum(candidate.algorithm, row.checksum) if row.checksum else None
                stored[number] = CompletedPart(number, part.etag, checksum, part.size)
            elif (proven := await self._proven(part, candidate.part_size)) is not None:
                stored[number] = proven
        if not stored:
            return None
        in_journal = frozenset(known) & frozenset(stored)
        return TakenUp(candidate.upload_id, candidate.part_size, candidate.checksum_type, stored, in_journal)

    async def anybodys(self, upload: ListedUpload, listed: ListedParts) -> TakenUp | None:
        """What there is of an upload that may be ours: all, or nothing."""
        part_size = max(part.size for part in listed.parts.values())
        algorithm = (listed.checksum_algorithm or upload.checksum_algorithm).upper()
        kind = (listed.checksum_type or upload.checksum_type).upper() if algorithm else ""
        candidate = _Candidate(upload.upload_id, part_size, algorithm, kind)
        if not part_size or not self._goes_on(candidate):
            return None
        if any(part.size != self._size(number, part_size) for number, part in listed.parts.items()):
            return None
        stored: dict[int, CompletedPart] = {}
        for number, part in sorted(listed.parts.items()):
            proven = await self._proven(part, part_size)
            if proven is None:
                return None
            stored[number] = proven
        return TakenUp(upload.upload_id, part_size, kind, stored)

    def _goes_on(self, candidate: _Candidate) -> bool:
        """Whether parts can be added to it as they are sent here."""
        own = self._sides.reader.digests.algorithm
        count = -(-self.identity.size // max(candidate.part_size, 1))
        return (
            candidate.algorithm in ("", own)
            and 0 < candidate.part_size <= MAX_PART_BYTES
            and count <= self._max_count
        )

    def _size(self, number: int, part_size: int) -> int:
        """What the part of that number has to have; less than 0 where there is none."""
        return min(part_size, self.identity.size - (number - 1) * part_size)

    async def _proven(self, part: CompletedPart, part_size: int) -> CompletedPart | None:
        """`part`, with the checksum of our own, if the store has what the file has there."""
        sides, offset = self._sides, (part.number - 1) * part_size
        in_slices = not sides.memory.fits(part.size)
        # A part in slices is hashed and let go: its own checksum alone can prove it.
        room = 0 if in_slices else part.size
        async with sides.memory.holding(room):
            try:
                body = await read_part(
                    sides.reader, sides.offload, self._record.source.path, self.identity,
                    offset=offset, size=part.size, in_slices=in_slices,
                )  # fmt: skip
            except SourceError:
                return None
            own, has = body.checksum, part.checksum
            same = (
                own is not None
                and has is not None
                and (own.algorithm, own.value) == (has.algorithm, has.value)
            )
            if not same and not isinstance(body.body, SlicedBody):
                same = same_etag(part.etag, await sides.offload(etag_of, body.body))
        return CompletedPart(part.number, part.etag, own, part.size) if same else None

    async def listed(self, upload_id: str) -> ListedParts | None:
        """All its parts; None where there is no such upload, or where that cannot be known."""
        parts: dict[int, CompletedPart] = {}
        behind = 0
        while True:
            listing = msgspec.structs.replace(
                self._operation, name=LIST_PARTS, upload_id=upload_id, part_number=behind, checksum=None
            )
            try:
                answer = await self._sides.requests.make(Request(self._record, listing, may_be_missing=True))
            except GivenUp:
                return None
            if answer.status == 404:
                return None
            page = listed_parts(answer)
            parts |= page.parts
            if page.next_marker is None or page.next_marker <= behind:
                return msgspec.structs.replace(page, parts=parts)
            behind = page.next_marker

    async def in_store(self) -> Sequence[ListedUpload]:
        """The unfinished uploads of this very key, the newest first."""
        listing = msgspec.structs.replace(
            self._operation, name=LIST_MULTIPART_UPLOADS, page=Page(prefix=self._record.key), checksum=None
        )
        try:
            # Some stores have no list where nothing was ever sent in parts.
            answer = await self._sides.requests.make(Request(self._record, listing, may_be_missing=True))
        except GivenUp:
            return ()
        found = [upload for upload in listed_uploads(answer).uploads if upload.key == self._record.key]
        return sorted(found, key=lambda upload: -(upload.initiated_s or 0.0))[:MAX_CANDIDATES]

    async def abort(self, upload_id: str) -> None:
        """As well as it can be done: what is left is found once more, or ended by a rule of the bucket's."""
        abort = msgspec.structs.replace(
            self._operation, name=ABORT_MULTIPART_UPLOAD, upload_id=upload_id, checksum=None
        )
        try:
            await self._sides.requests.make(Request(self._record, abort))
        except GivenUp as in_vain:
            if in_vain.error.kind.retried:
                self._sides.unfinished.try_later(abort)
