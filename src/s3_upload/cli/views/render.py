"""Renderings of upload reports: text, table, JSON lines.

Rules: each is a fold over the same `UploadReport`s and knows nothing else of the run; memory does not
grow with the number of uploaded files; what goes to stdout is what the user asked for, what goes to
stderr is about it.
"""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, Any

import msgspec

from s3_upload.cli.output import emit, emit_json, note, room
from s3_upload.errors import FailureKind, UploadError, summary_of
from s3_upload.report import SKIPPED, SUCCESS, SummaryFold, UploadReport, UploadSummary
from s3_upload.sources.source import utf8_of
from s3_upload.text import printable, unicode_of
from s3_upload.units import show_bytes, show_rate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from s3_upload.observe.changes import Kept


COLUMNS = ("attempts", "bytes", "success_ms", "total_ms", "MBps", "MBps est")
_WIDTHS = (8, 14, 12, 12, 9, 9)


class Text:
    """Failed and skipped files on stderr as they happen, one line about the run on stdout.

    `quiet` says nothing, `only_errors` only what failed, `verbose` also what was uploaded.
    """

    lists_all = False
    """Whether every file has a line in any case."""
    _sum_up = staticmethod(emit)

    def __init__(
        self, bucket: str, *, quiet: bool = False, only_errors: bool = False, verbose: bool = False
    ) -> None:
        self.bucket = bucket
        self.verbose = verbose and not quiet and not only_errors and not self.lists_all
        self.quiet = quiet
        self.only_errors = only_errors
        self.fold = SummaryFold()
        self.nothing = ""
        """Why there is nothing to upload."""
        self._hopeless: set[str] = set()

    def add(self, report: UploadReport) -> Awaitable[None] | None:
        """Takes one report, and gives what is to be awaited before the next where lines wait to be read.
        Raises `StdoutError` if they cannot be written."""
        self.fold.add(report)
        if report.outcome == SUCCESS and not (self.verbose or self.lists_all):
            return None
        self.show(report)
        return room()

    def show(self, report: UploadReport) -> None:
        if report.outcome == SUCCESS and self.verbose:
            emit(printable(f"upload: {report.source} to s3://{self.bucket}/{report.key}"))
        if report.outcome == SUCCESS or self.quiet:
            return
        if report.outcome != SKIPPED:
            note(printable(failure_line(report, self.bucket)))
        elif not self.only_errors and self._is_news(report):
            note(printable(f"skipped: {report.source}: {report.reason}"))

    def _is_news(self, report: UploadReport) -> bool:
        """Of what no walk can give (a FIFO, a socket) one line is enough, however often it is walked."""
        if report.object is None or not report.object.skip_reason:
            return True
        known = report.source in self._hopeless
        self._hopeless.add(report.source)
        return not known

    def finish(self, summary: UploadSummary, more: Iterable[str] = ()) -> None:
        """Says how the run went, `more` about that, and what is worth to be known for the next."""
        if self.quiet or self.only_errors:
            return
        if self.nothing:  # that may be a misspelt pattern
            note(printable(f"s3-upload: {self.nothing}"))
            return
        self._sum_up(summary_line(summary))
        for text in more:
            note(printable(f"  {text}"))
        tell_notes(summary.notes)

    def break_off(self, error: BaseException, wall_time_s: float) -> None:
        """The run has ended by `error`, which is told elsewhere. Here are the notes of its summary: parts may
        be left at the store, say."""
        partial: UploadSummary | None = summary_of(error)
        if partial is not None and not self.quiet and not self.only_errors:
            tell_notes(partial.notes)


class Table(Text):
    """A row on stdout for every uploaded object, in the columns of `perf_data` in the Rust
    crate that this began as; the rest on stderr. Columns have fixed widths, since a row is written before the
    next one is known."""

    lists_all = True
    _sum_up = staticmethod(note)
    _head_is_due = True

    def show(self, report: UploadReport) -> None:
        if self.quiet:
            return
        if self._head_is_due:
            emit(_row(COLUMNS))
            self._head_is_due = False
        if report.outcome == SUCCESS:
            emit(table_row(report))
        super().show(report)


