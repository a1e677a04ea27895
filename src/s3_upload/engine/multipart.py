"""A multipart upload: CreateMultipartUpload, then the parts, then CompleteMultipartUpload.

Rules:

* Parts are units like any other, in the same window; only as many are read as memory allows.
* Once one unit is given up, no part is read any more; when the last one under way is through, the
  upload is aborted, so that the store keeps (and bills) no orphaned parts.
* `part_size` grows where a file would need more than `MAX_PARTS` parts.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html has the limits.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from s3_upload.config import MAX_PARTS, part_size_for
from s3_upload.engine.reader import HashedBody, Identity
from s3_upload.engine.unit import Unit, Upload
from s3_upload.errors import SourceError, UploadError
from s3_upload.http import Response
from s3_upload.s3.checksum import agreed_type, announced, whole
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    UPLOAD_PART,
    CompletedPart,
    Operation,
    RequestFields,
)
from s3_upload.s3.requests import complete_body
from s3_upload.s3.responses import completed_etag, upload_id
from s3_upload.source import ObjectSource


class PartPlan(msgspec.Struct, frozen=True):
    """A part to be read: `number` from 1, `offset` and `size` in bytes (a stream may give fewer)."""

    number: int
    offset: int
    size: int


class MultipartUpload(Upload):
    """`identity` is the version of the file to send, None for a stream."""

    __slots__ = (
        "_aborting",
        "_bucket",
        "_checksum_algorithm",
        "_checksum_type",
        "_next_number",
        "_parts",
        "_under_way",
        "all_planned",
        "fields",
        "identity",
        "part_size",
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
        part_size: int,
        checksum_algorithm: str,
        identity: Identity | None,
        started_s: float,
        est_MBps: float,
    ) -> None:
        super().__init__(seq, source, size, started_s=started_s, est_MBps=est_MBps)
        self.identity = identity
        self.fields = fields
        self.part_size = part_size_for(size, part_size)
        self.upload_id = ""
        self.all_planned = False
        """Whether no part remains to be read."""
        self._bucket = bucket
        self._checksum_algorithm = checksum_algorithm
        self._checksum_type = ""  # what the store keeps, by its answer to the first unit
        self._next_number = 1
        self._parts: dict[int, CompletedPart] = {}
        self._under_way = 0  # units handed out, and parts being read
        self._aborting = False

    def begin(self) -> Unit:
        """The first unit."""
        algorithm = self._checksum_algorithm
        return self._unit(CREATE_MULTIPART_UPLOAD, checksum=announced(algorithm) if algorithm else None)

    def next_part(self) -> PartPlan | None:
        """The next part to read, None when there is none (any more).

        Raises `SourceError` for a stream that is longer than `MAX_PARTS` parts.
        """
        if self.all_planned or self.error is not None:
            return None
        number, offset = self._next_number, (self._next_number - 1) * self.part_size
        self._next_number += 1
        self._under_way += 1
        if self.identity is None:  # a stream: how long it is shows at its end
            if number > MAX_PARTS:
                raise SourceError(
                    f"{self.source.key}: the stream is longer than {MAX_PARTS:,} parts of {self.part_size} "
                    "bytes, and a store takes no more: start again with a larger part_size (--expected-size)"
                )
            return PartPlan(number, offset, self.part_size)
        size = min(self.part_size, self.size - offset)
        self.all_planned = offset + size >= self.size
        return PartPlan(number, offset, size)

    def part_unit(self, plan: PartPlan, part: HashedBody) -> Unit:
        """The unit that sends a part that has been read."""
        self._under_way -= 1  # the read; `_unit` counts the request
        return self._unit(
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

    def accept(self, unit: Unit, response: Response) -> Sequence[Unit]:
        self._under_way -= 1
        operation = unit.operation
        if operation.name == CREATE_MULTIPART_UPLOAD:
            self.upload_id = upload_id(response)
            self._checksum_type = agreed_type(self._checksum_algorithm, response)
            return ()
        if operation.name == ABORT_MULTIPART_UPLOAD:
            self.done = True
            return ()
        if operation.name == COMPLETE_MULTIPART_UPLOAD:
            self.etag = completed_etag(response)
            self.done = True
            return ()
        self._parts[operation.part_number] = CompletedPart(
            operation.part_number, response.etag, operation.checksum, len(operation.body)
        )
        if self.error is not None:
            return self._abort_when_idle()
        if self.all_planned and self._under_way == 0:
            return (self._complete(),)
        return ()

    def _complete(self) -> Unit:
        parts = tuple(self._parts[number] for number in sorted(self._parts))
        kind = self._checksum_type
        return self._unit(
            COMPLETE_MULTIPART_UPLOAD,
            upload_id=self.upload_id,
            body=complete_body(parts, with_checksums=bool(kind)),
            checksum=whole(self._checksum_algorithm, kind, parts) if kind else None,
        )

    def refuse(self, unit: Unit | None, error: UploadError) -> Sequence[Unit]:
        self._under_way -= 1
        if self.error is None:
            self.error = error
        if unit is not None and unit.operation.name == ABORT_MULTIPART_UPLOAD:
            self.done = True
            return ()
        return self._abort_when_idle()

    def abort_operation(self) -> Operation | None:
        """The request that frees what the store holds of an unfinished upload, None if nothing."""
        if not self.upload_id or self.done:
            return None
        return Operation(
            name=ABORT_MULTIPART_UPLOAD,
            bucket=self._bucket,
            key=self.source.key,
            fields=self.fields,
            upload_id=self.upload_id,
        )

    def success_time_s(self) -> float:
        """From the first request's start to the last answer's end."""
        return self.attempt_reports[-1].ended_s - self.attempt_reports[0].started_s

    def _abort_when_idle(self) -> Sequence[Unit]:
        if self._under_way > 0 or self._aborting:
            return ()
        operation = self.abort_operation()
        if operation is None:
            self.done = True
            return ()
        self._aborting = True
        self._under_way += 1
        return (Unit(self, operation),)

    def _unit(self, name: str, **details: object) -> Unit:
        self._under_way += 1
        operation = Operation(
            name=name,
            bucket=self._bucket,
            key=self.source.key,
            fields=self.fields,
            **details,  # type: ignore[arg-type]
        )
        return Unit(self, operation)
