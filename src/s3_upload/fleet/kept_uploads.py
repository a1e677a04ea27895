"""What a job knows of the uploads in parts that its processes have begun: whoever is given a file of one
that has ended goes on with its upload.

Where there is a journal, that knows the same and more, and is asked, too.  A worker elsewhere, which can ask
nobody, is told beforehand; what one has begun that was lost is looked for in the store.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from s3_upload.observe.events import Event, ObjectEnded, PartStored, UploadCreated
from s3_upload.observe.journal_rows import (
    KnownUploads,
    PartRow,
    UploadRow,
    row_of_part,
    row_of_upload,
    went_whole,
)
from s3_upload.report import SUCCESS
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.resume import UploadsBefore


class Begun(msgspec.Struct):
    """An upload that a process of this fleet has created of `source`, and its parts. `outlived`: the object
    is there without it."""

    row: UploadRow
    source: ObjectSource | None
    parts: dict[int, PartRow] = msgspec.field(default_factory=dict)
    outlived: bool = False


class KeptUploads:
    """`UploadsBefore` of all processes. `before`: the journal's. Its methods may be called in threads, `hear`
    on the loop."""

    def __init__(self, before: UploadsBefore | None) -> None:
        self._before = before
        self._begun: dict[str, dict[str, Begun]] = {}
        self._creating_s: dict[str, float] = {}

    @property
    def works(self) -> bool:
        """Whether another run will find what is left unfinished."""
        return self._before is not None and self._before.works

    def known_uploads(self, key: str) -> KnownUploads:
        known = KnownUploads(()) if self._before is None else self._before.known_uploads(key)
        ours = self._begun.get(key, {})
        others = [(row, parts) for row, parts in known.uploads if row.upload_id not in ours]
        begun = [(one.row, dict(one.parts)) for one in ours.values()]
        creating_s = self._creating_s.get(key, known.creating_since_s)
        return KnownUploads((*others, *begun), creating_s)

    def known_of(self, keys: Iterable[str]) -> dict[str, KnownUploads]:
        """Of those of which something is known. Blocking."""
        nothing = KnownUploads(())
        return {key: known for key in keys if (known := self.known_uploads(key)) != nothing}

    def perhaps_begun(self, keys: Iterable[str], since_s: float) -> None:
        """One who tells nothing before its end had these since then (seconds since the epoch), and has ended:
        what it may have begun of them only the store knows."""
        for key in keys:
            self._creating_s.setdefault(key, since_s)

    def begin_creating(self, key: str) -> None:
        self._creating_s[key] = time.time()
        if self._before is not None:
            self._before.begin_creating(key)

    def end_upload(self, upload_id: str) -> None:
        self._forget(upload_id)
        if self._before is not None:
            self._before.end_upload(upload_id)

    def outlived(self) -> Sequence[tuple[str, str]]:
        return () if self._before is None else self._before.outlived()

    def freed(self, upload_id: str) -> None:
        self._forget(upload_id)
        if self._before is not None:
            self._before.freed(upload_id)

    def hear(self, event: Event, source: ObjectSource | None = None) -> None:
        """Of another process. `source`: what it is about, where that is known."""
        if type(event) is UploadCreated:
            self._creating_s.pop(event.key, None)
            self._begun.setdefault(event.key, {})[event.upload_id] = Begun(row_of_upload(event), source)
        elif type(event) is PartStored:
            begun = self._begun.get(event.key, {}).get(event.upload_id)
            if begun is not None:
                begun.parts[event.part_number] = row_of_part(event)
        elif type(event) is ObjectEnded:
            report = event.report
            self._creating_s.pop(report.key, None)
            # Of one that failed the store may have what nobody could ask it for, and of one that went in one
            # request what the file was before.
            if report.key in self._begun and report.outcome == SUCCESS:
                if not went_whole(report):
                    del self._begun[report.key]
                    return
                for begun in self._begun[report.key].values():
                    begun.outlived = True

    def left(self, *, keeps: bool = False) -> list[Begun]:
        """The uploads that nobody has ended. `keeps`: but for those that another run may go on with."""
        all_of = (begun for uploads in self._begun.values() for begun in uploads.values())
        return [begun for begun in all_of if begun.outlived or not keeps]

    def answer(self, name: str, argument: str) -> Any:
        """What the method of that name says."""
        return {
            "known_uploads": self.known_uploads,
            "begin_creating": self.begin_creating,
            "end_upload": self.end_upload,
            "freed": self.freed,
        }[name](argument)

    def _forget(self, upload_id: str) -> None:
        for uploads in tuple(self._begun.values()):
            uploads.pop(upload_id, None)
