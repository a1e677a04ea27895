"""A multipart upload: CreateMultipartUpload, then the parts, then CompleteMultipartUpload.

Rules:

* Parts are units like any other, in the same window; only as many are read as memory allows.
* Before it is completed, the file is looked at once more: an object is one version of it.
* Once one unit is given up, no part is read any more; when the last one under way is through, the
  upload is aborted, and again until ListParts finds none (at most `MAX_ABORTS` times): a part may be
  stored after the abort that came before it.  So the store keeps (and bills) no orphaned parts.
* Where the store misses parts at the end, those it does not list are sent again, and it is completed
  once more.
* Where the store refuses a part for its number, the largest it has taken is how many it takes of any object:
  this one is begun anew with larger parts.
* How large the parts are, `parts.py` says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from s3_upload.control.retrying.retry import remedy
from s3_upload.errors import FailureKind, Remedy, SourceError, UploadError
from s3_upload.http import Response
from s3_upload.parts import PartSizes, StoreParts
from s3_upload.request_fields import RequestFields
from s3_upload.s3.checksum import agreed_type, announced, whole
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    HEAD_OBJECT,
    LIST_PARTS,
    UPLOAD_PART,
    CompletedPart,
    Operation,
)
from s3_upload.s3.proof import etag_of_parts
from s3_upload.s3.requests import complete_body
from s3_upload.s3.responses import ListedParts, completed_etag, listed_parts, upload_id
from s3_upload.sources.files import HashedBody
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import Identity
from s3_upload.transfer.unit import Unit, Upload

MAX_ABORTS = 3


class PartPlan(msgspec.Struct, frozen=True):
    """A part to be read: `number` from 1, `offset` and `size` in bytes (a stream may give fewer)."""

    number: int
    offset: int
    size: int


LAST_LOOK = PartPlan(0, 0, 0)
"""Reads nothing, but fails where the file is another version by now."""


class MultipartUpload(Upload):
    """`identity` is the version of the file to send, None for a stream."""

    __slots__ = (
        "_aborts",
        "_again",
        "_bucket",
        "_checksum_algorithm",
        "_checksum_type",
        "_differing",
        "_next_number",
        "_parts",
        "_refused_number",
        "_store_parts",
        "_under_way",
        "all_planned",
        "fields",
        "identity",
        "left_over",
        "parts_wanted",
        "sizes",
        "stored_bytes",
        "upload_id",
    )

    def __init__(
        self,
        seq: int,
        source: ObjectSource,
        size: int,
        *,
        bucket: str,
        fields: RequestFields,
        sizes: PartSizes,
        store_parts: StoreParts,
        checksum_algorithm: str,
        identity: Identity | None,
        started_s: float,
        est_MBps: float,
    ) -> None:
        super().__init__(seq, source, size, started_s=started_s, est_MBps=est_MBps)
        self.identity = identity
        self.fields = fields
        self.sizes = sizes
        self.upload_id = ""
        self.stored_bytes = 0
        """Of the parts that the store has."""
        self.all_planned = False
        """Whether the last part has been planned."""
        self.parts_wanted = False
        self._bucket = bucket
        self._store_parts = store_parts
        self._checksum_algorithm = checksum_algorithm
        self._checksum_type = ""  # what the store keeps, by its answer to the first unit
        self._next_number = 1
        self._parts: dict[int, CompletedPart] = {}
        self._refused_number = 0  # of a part that the store refused for it
        self._under_way = 0  # units handed out, and parts being read
        self._aborts = 0
        self.left_over: Operation | None = None  # the abort that failed, and may do better later
        self._again: deque[PartPlan] = deque()  # to be read, though all were planned
        self._differing: dict[int, CompletedPart] = {}

    def begin(self) -> Unit:
        """The first unit."""
        algorithm = self._checksum_algorithm
        checksum = announced(algorithm) if algorithm else None
        return self._next(CREATE_MULTIPART_UPLOAD, checksum=checksum)

    # --- what the feed asks and tells ----------------------------------------------------------------

    @property
    def all_read(self) -> bool:
        """Whether no part is left to be read."""
        return self.all_planned and not self._again

    def next_part(self) -> PartPlan | None:
        """The next part to read, None when there is none (any more).

        Raises `SourceError` for a stream that is longer than a store takes.
        """
        if self.all_read or self.error is not None:
            return None
        if self._again:
            self._under_way += 1
            return self._again.popleft()
        number, sizes = self._next_number, self.sizes
        self._next_number += 1
        self._under_way += 1
        if self.identity is None:  # a stream: how long it is shows at its end
            if number > sizes.max_count:
                raise SourceError(
                    f"{self.source.key}: the stream is longer than {sizes.most_bytes:,} bytes, all that the "
                    f"store's {sizes.max_count:,} parts can hold as they were chosen: start again with a "
                    "larger part_size (--expected-size)"
                )
            return PartPlan(number, sizes.offset_of(number), sizes.size_of(number))
        plan = self._plan_of(number)
        self.all_planned = plan.offset + plan.size >= self.size
        return plan

    def part_unit(self, plan: PartPlan, part: HashedBody) -> Unit:
        """The unit that sends a part that has been read or, after the last look, completes the object."""
        self._under_way -= 1  # the read; `_next` counts the request
        if plan is LAST_LOOK:
            return self._complete()
        return self._next(
            UPLOAD_PART,
            upload_id=self.upload_id,
            part_number=plan.number,
            body=part.body,
            sha256=part.sha256,
            checksum=part.checksum,
        )

    def part_dropped(self) -> Sequence[Unit]:
        """A part that was read is not wanted any more."""
        self._under_way -= 1
        return self._abort_when_idle()

    # --- what the scheduler tells ------------------------------------------------------------------

    def accept(self, unit: Unit, response: Response) -> Sequence[Unit]:
        self._under_way -= 1
        operation = unit.operation
        if operation.name == UPLOAD_PART:
            self.stored_bytes += len(operation.body)
            self._parts[operation.part_number] = CompletedPart(
                operation.part_number, response.etag, operation.checksum, len(operation.body)
            )
            return self._abort_when_idle() if self.error is not None else self._when_all_are_there()
        if operation.name == CREATE_MULTIPART_UPLOAD:
            self.upload_id = upload_id(response)
            self._checksum_type = agreed_type(self._checksum_algorithm, response)
            self.parts_wanted = True
            return ()
        if operation.name == ABORT_MULTIPART_UPLOAD:
            return (self._next(LIST_PARTS, upload_id=self.upload_id),)
        if operation.name == LIST_PARTS:
            return self._listed(operation, listed_parts(response))
        if operation.name == HEAD_OBJECT:
            return self._found(response)
        self.etag = completed_etag(response)
        self.done = True
        return ()

    def refuse(self, unit: Unit | None, error: UploadError) -> Sequence[Unit]:
        self._under_way -= 1
        if self._aborts:  # nothing else is under way
            if error.kind is not FailureKind.NO_SUCH_UPLOAD and self.error is not None:
                self.error.message += f"; its parts may still be there ({error.message})"
                self.left_over = self.abort_operation() if error.kind.retried else None
            self.done = True
            return ()
        return super().refuse(unit, error)

    def abort_operation(self) -> Operation | None:
        """The request that frees what the store holds of an unfinished upload, None if nothing."""
        if not self.upload_id or self.done:
            return None
        return self._operation(ABORT_MULTIPART_UPLOAD, upload_id=self.upload_id)

    def part(self, number: int) -> CompletedPart:
        """A part that the store has."""
        return self._parts[number]

    def success_time_s(self) -> float:
        """From the first request's start to the last answer's end; whether it exists may have been asked
        long before."""
        first = next(report for report in self.attempt_reports if report.operation != HEAD_OBJECT)
        return self.attempt_reports[-1].ended_s - first.started_s

    # --- the end -------------------------------------------------------------------------------------

    def _when_all_are_there(self) -> Sequence[Unit]:
        if not self.all_read or self._under_way > 0:
            return ()
        if self.identity is None:
            return (self._complete(),)
        self._again.append(LAST_LOOK)
        self.parts_wanted = True
        return ()

    def _complete(self) -> Unit:
        parts = self._sent_parts()
        kind = self._checksum_type
        return self._next(
            COMPLETE_MULTIPART_UPLOAD,
            upload_id=self.upload_id,
            body=complete_body(parts, with_checksums=bool(kind)),
            parts=parts,
            checksum=whole(self._checksum_algorithm, kind, parts) if kind else None,
        )

    def _abort_when_idle(self) -> Sequence[Unit]:
        if self._under_way > 0:
            return ()
        if self._refused_number:
            self._learn_limit()
        operation = self.abort_operation()
        if operation is None:
            self.done = True
            return ()
        self._aborts += 1
        self._under_way += 1
        return (Unit(self, operation),)

    def _learn_limit(self) -> None:
        """Of the parts: all that were under way have been taken or refused by now."""
        number, taken = self._refused_number, max(self._parts, default=0)
        self._refused_number = 0
        if not self._store_parts.refused(number, taken):
            return
        assert self.error is not None
        self._plan(self.error.kind, {Remedy.FEWER_PARTS}, completing=False)
        if not self.starts_again:
            self.error.message += (
                f"; it takes {taken:,} parts: start again with a part_size (--part-size) of at least the "
                f"whole size / {taken:,}"
            )

    def _proven(self) -> Sequence[Unit]:
        """Should the object be there by another way than this upload, its parts are still to be freed."""
        return self._abort_when_idle()

    def _give_up(self, unit: Unit | None, error: UploadError) -> Sequence[Unit]:
        if self.error is not None:  # it was given up before
            return self._abort_when_idle()
        completing = unit is not None and unit.operation.name == COMPLETE_MULTIPART_UPLOAD
        history = self._history()
        if (
            completing
            and self.identity is not None
            and remedy(error.kind, completing=True, tried=history.tried) is Remedy.RESEND_PARTS
        ):
            history.tried += (error.kind,)
            self._differing = dict(self._parts)
            return (self._next(LIST_PARTS, upload_id=self.upload_id),)
        self.error = error
        if error.kind is FailureKind.TOO_MANY_PARTS and unit is not None:
            self._refused_number = unit.operation.part_number
        self._plan(error.kind, {Remedy.NEW_UPLOAD, Remedy.NEW_VERSION}, completing=completing)
        return self._abort_when_idle()

    def _listed(self, operation: Operation, listed: ListedParts) -> Sequence[Unit]:
        """What the store has: after an abort, nothing, or it is aborted again; else what is missing or
        differs is sent again, and completed once more."""
        if self._aborts:
            if listed.etags and self._aborts < MAX_ABORTS:
                return self._abort_when_idle()
            self.done = True
            return ()
        for number, etag in listed.etags.items():
            sent = self._differing.get(number)
            if sent is not None and sent.etag.strip('"') == etag.strip('"'):
                del self._differing[number]
        marker = listed.next_marker
        if marker is not None and marker > operation.part_number:
            return (self._next(LIST_PARTS, upload_id=self.upload_id, part_number=marker),)
        for number in self._differing:
            self.stored_bytes -= self._parts.pop(number).size
            self._again.append(self._plan_of(number))
        if self._again:
            self.parts_wanted = True
            return ()
        return self._when_all_are_there()

    def _sent_parts(self) -> tuple[CompletedPart, ...]:
        return tuple(self._parts[number] for number in sorted(self._parts))

    def _etag_of(self, sent: Operation) -> str:
        return etag_of_parts(sent.parts)

    def _plan_of(self, number: int) -> PartPlan:
        offset = self.sizes.offset_of(number)
        return PartPlan(number, offset, min(self.sizes.size_of(number), self.size - offset))

    def _unit(self, name: str, sent: Operation) -> Unit:
        return self._next(name)

    def _next(self, name: str, **details: object) -> Unit:
        self._under_way += 1
        return Unit(self, self._operation(name, **details))

    def _operation(self, name: str, **details: object) -> Operation:
        return Operation(
            name=name,
            bucket=self._bucket,
            key=self.source.key,
            fields=self.fields,
            **details,  # type: ignore[arg-type]
        )
