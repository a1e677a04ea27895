"""`--dryrun`: says what would be uploaded where and how much that is, as lines or as JSON lines.

Nothing is sent and nobody is asked, not even for credentials.  What the journal has as done is left out,
as the run leaves it out, and counted.  Files are looked at, not read: one that is gone, or that may not be
read, is told as failed, as it would be by the run.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from s3_upload.cli.output import EXIT_FILES_FAILED, EXIT_OK, emit, emit_json, note
from s3_upload.cli.views.render import counted, json_line
from s3_upload.errors import FailureKind
from s3_upload.report import SKIPPED
from s3_upload.sources.source import utf8_of
from s3_upload.text import printable
from s3_upload.units import show_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3_upload.cli.options.upload import OutputOptions
    from s3_upload.observe.journal_look import Look
    from s3_upload.sources.source import ObjectSource

WOULD_UPLOAD = "would-upload"


def dry_run(
    bucket: str,
    passes: Iterable[Iterator[ObjectSource]],
    output: OutputOptions,
    nothing: str = "",
    *,
    removes: bool = False,
    look: Look | None = None,
) -> int:
    """Returns the exit code that the run would have for what is known of its sources. `nothing`: why there
    are none; `removes`: files that are uploaded are removed; `look`: what the journal knows."""
    counts = Counts(removes=removes)
    for sources in passes:
        left: Iterable[ObjectSource] = sources
        if look is not None:
            # What is done a move looks at once more, and removes: that is to be seen.
            left = look.taken(sources) if removes else look.left(sources)
        for source in left:
            tell(bucket, source, counts, output)
    if look is not None:
        counts.done = look.done
        if look.problem and not (output.quiet or output.only_show_errors):
            note(printable(f"s3-upload: note: {look.problem}"))
    return tell_counts(bucket, counts, output, nothing)


def tell_counts(bucket: str, counts: Counts, output: OutputOptions, nothing: str) -> int:
    """Says what all come to, and returns the exit code."""
    if output.json:
        emit_json(json_line({"type": "summary", "dryrun": True, "bucket": bucket, **counts.record()}))
    elif not (output.quiet or output.only_show_errors):
        emit(printable(f"(dryrun) {nothing or counts}"))
    return EXIT_FILES_FAILED if counts.failed else EXIT_OK


class Counts:
    """What all lines together say."""

    def __init__(self, *, removes: bool = False) -> None:
        self.removes = removes
        self.files = self.bytes = self.streams = self.failed = self.skipped = 0
        self.unchanged: int | None = None
        """Of a sync."""
        self.done = 0
        """By earlier runs, as the journal has it."""
        self.notes: list[str] = []
        """Of a sync, too: what is to be known of how was compared."""

    def __str__(self) -> str:
        text = f"would upload {counted(self.files)}, {show_bytes(self.bytes)}"
        if self.streams:
            text += ", of a size that only the upload shows"
        if self.failed:
            text += f"; {self.failed:,} would fail"
        text += f"; {self.skipped:,} skipped" if self.skipped else ""
        text += f"; {self.done:,} done by earlier runs" if self.done else ""
        return text + (f"; {self.unchanged:,} unchanged" if self.unchanged else "")

    def record(self) -> dict[str, Any]:
        counted = {"files": self.files, "bytes": self.bytes, "failed": self.failed, "skipped": self.skipped}
        if self.done:
            counted["done_before"] = self.done
        if self.unchanged is None:
            return counted
        return {**counted, "unchanged": self.unchanged, "notes": self.notes}


def tell(bucket: str, source: ObjectSource, counts: Counts, output: OutputOptions, why: str = "") -> None:
    """Says what would become of `source`. `why`: why it would be uploaded, where others would not be."""
    outcome, size, reason = _looked_at(source)
    reason = reason or why
    if outcome == WOULD_UPLOAD:
        counts.files += 1
        counts.bytes += size or 0
        counts.streams += size is None
    elif outcome == SKIPPED:
        counts.skipped += 1
    else:
        counts.failed += 1
    if output.json:
        said: dict[str, Any] = {"source": utf8_of(source.name), "key": source.key, "bytes": size}
        if counts.removes:
            said["removes_source"] = _is_removed(source) and outcome == WOULD_UPLOAD
        emit_json(json_line({"type": "dryrun", **said, "outcome": outcome, "reason": reason}))
    elif output.quiet or (output.only_show_errors and outcome in {WOULD_UPLOAD, SKIPPED}):
        return
    elif outcome == WOULD_UPLOAD:
        because = f" ({why})" if why else ""
        verb = "move" if counts.removes and _is_removed(source) else "upload"
        emit(printable(f"(dryrun) {verb}: {source.name} to s3://{bucket}/{source.key}{because}"))
    elif outcome == SKIPPED:
        note(printable(f"(dryrun) skipped: {source.name}: {reason}"))
    else:
        note(printable(f"(dryrun) failed: {reason}"))


def _is_removed(source: ObjectSource) -> bool:
    """As far as that is known before: what lies behind a linked directory stays, too."""
    return source.is_file and not os.path.islink(source.path)  # noqa: PTH114 - of a million files


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
