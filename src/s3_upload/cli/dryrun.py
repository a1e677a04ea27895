"""`--dryrun`: says what would be uploaded where and how much that is, as lines or as JSON lines.

Nothing is sent and nobody is asked, not even for credentials.  Files are looked at, not read: one that is
gone, or that may not be read, is told as failed, as it would be by the run.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from s3_upload.cli.output import EXIT_FILES_FAILED, EXIT_OK, emit, emit_json, note
from s3_upload.cli.render import counted, json_line
from s3_upload.errors import FailureKind
from s3_upload.report import SKIPPED
from s3_upload.sources.source import utf8_of
from s3_upload.text import printable
from s3_upload.units import show_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3_upload.cli.options import OutputOptions
    from s3_upload.sources.source import ObjectSource

WOULD_UPLOAD = "would-upload"


def dry_run(
    bucket: str, passes: Iterable[Iterator[ObjectSource]], output: OutputOptions, nothing: str = ""
) -> int:
    """Returns the exit code that the run would have for what is known of its sources. `nothing`: why there
    are none."""
    counts = _Counts()
    for sources in passes:
        for source in sources:
            _tell(bucket, source, counts, output)
    if output.json:
        emit_json(json_line({"type": "summary", "dryrun": True, "bucket": bucket, **counts.record()}))
    elif not (output.quiet or output.only_show_errors):
        emit(printable(f"(dryrun) {nothing or counts}"))
    return EXIT_FILES_FAILED if counts.failed else EXIT_OK


class _Counts:
    """What all lines together say."""

    def __init__(self) -> None:
        self.files = self.bytes = self.streams = self.failed = self.skipped = 0

    def __str__(self) -> str:
        text = f"would upload {counted(self.files)}, {show_bytes(self.bytes)}"
        if self.streams:
            text += ", of a size that only the upload shows"
        if self.failed:
            text += f"; {self.failed:,} would fail"
        return text + (f"; {self.skipped:,} skipped" if self.skipped else "")

    def record(self) -> dict[str, Any]:
        return {"files": self.files, "bytes": self.bytes, "failed": self.failed, "skipped": self.skipped}


def _tell(bucket: str, source: ObjectSource, counts: _Counts, output: OutputOptions) -> None:
    outcome, size, reason = _looked_at(source)
    if outcome == WOULD_UPLOAD:
        counts.files += 1
        counts.bytes += size or 0
        counts.streams += size is None
    elif outcome == SKIPPED:
        counts.skipped += 1
    else:
        counts.failed += 1
    if output.json:
        said = {"source": utf8_of(source.name), "key": source.key, "bytes": size}
        emit_json(json_line({"type": "dryrun", **said, "outcome": outcome, "reason": reason}))
    elif output.quiet or (output.only_show_errors and outcome in {WOULD_UPLOAD, SKIPPED}):
        return
    elif outcome == WOULD_UPLOAD:
        emit(printable(f"(dryrun) upload: {source.name} to s3://{bucket}/{source.key}"))
    elif outcome == SKIPPED:
        note(printable(f"(dryrun) skipped: {source.name}: {reason}"))
    else:
        note(printable(f"(dryrun) failed: {reason}"))


def _looked_at(source: ObjectSource) -> tuple[str, int | None, str]:
    """What would become of it, its size (None: nobody knows yet), and why if it would not be uploaded."""
    if source.problem is not None:
        return source.problem.kind, 0, str(source.problem)
    if source.skip_reason:
        return SKIPPED, 0, source.skip_reason
    if not source.is_file:
        return WOULD_UPLOAD, source.size, ""
    try:
        size = os.stat(source.path).st_size  # noqa: PTH116 - of a million files, a Path each is dear
        if not os.access(source.path, os.R_OK):
            return FailureKind.SOURCE, 0, f"{source.path}: {os.strerror(errno.EACCES)}"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return FailureKind.SOURCE, 0, f"{source.path}: {why}"
    return WOULD_UPLOAD, size, ""