class JsonLines(Text):
    """One JSON object a line on stdout: `"type": "upload"` for every report, then one `"summary"`: of a run
    that was broken off, too, of what there was until then and with its `error`.  Between them the events that
    `observe.changes` keeps, each with the name of its class: `"limits_changed"`, and so on."""

    lists_all = True

    def show(self, report: UploadReport) -> None:
        source = utf8_of(report.source)  # or its bytes would be read otherwise than those of the key
        emit_json(json_line({"type": "upload", **_builtins(report), "source": source, "MBps": report.MBps}))

    def tell(self, event: Kept) -> None:
        """Takes an event."""
        name = "".join(f"_{char.lower()}" if char.isupper() else char for char in type(event).__name__)
        emit_json(json_line({"type": name.lstrip("_"), **msgspec.to_builtins(event)}))

    def finish(self, summary: UploadSummary, more: Iterable[str] = ()) -> None:
        notes = (*summary.notes, self.nothing) if self.nothing else summary.notes
        self._summary(msgspec.structs.replace(summary, notes=notes), None)

    def break_off(self, error: BaseException, wall_time_s: float) -> None:
        kind = getattr(error, "kind", None)
        name = str(kind) if isinstance(kind, FailureKind) else "error"
        said = {"kind": name, "message": str(error)}
        if isinstance(error, CancelledError | KeyboardInterrupt):
            said = {"kind": "interrupted", "message": "interrupted"}
        partial: UploadSummary | None = summary_of(error)
        self._summary(partial if partial is not None else self.fold.summary(wall_time_s), said)

    def _summary(self, summary: UploadSummary, error: dict[str, str] | None) -> None:
        bare = msgspec.structs.replace(summary, failed=(), skipped=())  # they have had a line each
        counts = _builtins(bare) | {"failed": len(summary.failed), "skipped": len(summary.skipped)}
        counts |= {"goodput_MBps": summary.goodput_MBps, "error": error}
        emit_json(json_line({"type": "summary", **counts}))


def tell_notes(notes: Iterable[str]) -> None:
    for text in notes:
        note(printable(f"s3-upload: note: {text}"))


def failure_line(report: UploadReport, bucket: str) -> str:
    """Which source, and why; where to, unless it is the source that is at fault."""
    # As an error shows names.
    key, source = printable(report.key), printable(report.source)
    why = str(report.error or report.reason or report.outcome).removeprefix(f"{key}: ")
    if why.startswith(f"{source}: "):
        return f"failed: {why}"
    return f"failed: {report.source} to s3://{bucket}/{report.key}: {why}"


def table_row(report: UploadReport) -> str:
    return _row(
        (
            str(report.attempts),
            str(report.bytes),
            f"{report.success_time_s * 1e3:.1f}",
            f"{report.total_time_s * 1e3:.1f}",
            f"{report.MBps:.2f}",
            f"{report.est_MBps:.2f}",
        )
    )


def _row(cells: tuple[str, ...]) -> str:
    return " ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


def summary_line(summary: UploadSummary) -> str:
    """One line about the run, for people."""
    parts = [
        f"uploaded {counted(summary.uploaded)}, {show_bytes(summary.bytes)}"
        f" in {summary.wall_time_s:.2f} s ({show_rate(summary.goodput_MBps * 1e6, 2)})"
    ]
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    if summary.skipped:
        parts.append(f"{len(summary.skipped)} skipped")
    if summary.unchanged:
        parts.append(f"{summary.unchanged:,} unchanged")
    if summary.budget_wait_s >= 0.05:
        parts.append(f"slowed down by the store's trouble for {summary.budget_wait_s:.1f} s")
    if summary.wasted_bytes:
        parts.append(f"{show_bytes(summary.wasted_bytes)} sent in vain")
    return "; ".join(parts)


def counted(files: int) -> str:
    return f"{files:,} file" if files == 1 else f"{files:,} files"


def json_line(record: dict[str, Any]) -> str:
    """`record` as one line of JSON. A byte of a name that is no text is \\xff there, too."""
    try:
        return msgspec.json.encode(record).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_escaped(record)).decode()


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return unicode_of(value)
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list | tuple) else value


def _builtins(record: UploadReport | UploadSummary) -> dict[str, Any]:
    if isinstance(record, UploadReport):
        record = msgspec.structs.replace(record, object=None)  # what a program has of it is no news
    plain: dict[str, Any] = msgspec.to_builtins(record, enc_hook=_plain_error)
    plain.pop("object", None)
    return plain


def _plain_error(value: object) -> object:
    if isinstance(value, UploadError):
        names = ("kind", "message", "attempts", "status", "code", "request_id")
        return {name: _plain_error(getattr(value, name)) for name in names}
    return value
