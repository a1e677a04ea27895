"""Makes events of what a run does, where somebody wants them.

What a listener raises ends the run.  Who tells goes on for the moment: what it has just heard from the store
(the ID of an upload, say) is not lost.
"""

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
from s3_upload.s3.operations import Checksum, CompletedPart
from s3_upload.sources.version import Identity
from s3_upload.transfer.guard import Fail, guarded
from s3_upload.transfer.record import Record


class Teller:
    """`objects`, `attempts`, `parts`, `ends`: whether anybody wants such events; only then its methods are
    called.  `fail` ends the run."""

    def __init__(self, events: Events, now: Callable[[], float], fail: Fail) -> None:
        self._tell = guarded(fail, events.tell)
        self._now = now
        self.objects = events.wants(ObjectBegun)
        self.ends = events.wants(ObjectEnded)
        self.attempts = events.wants(AttemptEnded)
        self.parts = events.wants(UploadCreated, PartStored)

    def begun(self, record: Record) -> None:
        """The first request of an object is about to be sent."""
        source = record.source
        self._tell(
            ObjectBegun(
                at_s=self._now(),
                seq=record.seq,
                key=source.key,
                source=source.name,
                size=record.known_size,
            )
        )

    def attempt(self, record: Record, report: AttemptReport) -> None:
        """An attempt of an object has ended."""
        self._tell(AttemptEnded(at_s=self._now(), seq=record.seq, key=record.key, report=report))

    def created(
        self,
        record: Record,
        upload_id: str,
        part_size: int,
        version: Identity | None,
        kept: Checksum,
        *,
        said: str,
    ) -> None:
        """The store takes parts of an object: of `version` of its file, None for a stream. `kept`: which
        checksum it keeps of the whole; `said`: see `UploadCreated`."""
        self._tell(
            UploadCreated(
                at_s=self._now(),
                seq=record.seq,
                key=record.key,
                upload_id=upload_id,
                part_size=part_size,
                size=version.size if version is not None else None,
                mtime_ns=record.mtime_ns,
                ctime_ns=version.ctime_ns if version is not None else 0,
                checksum_algorithm=kept.algorithm if kept.type else "",
                checksum_type=kept.type,
                said=said,
            )
        )

    def stored(self, record: Record, upload_id: str, part: CompletedPart) -> None:
        """The store has a part."""
        self._tell(
            PartStored(
                at_s=self._now(),
                seq=record.seq,
                key=record.key,
                upload_id=upload_id,
                part_number=part.number,
                bytes=part.size,
                etag=part.etag,
                checksum=part.checksum.value if part.checksum else "",
            )
        )

    def ended(self, report: UploadReport) -> None:
        """An object is done with."""
        self._tell(ObjectEnded(at_s=self._now(), report=report))
