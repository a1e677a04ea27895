"""`verify`: whether the bucket has what is at the sources, in lines, in JSON, in a file."""

from __future__ import annotations

import time
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from s3_upload.bucket.sync import Sync, asking_fields
from s3_upload.bucket.verify import (
    DIFFERENT,
    ONLY_HERE,
    ONLY_THERE,
    SAME,
    UNREADABLE,
    Unseen,
    Verified,
    verified,
)
from s3_upload.cli.output import (
    EXIT_FILES_FAILED,
    EXIT_OK,
    UsageError,
    emit,
    emit_json,
    note,
    require_stdout,
    room,
)
from s3_upload.cli.overwriting import require_file
from s3_upload.cli.views.render import json_line, tell_notes
from s3_upload.cli.watching import run_shown
from s3_upload.errors import S3UploadError
from s3_upload.sources.source import utf8_of
from s3_upload.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from s3_upload.cli.options.compare import VerifyOptions
    from s3_upload.cli.options.upload import OutputOptions, UploadOptions
    from s3_upload.cli.views.display import Display
    from s3_upload.clients.s3 import S3Client
    from s3_upload.sources.mapping import Destination
    from s3_upload.sources.source import ObjectSource

OUTCOMES = {
    SAME: "same",
    DIFFERENT: "different",
    ONLY_HERE: "only at the source",
    ONLY_THERE: "only in the bucket",
    UNREADABLE: "unreadable",
}


class Telling:
    """Tells what is found out, and counts it. `combined` takes a line for each key; where that is stdout, it
    has no other line for a key."""

    def __init__(self, bucket: str, output: OutputOptions, combined: Callable[[str], None] | None) -> None:
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self._bucket = bucket
        self._output = output
        self._combined = combined

    def tell(self, one: Verified) -> None:
        self.counts[one.mark] += 1
        if self._combined is not None:
            self._combined(f"{one.mark} {printable(one.key)}")
        if self._output.json:
            said = {"key": one.key, "source": utf8_of(one.source), "reason": one.reason}
            emit_json(json_line({"type": "verify", "mark": one.mark, "outcome": OUTCOMES[one.mark], **said}))
        elif one.mark == UNREADABLE and not self._output.quiet:
            note(printable(f"failed: {one.reason}"))
        elif one.mark != SAME and not self._output.quiet and self._combined is not emit:
            emit(printable(f"{one.mark} s3://{self._bucket}/{one.key}: {one.reason}"))

    def end(self, notes: Sequence[str], took_s: float) -> int:
        """Says what all come to, and what is to be known of it, and returns the exit code."""
        different = any(count for mark, count in self.counts.items() if mark != SAME)
        if self._output.json:
            counts = {OUTCOMES[mark].replace(" ", "_"): count for mark, count in self.counts.items()}
            said = {"bucket": self._bucket, "wall_time_s": took_s, "notes": notes}
            emit_json(json_line({"type": "summary", "verify": True, **counts, **said}))
        elif not (self._output.quiet or self._output.only_show_errors):
            others = [f"{count:,} {OUTCOMES[mark]}" for mark, count in self.counts.items() if count]
            emit(f"compared in {took_s:.2f} s: {', '.join(others) or 'nothing'}")
            tell_notes(notes)
        return EXIT_FILES_FAILED if different else EXIT_OK


def verify(
    sources: Iterator[ObjectSource],
    destination: Destination,
    how: VerifyOptions,
    options: UploadOptions,
    *,
    show: Callable[..., Display],
    would_take: Callable[[str], bool] | None,
) -> int:
    """Compares, and returns the exit code. `show` makes what shows how far it is; `would_take`: see
    `verified`."""
    began_s = time.monotonic()
    sync = Sync(
        destination,
        "size" if how.size_only else "checksum",
        options.config(),
        fields=asking_fields(options.objects.request_fields()),
        whole=not how.one_way,
        downloads=how.download,
    )
    display = show(compared=sync.so_far)
    with opened(how.combined) as combined:
        telling, unseen = Telling(destination.bucket, options.output, combined), Unseen()

        async def compare(client: S3Client) -> None:
            async with aclosing(verified(sync, client, sources, would_take, unseen)) as found:
                async for one in found:
                    if not (how.one_way and one.mark == ONLY_THERE):
                        telling.tell(one)
                    if (waiting := room()) is not None:
                        await waiting

        run_shown(options.store, destination.bucket, display, compare)
    return telling.end([*sync.notes(), *unseen.notes()], time.monotonic() - began_s)


@contextmanager
def opened(path: str | None) -> Iterator[Callable[[str], None] | None]:
    """What writes a line to the file that --combined names; "-" is stdout.

    Raises `UsageError`, and `S3UploadError` where it cannot be written.
    """
    if path is None or path == "-":
        if path is not None:
            require_stdout("--combined -")
        yield None if path is None else emit
        return
    require_file("--combined", path)
    try:
        file = Path(path).open("w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"--combined {path}: {error.strerror}") from error

    def write(line: str) -> None:
        with _told(path):
            file.write(f"{line}\n")

    try:
        yield write
    finally:
        with _told(path):
            file.close()


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise S3UploadError(f"--combined {path}: {error.strerror}") from error
