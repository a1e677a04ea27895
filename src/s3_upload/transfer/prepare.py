"""Prepares objects: what is known, said and planned of a source before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Container

import msgspec

from s3_upload.errors import SourceError
from s3_upload.parts import MAX_PART_BYTES, PartSizes, StoreParts, sizes_for
from s3_upload.report import AttemptReport
from s3_upload.request_fields import RequestFields
from s3_upload.s3.operations import Checksum
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import NO_TIME_NS
from s3_upload.transfer.record import Record
from s3_upload.transfer.teller import Teller
from s3_upload.units import show_size


class Prepare(msgspec.Struct, frozen=True, kw_only=True):
    """For the objects of one run.

    `store_parts`: what is known of the store's rules for parts.  `fields_of`: what is said of an object.
    `asked`: what it took to ask whether it exists, by its number.  `lost`: see `Resume`.
    """

    now: Callable[[], float]
    est_MBps: Callable[[], float]
    part_size: int
    store_parts: StoreParts
    fields_of: Callable[[ObjectSource], RequestFields]
    tell: Teller
    lost: Container[str] = frozenset()
    asked: dict[int, list[AttemptReport]] = {}

    def record(
        self,
        seq: int,
        source: ObjectSource,
        size: int,
        *,
        grows: bool = False,
        mtime_ns: int = NO_TIME_NS,
        checksum: Checksum | None = None,
    ) -> Record:
        """That of an object which is about to be sent. `grows`, `mtime_ns`, `checksum`: see `Record`."""
        tried = self.asked.pop(seq, []) if self.asked else []
        record = Record(
            seq,
            source,
            size,
            self.now(),
            self.est_MBps(),
            tried,
            grows,
            mtime_ns=mtime_ns,
            checksum=checksum,
            perhaps_sent=source.key in self.lost,
        )
        if self.tell.objects:
            self.tell.begun(record)
        return record

    def question(self, seq: int, source: ObjectSource) -> Record:
        """That of an object of which is asked whether it exists."""
        perhaps_sent = source.key in self.lost
        return Record(seq, source, 0, self.now(), self.est_MBps(), [], perhaps_sent=perhaps_sent)

    def sizes(self, source: ObjectSource, size: int | None) -> PartSizes:
        """How `source`, which has `size` bytes if that is known, is cut into parts.

        Raises `SourceError` for what is larger than a store takes.
        """
        sizes = sizes_for(size, self.part_size, self.store_parts.rules)
        if sizes.first > MAX_PART_BYTES:
            raise SourceError(
                f"{source.name}: {size:,} bytes are more than the store takes: "
                f"{sizes.max_count:,} parts of {show_size(MAX_PART_BYTES)}"
            )
        return sizes
