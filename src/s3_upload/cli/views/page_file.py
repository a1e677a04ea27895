"""Where a page about a run is written, and what is written there: for `--report`, and for `report`.

Rules: that the file can be written is found out before the run begins; it is written once, at the end,
whatever that end is.  A report that cannot be written then is an error, but never in place of a worse one.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from s3_upload import __version__
from s3_upload.cli.output import UsageError, emit, error_line
from s3_upload.cli.overwriting import is_open_as, refuse_same
from s3_upload.cli.stdin import STDIN, stdin_fd
from s3_upload.descriptors import write_all
from s3_upload.errors import RunError, S3UploadError, summary_of
from s3_upload.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


FOOTER = f"s3-upload {__version__}"


class PageFile:
    """A page that is to be written. Raises `UsageError` if it cannot be, as far as that shows beforehand."""

    def __init__(self, path: str, title: str, flag: str = "--report") -> None:
        from s3_upload.observe.history import History  # here, or every start of the command would pay for it

        self.path = path
        self.history = History()
        self.is_stdout = sys.stdout is not None and is_open_as(1, path)
        self._title = title
        self._flag = flag
        if path in {"", "-", STDIN}:
            raise UsageError(f"{flag}: give the name of a file (/dev/stdout is stdout)")
        try:
            _try_out(Path(path))
        except (OSError, ValueError) as error:
            raise UsageError(f"{flag} {path}: {getattr(error, 'strerror', None) or error}") from error

    def write(self, ending: str = "") -> None:
        """Raises `S3UploadError` if that fails."""
        from s3_upload.cli.views.page import page_html

        text = page_html(self.history, self._title, FOOTER, ending)
        try:
            if self.is_stdout:  # opened once more, it would be written from its beginning
                sys.stdout.flush()
                write_all(1, text.encode())
            else:
                Path(self.path).write_bytes(text.encode())
        except OSError as error:
            raise S3UploadError(f"{self._flag} {self.path}: {error.strerror}") from error


def _try_out(path: Path) -> None:
    """Opens the file for writing as it will be, and leaves no trace of that."""
    there = os.path.lexists(path)
    if there and not path.is_file() and not path.is_dir():
        return  # a pipe, a terminal: to open it may have it wait, or be noticed
    path.open("ab").close()
    if not there:
        path.unlink()


@contextmanager
def written_at_the_end(page: PageFile | None) -> Iterator[None]:
    """Writes the page when what is within has ended, also by an exception."""
    try:
        yield
    except BaseException as error:
        if page is not None:
            if (partial := summary_of(error)) is not None:
                page.history.end(partial)
            try:
                page.write(_ending(error))
            except S3UploadError as other:
                error_line(str(other))
        raise
    if page is not None:
        page.write()


def _ending(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, RunError) and isinstance(error.__cause__, RunError):
        error = error.__cause__  # without how far it came, which the page says anyway
    return str(error) or type(error).__name__


def report(source: str, target: str) -> int:
    """Makes a page of the records in `source` ("-": of those that come in by stdin)."""
    from s3_upload.observe.records import BadRecord, read_records

    refuse_same([("-o", target)], [("the records", source)])
    if source == "-":
        stdin_fd()
    page = PageFile(target, "stdin" if source == "-" else Path(source).name, flag="-o")
    history = page.history
    try:
        with sys.stdin.buffer if source == "-" else Path(source).open("rb") as lines:
            for record in read_records(lines):
                history.add_record(record)
    except BadRecord as error:
        raise UsageError(f"{source}: {error}: give what s3-upload --json wrote") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{source}: {getattr(error, 'strerror', None) or error}") from error
    page.write()
    if not page.is_stdout:
        totals = history.totals
        emit(printable(f"wrote {target}: {totals.uploaded:,} uploaded, {totals.failed:,} failed"))
    return 0
