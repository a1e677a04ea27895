"""`--failed-to FILE`: the sources that failed, one a line, which `--files-from FILE` takes once more.

Rules: that the file can be written is found out before the run begins, and it is one: no pipe, and not where
stdout goes.  A source is written when it fails, so that a run that is killed has told of those before.  Paths
are absolute, so that they tell in which of several sources they lie, and written as the bytes that they are.
What failed of a manifest is a manifest again.  What has no path, as stdin, cannot be listed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from s3_upload.cli.output import UsageError, note
from s3_upload.cli.overwriting import require_file
from s3_upload.cli.stdin import STDIN
from s3_upload.descriptors import write_all
from s3_upload.errors import S3UploadError
from s3_upload.report import SKIPPED, SUCCESS
from s3_upload.sources.source import Here
from s3_upload.text import printable

if TYPE_CHECKING:
    from s3_upload.report import UploadReport


class FailedTo:
    """Writes to the file at `path`; `ends_with` comes after each name. `manifest_below`: a manifest of keys
    below that. Raises `UsageError` if the file cannot be written."""

    def __init__(self, path: str, ends_with: bytes = b"\n", manifest_below: str | None = None) -> None:
        self._path = path
        self._ends_with = ends_with
        self._manifest_below = manifest_below
        self._here = Here()
        self._odd = False
        if path in {"", "-", STDIN}:  # stdin would be emptied, were it a file
            raise UsageError("--failed-to: give the name of a file")
        require_file("--failed-to", path)
        try:
            self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115 - for as long as the run lasts
        except (OSError, ValueError) as error:
            raise UsageError(f"--failed-to {path}: {getattr(error, 'strerror', None) or error}") from error

    def add(self, report: UploadReport) -> None:
        """What failed is written."""
        path = report.object.path if report.object is not None else ""
        if not path or report.outcome in {SUCCESS, SKIPPED}:
            return
        name = os.fsencode(self._here.whole(path))
        if self._ends_with in name and not self._odd:
            self._odd = True
            note(printable(f"s3-upload: note: {path} has a line break in its name: use -0 for --failed-to"))
        if self._manifest_below is not None:
            name += b"\t" + report.key.removeprefix(self._manifest_below).encode("utf-8", "surrogateescape")
        begin = self._file.tell()
        try:
            write_all(self._file.fileno(), name + self._ends_with)
        except OSError as error:
            with suppress(OSError):  # the begin of a path is another path, perhaps of a whole directory
                self._file.seek(self._file.truncate(begin))
            raise S3UploadError(f"--failed-to {self._path}: {error.strerror}") from error

    def close(self) -> None:
        self._file.close()
