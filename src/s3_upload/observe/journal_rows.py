"""What a journal has, as plain records."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from s3_upload.observe.events import PartStored, UploadCreated
from s3_upload.report import UploadReport
from s3_upload.sources.source import ObjectSource

DONE, FAILED = "done", "failed"
LAST_RUN, LEFT = "last_run_s", "left"
"""What is said about a job: when it was last begun, in seconds since the epoch, and how many of its sources
that run left for another one, "" where it did not get to know. Rows do not tell: there are some of files that
are gone by now, or were sent as they were before."""


State = tuple[str, int, int, str, str]
"""Source, size, mtime_ns, state and ETag of an object: a million are looked up when a job is run again."""
Row = tuple[str, str, int, int, str, str, str, str, str]
"""An `ObjectRow`, or a plain tuple of the same."""


class ObjectRow(NamedTuple):
    """What became of a source. `source`: of a file that is done its whole path, since a relative one is
    another file elsewhere.  `mtime_ns`: -1 where a later change of the file need not show.  `checksum`:
    base64, by `algorithm`; `why` it failed."""

    key: str
    source: str
    size: int
    mtime_ns: int
    state: str
    etag: str = ""
    algorithm: str = ""
    checksum: str = ""
    why: str = ""


class Done(NamedTuple):
    """A source that an earlier run uploaded, as the file still is. `size`, `etag`: of its object; `mtime_ns`:
    of the file."""

    source: ObjectSource
    size: int
    etag: str
    mtime_ns: int


Revisit = Callable[[Sequence[Done]], Coroutine[Any, Any, Sequence[ObjectSource]]]
"""Does what is still to be done with sources that are done, and gives those that go again."""


class PartRow(msgspec.Struct, frozen=True, gc=False):
    """A part that the store has. `checksum`: base64, "" for none."""

    upload_id: str
    number: int
    size: int
    etag: str
    checksum: str = ""


class UploadRow(msgspec.Struct, frozen=True):
    """An upload in parts that was begun, of one version of a file. `said`: what was said of its object, as
    `UploadCreated` has it."""

    upload_id: str
    key: str
    part_size: int
    size: int
    mtime_ns: int
    ctime_ns: int
    algorithm: str = ""
    checksum_type: str = ""
    said: str = ""


class KnownUploads(msgspec.Struct, frozen=True):
    """What is known of the unfinished uploads in parts of a key: each with its parts, by their numbers.
    `creating_since_s`: when one was asked for whose ID nobody knows (seconds since the epoch)."""

    uploads: tuple[tuple[UploadRow, Mapping[int, PartRow]], ...]
    creating_since_s: float | None = None


class Tally(msgspec.Struct, frozen=True):
    """What a journal has: objects and bytes that are done, objects that failed, open uploads in parts."""

    done: int
    done_bytes: int
    failed: int
    uploads: int


_OF_WHOLE = frozenset({"HeadObject", "PutObject"})


def went_whole(report: UploadReport) -> bool:
    """Whether an object went in one request from the first: so nobody has looked for uploads in parts of its
    key."""
    reports = report.attempt_reports
    return bool(reports) and all(attempt.operation in _OF_WHOLE for attempt in reports)


def row_of_upload(event: UploadCreated) -> UploadRow:
    return UploadRow(
        event.upload_id,
        event.key,
        event.part_size,
        event.size or 0,
        event.mtime_ns,
        event.ctime_ns,
        event.checksum_algorithm,
        event.checksum_type,
        event.said,
    )


def row_of_part(event: PartStored) -> PartRow:
    return PartRow(event.upload_id, event.part_number, event.bytes, event.etag, event.checksum)
