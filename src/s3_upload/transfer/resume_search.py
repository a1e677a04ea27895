"""What the store has of an upload in parts that an earlier run has left, and whether it is the file's.

The rules are those of `resume.py`, which decides what to look for and what becomes of it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from s3_upload.errors import FailureKind, SourceError
from s3_upload.http import Body, SlicedBody
from s3_upload.observe.journal_rows import PartRow, UploadRow
from s3_upload.parts import MAX_PART_BYTES
from s3_upload.s3.checksum import header_of, whole
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
from s3_upload.s3.operations.list_parts import ListedParts, listed_parts
from s3_upload.s3.proof import disproof, etag_of, etag_of_parts, same_etag
from s3_upload.sources.files import Reader
from s3_upload.sources.version import Identity
from s3_upload.transfer.abort import Unfinished
from s3_upload.transfer.inquiry import question_about
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.parts_line import PartPlan
from s3_upload.transfer.reading import Offload
from s3_upload.transfer.record import Record
from s3_upload.transfer.request import Requests
from s3_upload.transfer.sliced import read_part
from s3_upload.transfer.tries import Request
from s3_upload.transfer.verdicts import GivenUp

MAX_CANDIDATES = 5
"""Unfinished uploads of one key that are looked at, the newest first."""


class TakenUp(msgspec.Struct, frozen=True):
    """An upload that is gone on with, in parts of `part_size`, of which the store has `stored`.

    `known`: those of them that the journal knows, or need not know.  `etag`: of the object, where it is
    complete.  `said`: see `UploadRow`, "" where nobody here knows that.
    """

    upload_id: str
    part_size: int
    checksum_type: str
    stored: Mapping[int, CompletedPart]
    known: frozenset[int] = frozenset()
    etag: str = ""
    said: str = ""


def _of_row(row: PartRow, algorithm: str) -> CompletedPart:
    checksum = Checksum(algorithm, row.checksum) if row.checksum else None
    return CompletedPart(row.number, row.etag, checksum, row.size)


class Sides(msgspec.Struct, frozen=True):
    reader: Reader
    offload: Offload
    memory: Memory
    requests: Requests
    unfinished: Unfinished


class Search(msgspec.Struct, frozen=True):
    """For the unfinished uploads of one file, which `identity` names."""

    sides: Sides
    record: Record
    operation: Operation
    identity: Identity
    max_count: int

    async def ours(
        self, begun: UploadRow, known: Mapping[int, PartRow], *, may_be_complete: bool
    ) -> TakenUp | None:
        """What there is of an upload of ours; None where nothing is, or nothing that could go on.  `known`:
        parts of this version of the file.

        Raises `GivenUp` where the store does not answer: then nothing is known of it, and it is to be kept.
        """
        listed = await self.listed(begun.upload_id, needed=True)
        if listed is None or not self._goes_on(begun.algorithm, begun.part_size):
            return None
        if listed.gone:
            return await self._if_complete(begun, known) if may_be_complete else None
        stored: dict[int, CompletedPart] = {}
        for number, part in listed.parts.items():
            row = known.get(number)
            # Nobody can mend a part but by sending it again.
            if part.size != self._size(number, begun.part_size):
                continue
            if row is not None and row.size == part.size and same_etag(row.etag, part.etag):
                stored[number] = _of_row(row, begun.algorithm)
            elif (proven := await self._proven(part, begun.part_size)) is not None:
                stored[number] = proven
        # With nothing in it, it is worth no more than a new one, and may be of other parts.
        if not stored:
            return None
        in_journal = frozenset(known) & frozenset(stored)
        return TakenUp(
            begun.upload_id, begun.part_size, begun.checksum_type, stored, in_journal, said=begun.said
        )

    async def anybodys(self, upload: ListedUpload, listed: ListedParts) -> TakenUp | None:
        """What there is of an upload that may be ours: all, or nothing."""
        # Only the last part may be smaller, and it may be the only one there is: then nothing is proven.
        part_size = max(part.size for part in listed.parts.values())
        algorithm = (listed.checksum_algorithm or upload.checksum_algorithm).upper()
        kind = (listed.checksum_type or upload.checksum_type).upper() if algorithm else ""
        if not self._goes_on(algorithm, part_size):
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

    def _goes_on(self, algorithm: str, part_size: int) -> bool:
        """Whether parts can be added to it as they are sent here."""
        own = self.sides.reader.digests.algorithm
        count = -(-self.identity.size // max(part_size, 1))
        # What Create announced holds for all parts.
        return algorithm in ("", own) and 0 < part_size <= MAX_PART_BYTES and count <= self.max_count

    def _size(self, number: int, part_size: int) -> int:
        """What the part of that number has to have; less than 0 where there is none."""
        return min(part_size, self.identity.size - (number - 1) * part_size)

    async def _if_complete(self, begun: UploadRow, known: Mapping[int, PartRow]) -> TakenUp | None:
        """What an upload came to that the store does not know any more, if it is proven to be the file."""
        algorithm, kind = begun.algorithm, begun.checksum_type
        try:
            found = await self.sides.requests.make(
                question_about(
                    self.record,
                    self.operation,
                    may_be_missing=True,
                    patient=True,
                    asks_checksums=bool(algorithm),
                )
            )
        except GivenUp as given_up:
            if not _refuses(given_up):
                raise
            return None
        # Before anything is read.
        if found.status == 404 or found.headers.get("content-length") != str(self.identity.size):
            return None
        by_etag = not (algorithm and found.headers.get(header_of(algorithm)))
        parts: list[CompletedPart] = []
        for number in range(1, -(-self.identity.size // begun.part_size) + 1):
            row = known.get(number)
            # The journal is behind by the last moment: those that it does not know are as the file has them.
            if row is not None:
                parts.append(_of_row(row, algorithm))
            elif (part := await self._of_file(number, begun.part_size, lambda _: by_etag)) is not None:
                parts.append(part)
            else:
                return None
        stored = tuple(parts)
        why_not = disproof(
            found,
            size=self.identity.size,
            checksum=whole(algorithm, kind, stored) if kind else None,
            etag=etag_of_parts(stored),
            # An older object than this run is what is looked for.
            age_s=math.inf,
            fields=self.operation.fields,
        )
        if why_not:
            return None
        by_number = {part.number: part for part in stored}
        return TakenUp(
            begun.upload_id, begun.part_size, kind, by_number, frozenset(by_number), found.etag, begun.said
        )

    async def _proven(self, part: CompletedPart, part_size: int) -> CompletedPart | None:
        """`part`, with the checksum of our own, if the store has what the file has there."""

        has = part.checksum

        def is_it(checksum: Checksum | None) -> bool:
            own = None if checksum is None else (checksum.algorithm, checksum.value)
            return has is not None and own == (has.algorithm, has.value)

        own = await self._of_file(part.number, part_size, lambda checksum: not is_it(checksum))
        if own is None or not (is_it(own.checksum) or same_etag(own.etag, part.etag)):
            return None
        return msgspec.structs.replace(own, etag=part.etag)

    async def _of_file(
        self, number: int, part_size: int, by_etag: Callable[[Checksum | None], bool]
    ) -> CompletedPart | None:
        """That part as the file has it; None where it cannot be read.  Its ETag only where `by_etag`, which
        gets the part's checksum, asks for it: MD5 is slow."""
        sides, size = self.sides, self._size(number, part_size)
        plan, in_slices = PartPlan(number, (number - 1) * part_size, size), not sides.memory.fits(size)
        async with sides.memory.holding(0 if in_slices else size):
            try:
                path = self.record.source.path
                part = await read_part(
                    sides.reader, sides.offload, path, self.identity, plan, in_slices=in_slices
                )
                etag = ""
                if by_etag(part.checksum):
                    etag = await _etag_of(part.body, sides.offload)
            except SourceError:
                return None
        return CompletedPart(number, etag, part.checksum, size)

    async def listed(self, upload_id: str, *, needed: bool = False) -> ListedParts | None:
        """All its parts; None where that cannot be known. Raises `GivenUp` where the answer is `needed`, and
        none comes, by which the store refuses to list them."""
        parts: dict[int, CompletedPart] = {}
        behind = 0
        while True:
            listing = msgspec.structs.replace(
                self.operation, name=LIST_PARTS, upload_id=upload_id, part_number=behind, checksum=None
            )
            try:
                answer = await self.sides.requests.make(
                    Request(self.record, listing, may_be_missing=True, patient=needed, expendable=not needed)
                )
            except GivenUp as given_up:
                if needed and not _refuses(given_up):
                    raise
                return None
            if answer.status == 404:
                return ListedParts({}, None, gone=True)
            page = listed_parts(answer, behind)
            parts |= page.parts
            if page.next_marker is None:
                return msgspec.structs.replace(page, parts=parts)
            behind = page.next_marker

    async def in_store(self) -> Sequence[ListedUpload]:
        """The unfinished uploads of this very key, the newest first."""
        listing = msgspec.structs.replace(
            self.operation, name=LIST_MULTIPART_UPLOADS, page=Page(prefix=self.record.key), checksum=None
        )
        try:
            # Some stores have no list where nothing was ever sent in parts.
            request = Request(self.record, listing, may_be_missing=True, expendable=True)
            answer = await self.sides.requests.make(request)
        except GivenUp:
            return ()
        uploads = listed_uploads(answer).uploads
        found = [upload for upload in uploads if self.record.key in {upload.key, upload.decoded_key}]
        return sorted(found, key=lambda upload: -(upload.initiated_s or 0.0))[:MAX_CANDIDATES]

    async def abort(self, upload_id: str) -> bool:
        """As well as it can be done: what is left is found once more, or ended by a rule of the bucket's.
        Returns whether the store has nothing of it any more."""
        abort = msgspec.structs.replace(
            self.operation, name=ABORT_MULTIPART_UPLOAD, upload_id=upload_id, checksum=None
        )
        try:
            await self.sides.requests.make(Request(self.record, abort))
        except GivenUp as in_vain:
            if in_vain.error.kind is FailureKind.NO_SUCH_UPLOAD:
                return True
            self.sides.unfinished.in_vain(abort, in_vain.error.kind)
            return False
        return True


async def _etag_of(body: Body, offload: Offload) -> str:
    """The ETag that S3 makes of it. Raises `SourceError`: what goes in slices is read again for that."""
    if isinstance(body, SlicedBody):
        return base64.b64decode(await body.md5_base64()).hex()
    etag: str = await offload(etag_of, body)
    return etag


def _refuses(given_up: GivenUp) -> bool:
    """Whether the store has said that it does not tell, and to ask again would not help."""
    return given_up.error.kind.refuses or given_up.error.status in {405, 501}


def is_hearsay(given_up: GivenUp) -> bool:
    """Whether something else than the store has said, each time, that an upload is not there."""
    return given_up.error.kind is FailureKind.NOT_S3 and given_up.error.status == 404
