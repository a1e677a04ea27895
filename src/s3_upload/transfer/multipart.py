"""An object in parts, from top to bottom: CreateMultipartUpload, the parts, CompleteMultipartUpload.

Rules:

* Parts are requests like any other, in the same window; only as many are read as memory allows.
* Before it is completed, the file is looked at once more: an object is one version of it.
* Once a part is given up, none is read any more; when the last one under way is through, the upload is
  aborted, and again until ListParts finds none (at most `MAX_ABORTS` times): a part may be stored after the
  abort that came before it.  So the store keeps (and bills) no orphaned parts.
* Where the store misses parts at the end, those it does not list are sent again, and it is completed once
  more.
* Where the store refuses a part for its number, the largest it has taken is how many it takes of any object:
  this one is sent in another way, with larger parts.
* What an earlier run has left is gone on with (`resume.py`).  Its process may have asked for the completion,
  so an upload that is gone by then proves nothing: the object is asked for.
* How large the parts are, `parts.py` says.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from s3_upload.control.retrying.retry import remedy
from s3_upload.errors import FailureKind, Remedy, UploadError
from s3_upload.parts import PartSizes
from s3_upload.s3.checksum import agreed_type, announced, whole
from s3_upload.s3.fields import mark_of
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    LIST_PARTS,
    UPLOAD_PART,
    Checksum,
    CompletedPart,
    Operation,
)
from s3_upload.s3.operations.complete_multipart_upload import complete_body, completed_etag
from s3_upload.s3.operations.create_multipart_upload import upload_id
from s3_upload.s3.operations.list_parts import listed_parts
from s3_upload.s3.proof import same_etag
from s3_upload.sources.files import HashedBody
from s3_upload.sources.version import Identity
from s3_upload.transfer.line import Place
from s3_upload.transfer.parts_line import PartsUnderWay
from s3_upload.transfer.record import Record
from s3_upload.transfer.resume_search import TakenUp
from s3_upload.transfer.tools import Tools, second_chance
from s3_upload.transfer.tries import Read, Request
from s3_upload.transfer.verdicts import GivenUp

MAX_ABORTS = 3
ANOTHER_WAY = frozenset({Remedy.NEW_UPLOAD, Remedy.NEW_VERSION})


SendAgain = Callable[["MultipartUpload", Sequence[int]], Awaitable[None]]


class Parts(Protocol):
    """Where an upload's parts come from: a file, or a stream. Each raises `GivenUp`, when all parts that were
    begun are through."""

    @property
    def version(self) -> Identity | None:
        """Of the file that they are of; None of a stream."""

    async def send_all(self, upload: MultipartUpload) -> None:
        """But for those that the store has."""

    @property
    def send_again(self) -> SendAgain | None:
        """Sends parts by their numbers once more; None where they cannot be read twice."""

    async def look_once_more(self, upload: MultipartUpload) -> None:
        """Whether what was sent is still what is to be sent."""


class MultipartUpload:
    """One upload of an object in parts of `sizes`. It is begun when it is made, and `put` carries it out."""

    def __init__(self, tools: Tools, record: Record, sizes: PartSizes) -> None:
        self.record = record
        self.sizes = sizes
        self._tools = tools
        self._requests = tools.requests
        self._operation = Operation(
            name=CREATE_MULTIPART_UPLOAD,
            bucket=tools.bucket,
            key=record.key,
            fields=tools.prepare.fields_of(record.source),
        )
        algorithm = tools.reader.digests.algorithm
        checksum = announced(algorithm) if algorithm else None
        self._creation = Request(record, msgspec.structs.replace(self._operation, checksum=checksum))
        tools.requests.begin(self._creation)
        # What the store keeps, by its answer to Create: what was announced is only a wish.
        self._checksum_type = ""
        self._stored: dict[int, CompletedPart] = {}
        self._before: TakenUp | None = None
        self._is_kept_by_parts = False

    @property
    def _aborting(self) -> Operation:
        """What aborts it."""
        return msgspec.structs.replace(self._operation, name=ABORT_MULTIPART_UPLOAD)

    async def put(self, parts: Parts) -> str:
        """Sends the object and returns its ETag.

        Raises `GivenUp`, with what else may help: the store holds nothing of it any more, or what it holds is
        kept for the next run.
        """
        try:
            self._before = await self._take_up(parts)
        except GivenUp as unknown:
            self._requests.forget(self._creation)
            keeps = self._tools.resumption is not None and self._tools.resumption.keeps
            kept = "; what the store has of it is kept for the next run" if keeps else ""
            raise unknown.with_remark(kept) from None
        if self._before is None:
            await self._create(parts)
        # An earlier run has completed it, and was killed before it heard so.
        if self._before is not None and self._before.etag:
            etag = self._before.etag
            self.record.summed(self._completion().operation.checksum)
        else:
            etag = await self._carry_out(parts)
            await self._look_at_fields()
        resumption, version = self._tools.resumption, parts.version
        if resumption is not None and version is not None:
            await resumption.completed(self.record, self._operation, version, self.sizes.max_count)
        return etag

    async def _look_at_fields(self) -> None:
        """Raises `GivenUp` where what is asked for is missing, since the upload was begun without."""
        resumption, before, fields = self._tools.resumption, self._before, self._operation.fields
        if resumption is None or before is None or before.said:
            return
        lost = await resumption.lacking(self.record, self._operation)
        if not lost:
            return
        error = UploadError(
            f"an upload of it that was left unfinished is complete, and its {lost} is not what is asked for",
            key=self.record.key,
            kind=FailureKind.UNPROVEN,
            attempts=1 + self.record.retries,
        )
        self.record.dropped()
        # Who is not to overwrite anything would not overwrite this either.
        raise GivenUp(error, self._operation, Remedy.NONE if fields.if_none_match else Remedy.NEW_UPLOAD)

    async def _carry_out(self, parts: Parts) -> str:
        """From the first part that is missing to the end."""
        abort, resumption = self._aborting, self._tools.resumption
        # From now on the store bills parts: what stops the run leaves this to be aborted at its end.
        resumable = resumption is not None and parts.version is not None
        is_known = resumption is not None and (bool(self._stored) or resumption.keeps_without_parts)
        self._tools.unfinished.begin(abort, resumable=resumable and is_known)
        self._is_kept_by_parts = resumable and not is_known
        try:
            await parts.send_all(self)
            with self._tools.unfinished.being_completed():
                etag = await self._complete(parts)
        except GivenUp as given_up:
            # Before the abort: what the store has taken tells how many parts it takes.
            given_up = self._another_way(given_up)
            if resumable and self._is_kept(given_up):
                raise given_up.with_remark("; its parts are kept for the next run") from None
            self.record.dropped()
            remark = await self._abort(abort)
            self._tools.unfinished.end(abort)
            if not remark and resumption is not None:
                resumption.freed([abort])
            raise given_up.with_remark(remark) from None
        self._tools.unfinished.end(abort)
        return etag

    async def _complete(self, parts: Parts) -> str:
        """Returns the ETag; sends the parts again that the store has lost."""
        while True:
            await parts.look_once_more(self)
            completion = self._completion()
            self.record.summed(completion.operation.checksum)
            # By the run before, whose request may have reached the store in this moment.
            if self._before is not None or self.record.perhaps_sent:
                completion.may_be_done()
            try:
                return completed_etag(await self._requests.make(completion))
            except GivenUp as given_up:
                failed = given_up
            if completion.ambiguous:
                try:
                    found = await self._requests.confirm(completion, failed)
                except GivenUp as unproven:
                    failed = unproven
                else:
                    # Should the object be there by another way than this upload, its parts are to be freed.
                    await self._abort(self._aborting)
                    return found.etag
            if parts.send_again is None:
                raise failed
            await parts.send_again(self, await self._lost_parts(failed))

    async def _take_up(self, parts: Parts) -> TakenUp | None:
        """What an earlier run has left, which it goes on with."""
        resumption, version = self._tools.resumption, parts.version
        if resumption is None or version is None:
            return None
        taken = await resumption.take_up(self.record, self._operation, version, self.sizes.max_count)
        # Before it is asked for: the answer may die with this process.
        if taken is None:
            await resumption.creating(self.record.key)
            return None
        self._requests.forget(self._creation)
        self.sizes = PartSizes(taken.part_size, self.sizes.max_count)
        self._begun(parts, taken.upload_id, taken.checksum_type, taken.said)
        for number, part in taken.stored.items():
            self._has(part, tells=number not in taken.known)
            self.record.resumed(part.size)
        return taken

    async def _create(self, parts: Parts) -> None:
        resumption, asked_s = self._tools.resumption, time.time()
        try:
            response = await self._requests.carry_out(self._creation, Place.NEW)
        except GivenUp as given_up:
            raise second_chance(given_up, self.record, ANOTHER_WAY) from None
        if self._creation.ambiguous and resumption is not None:
            resumption.asked_twice(self.record.key, asked_s)
        algorithm = self._tools.reader.digests.algorithm
        checksum_type, said = agreed_type(algorithm, response), mark_of(self._operation.fields)
        self._begun(parts, upload_id(response), checksum_type, said)

    def _begun(self, parts: Parts, upload_id: str, checksum_type: str, said: str) -> None:
        """The store takes parts."""
        self._operation = msgspec.structs.replace(self._operation, upload_id=upload_id)
        self._checksum_type = checksum_type
        if self._tools.tell.parts:
            kept = Checksum(self._tools.reader.digests.algorithm, type=checksum_type)
            self._tools.tell.created(self.record, upload_id, self.sizes.first, parts.version, kept, said=said)

    def _has(self, part: CompletedPart, *, tells: bool = True) -> None:
        """The store has a part."""
        self._stored[part.number] = part
        self.record.stored(part.size)
        if tells and self._tools.tell.parts:
            self._tools.tell.stored(self.record, self._operation.upload_id, part)

    def has(self, number: int) -> bool:
        """Whether the store has the part of that number."""
        return number in self._stored

    def begin_part(self, number: int, part: HashedBody, read: Read | None = None) -> Request:
        """What sends the part `number`, by `send_part`; from now on what it holds is counted. `read` reads it
        once more."""
        operation = msgspec.structs.replace(
            self._operation,
            name=UPLOAD_PART,
            part_number=number,
            body=part.body,
            sha256=part.sha256,
            checksum=part.checksum,
        )
        request = Request(self.record, operation, read)
        self._requests.begin(request)
        return request

    async def send_part(self, request: Request, others: PartsUnderWay) -> None:
        """Sends a part; that it is given up is `others`' to know, which are not begun any more."""
        try:
            response = await self._requests.carry_out(request, Place.PART)
        except GivenUp as given_up:
            others.fail(given_up)
            return
        sent = request.operation
        self._has(CompletedPart(sent.part_number, response.etag, sent.checksum, len(sent.body)))
        if self._is_kept_by_parts:
            self._is_kept_by_parts = False
            self._tools.unfinished.can_go_on(self._aborting)

    def _completion(self) -> Request:
        stored = tuple(self._stored[number] for number in sorted(self._stored))
        kind = self._checksum_type
        operation = msgspec.structs.replace(
            self._operation,
            name=COMPLETE_MULTIPART_UPLOAD,
            body=complete_body(stored, with_checksums=bool(kind)),
            parts=stored,
            checksum=whole(self._tools.reader.digests.algorithm, kind, stored) if kind else None,
        )
        return Request(self.record, operation)

    # --- where it is not completed -------------------------------------------------------------------

    async def _lost_parts(self, given_up: GivenUp) -> Sequence[int]:
        """Which parts the store does not have, or has otherwise, by its own list. Raises `GivenUp` where that
        is not why it was not completed, or was tried before."""
        kind = given_up.error.kind
        if remedy(kind, completing=True, tried=self.record.tried) is not Remedy.RESEND_PARTS:
            raise given_up
        self.record.takes_another_way(kind)
        lost, behind = dict(self._stored), 0
        # All pages: what no page lists is lost.
        while True:
            listing = msgspec.structs.replace(self._operation, name=LIST_PARTS, part_number=behind)
            try:
                listed = listed_parts(await self._requests.make(Request(self.record, listing)), behind)
            except GivenUp as in_vain:
                refused = in_vain.error.kind
                # Then it is sent from its beginning, or by the next run, which asks again.
                if refused is FailureKind.NO_SUCH_UPLOAD or refused.passes:
                    raise
                remark = f"; which parts it has cannot be asked ({in_vain.error.message})"
                raise given_up.with_remark(remark) from in_vain
            for number, part in listed.parts.items():
                if number in lost and same_etag(lost[number].etag, part.etag):
                    del lost[number]
            if listed.next_marker is None:
                break
            behind = listed.next_marker
        for number in lost:
            resumed = self._before is not None and number in self._before.stored
            self.record.lost(self._stored.pop(number).size, resumed=resumed)
        return tuple(lost)

    def _is_kept(self, given_up: GivenUp) -> bool:
        """Whether the next run is to go on with it: what failed was not its own fault."""
        resumption = self._tools.resumption
        keeps = resumption is not None and resumption.keeps and bool(self._stored)
        return keeps and given_up.remedy is Remedy.NONE and given_up.error.kind.passes

    def _another_way(self, given_up: GivenUp) -> GivenUp:
        """The same, with what else may help: of the parts, all that were under way are taken or refused."""
        sent, taken = given_up.operation, max(self._stored, default=0)
        if given_up.error.kind is not FailureKind.TOO_MANY_PARTS or sent is None:
            return second_chance(given_up, self.record, ANOTHER_WAY)
        if not self._tools.prepare.store_parts.refused(sent.part_number, taken):
            return given_up
        given_up = second_chance(given_up, self.record, {Remedy.FEWER_PARTS})
        if given_up.remedy is not Remedy.NONE:
            return given_up
        return given_up.with_remark(
            f"; it takes {taken:,} parts: start again with a part_size (--part-size) of at least the "
            f"whole size / {taken:,}"
        )

    async def _abort(self, abort: Operation) -> str:
        """Until the store has no part of it; returns what is to be said where that cannot be had.  Then it is
        tried once more: its object may go another way, whose report says nothing of it."""
        unfinished, listing = self._tools.unfinished, msgspec.structs.replace(abort, name=LIST_PARTS)
        for _ in range(MAX_ABORTS):
            # A part that was on its way when its upload was aborted may be stored after that.
            try:
                await self._abort_once(abort)
                left = await self._requests.make(Request(self.record, listing, may_be_missing=True))
            except GivenUp as in_vain:
                unfinished.in_vain(abort, in_vain.error.kind)
                return f"; its parts may still be there ({in_vain.error.message})"
            if left.status == 404 or not listed_parts(left).parts:
                return ""
        unfinished.try_at_end(abort)
        return "; its parts may still be there (they come back after each abort)"

    async def _abort_once(self, abort: Operation) -> None:
        try:
            await self._requests.make(Request(self.record, abort))
        except GivenUp as in_vain:
            # It is gone: completed after all, or aborted by an attempt whose answer was lost.
            if in_vain.error.kind is not FailureKind.NO_SUCH_UPLOAD:
                raise
