"""Makes events of what the scheduler does, where somebody wants them."""

from __future__ import annotations

from collections.abc import Callable

from s3_upload.observe.events import (
    AttemptEnded,
    Events,
    ObjectBegun,
    ObjectEnded,
    PartStored,
    UploadCreated,
)
from s3_upload.report import AttemptReport, UploadReport
from s3_upload.s3.operations import CREATE_MULTIPART_UPLOAD, PUT_OBJECT, UPLOAD_PART
from s3_upload.transfer.multipart import MultipartUpload
from s3_upload.transfer.unit import Unit, Upload

BEGINS = frozenset({PUT_OBJECT, CREATE_MULTIPART_UPLOAD})
"""Operations that an object begins with."""


def known_size(upload: Upload) -> int | None:
    """Of the whole object; None for a stream of which nobody has said it: what has come of it grows."""
    is_stream = isinstance(upload, MultipartUpload) and upload.identity is None
    return upload.source.size if is_stream else upload.size


class Teller:
    """`objects`, `attempts`, `parts`: whether anybody wants such events; only then its methods are called."""

    def __init__(self, events: Events, now: Callable[[], float]) -> None:
        self._events = events
        self._now = now
        self.objects = events.wants(ObjectBegun)
        self.ends = events.wants(ObjectEnded)
        self.attempts = events.wants(AttemptEnded)
        self.parts = events.wants(UploadCreated, PartStored)

    def begun(self, unit: Unit) -> None:
        """`unit` is about to be sent: perhaps it is the first of its object."""
        upload = unit.upload
        tried = upload.attempt_reports  # perhaps whether it exists, before; else it is begun anew
        if unit.operation.name in BEGINS and not any(report.operation in BEGINS for report in tried):
            source = upload.source
            self._events.tell(
                ObjectBegun(
                    at_s=self._now(),
                    seq=upload.seq,
                    key=source.key,
                    source=source.name,
                    size=known_size(upload),
                )
            )

    def attempt(self, unit: Unit, report: AttemptReport) -> None:
        """One of `unit` has ended."""
        upload = unit.upload
        self._events.tell(
            AttemptEnded(at_s=self._now(), seq=upload.seq, key=upload.source.key, report=report)
        )

    def accepted(self, unit: Unit) -> None:
        """The store has done what `unit` asks for."""
        upload, operation = unit.upload, unit.operation
        if not isinstance(upload, MultipartUpload):
            return
        if operation.name == CREATE_MULTIPART_UPLOAD:
            self._events.tell(
                UploadCreated(
                    at_s=self._now(),
                    seq=upload.seq,
                    key=operation.key,
                    upload_id=upload.upload_id,
                    part_size=upload.sizes.first,
                )
            )
        elif operation.name == UPLOAD_PART:
            part = upload.part(operation.part_number)
            self._events.tell(
                PartStored(
                    at_s=self._now(),
                    seq=upload.seq,
                    key=operation.key,
                    part_number=part.number,
                    bytes=part.size,
                    etag=part.etag,
                    checksum=part.checksum.value if part.checksum else "",
                )
            )

    def ended(self, report: UploadReport) -> None:
        """An object is done with."""
        self._events.tell(ObjectEnded(at_s=self._now(), report=report))
