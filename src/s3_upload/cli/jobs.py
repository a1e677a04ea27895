"""`jobs`: which journals there are and what they say; a job run again; journals that nobody needs."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from s3_upload.cli.journals import (
    COMMAND,
    CWD,
    ENDPOINT,
    SECRET,
    SOURCES,
    SUFFIX,
    URL,
    came_by_stdin,
    folder,
    in_folder,
)
from s3_upload.cli.output import EXIT_OK, UsageError, emit
from s3_upload.cli.views.render import counted
from s3_upload.errors import ConfigError
from s3_upload.observe.journal_file import InUseError, JournalFile, UnwritableError
from s3_upload.observe.journal_rows import FAILED, LAST_RUN, LEFT, Tally
from s3_upload.sources.own_journals import ENDS
from s3_upload.text import printable
from s3_upload.units import show_bytes

CLOSED = "cannot be opened"
DAMAGED = "damaged, or of another version"
NOTHING = Tally(0, 0, 0, 0)


class _Job(NamedTuple):
    """What a journal says. `unknown`: why nothing is known of it; `stays`: so it is not taken away."""

    path: Path
    about: dict[str, str]
    tally: Tally
    unknown: str = ""
    stays: bool = False

    @property
    def name(self) -> str:
        return self.path.stem if in_folder(self.path) else str(self.path)

    @property
    def left(self) -> int | None:
        """How many files are neither done nor failed; None where the last run did not get to know."""
        left = self.about.get(LEFT, "")
        return int(left) if left.isascii() and left.isdigit() else None

    @property
    def is_done(self) -> bool:
        return self.left == 0 and not self.tally.failed and not self.tally.uploads

    @property
    def last_run_s(self) -> float:
        """0.0 where nobody knows: a link that leads nowhere has no time either."""
        with suppress(KeyError, ValueError, OverflowError, OSError):  # a time that no calendar has
            return datetime.fromtimestamp(float(self.about[LAST_RUN])).timestamp()
        with suppress(OSError):
            return self.path.stat().st_mtime
        return 0.0

    def line(self) -> str:
        if self.unknown:
            return f"{self.name}  {self.unknown}"
        left = "not counted to the end" if self.left is None else f"{self.left:,} left"
        parts = f", {self.tally.uploads:,} in parts begun" if self.tally.uploads else ""
        failed = f", {self.tally.failed:,} failed" if self.tally.failed else ""
        when = f"{datetime.fromtimestamp(self.last_run_s):%Y-%m-%d %H:%M}"
        what = f"{self.about.get(SOURCES, '?')} → {self.about.get(URL, '?')}"
        return f"{self.name}  {when}  {self.tally.done:,} done, {left}{failed}{parts}  {what}"


def tell_all() -> int:
    """A line for each, the latest first."""
    jobs = []
    for path in _files():
        with _looked_at(path) as job:
            jobs.append(job)
    jobs.sort(key=lambda job: -job.last_run_s)
    for job in jobs:
        emit(printable(job.line()))
    if not jobs:
        emit("no jobs: an upload keeps a journal of what is done until jobs prune takes it away")
    return EXIT_OK


def show(name: str) -> int:
    """All that is known of one. Raises `UsageError`."""
    path = _path_of(name)
    with closing(_opened(path)) as file:
        try:
            _tell(_Job(path, file.about(), file.tally()), file)
        except sqlite3.Error as error:
            raise UsageError(f"jobs show {name}: the journal is damaged: {error}") from error
    return EXIT_OK


def _tell(job: _Job, file: JournalFile) -> None:
    emit(printable(job.line()))
    about = job.about
    for title, text in (
        ("command", _shown(about.get(COMMAND, ""))),
        ("in", _folder_of(about)),
        ("store", about.get(ENDPOINT, "")),
        ("done", f"{counted(job.tally.done)}, {show_bytes(job.tally.done_bytes)}"),
        ("journal", str(job.path)),
    ):
        emit(printable(f"  {title:8} {text}"))
    for row in file.objects(FAILED):
        emit(printable(f"  failed   {row.source}: {row.why}"))
    for upload in file.uploads():
        sent = sum(part.size for part in file.parts(upload.upload_id).values())
        emit(printable(f"  begun    {upload.key}: {show_bytes(sent)} of {show_bytes(upload.size)}"))


def resume(name: str) -> int:
    """Runs the command of a job again, where it was run. Raises `UsageError`."""
    path = _path_of(name).absolute()  # it goes elsewhere in a moment
    with closing(_opened(path)) as file:
        about = file.about()
    try:
        words = [str(word) for word in json.loads(about.get(COMMAND, "[]"))]
    except (ValueError, TypeError):
        words = []
    if not words:
        raise UsageError(f"jobs resume {name}: its journal names no command: it is a program's")
    if any(SECRET in (word, word.partition("=")[2]) for word in words):
        shown = _shown(about[COMMAND])
        raise UsageError(f"jobs resume {name}: its command has a secret, which is not kept: type it: {shown}")
    if source := came_by_stdin(words):
        shown = _shown(about[COMMAND])
        raise UsageError(
            f"jobs resume {name}: {source} is what came in then, and is not kept: type it: {shown}"
        )
    try:
        os.chdir(_folder_of(about))
    except OSError as error:
        where = f"{_folder_of(about)}, where it was run"
        raise UsageError(
            f"jobs resume {name}: {where}: {error.strerror}: make it, or type the command"
        ) from error
    # -P: what lies in the folder that is uploaded, perhaps this one, is not taken for modules.
    command = [sys.executable, "-P", "-m", "s3_upload", *with_journal(words, path)]
    # On Windows exec would leave the shell without the one it waits for.
    if os.name != "nt":
        # In its place: signals and the exit code are the upload's own.
        os.execv(sys.executable, command)  # noqa: S606 - as the user typed it before
    return subprocess.call(command)  # noqa: S603


def with_journal(words: list[str], path: Path) -> list[str]:
    """The same command, with that very journal: a run that would go to another store, as this shell's
    variables or its profile have it, is refused by it."""
    end = words.index("--") if "--" in words else len(words)
    flags = [
        word
        for number, word in enumerate(words[:end])
        if not (word.startswith("--journal=") or "--journal" in words[max(number - 1, 0) : number + 1])
    ]
    return [*flags, f"--journal={path}", *words[end:]]


def prune(older_than_s: float | None) -> int:
    """Takes away the journals of jobs that are done; with an age, of all that were last run so long ago."""
    taken = 0
    for path in _files():
        with _looked_at(path) as job:
            is_old = older_than_s is not None and time.time() - job.last_run_s >= older_than_s
            goes = not job.stays and (is_old if older_than_s is not None else job.is_done)
            line = job.line()
            # While it is open: a run that begins meanwhile waits, and finds none.
            if goes and os.name != "nt":
                _remove(path)
        if not goes:
            continue
        if os.name == "nt":
            try:
                _remove(path)
            except PermissionError:  # nobody removes what is open there: a run has it by now
                continue
        taken += 1
        emit(printable(f"pruned {line}"))
    emit(f"pruned {taken:,} {'journal' if taken == 1 else 'journals'}")
    return EXIT_OK


def _remove(path: Path) -> None:
    # The file itself last: who begins a new one takes what is beside it for its own.
    for end in reversed(ENDS):
        Path(f"{path}{end}").unlink(missing_ok=True)


@contextmanager
def _looked_at(path: Path) -> Iterator[_Job]:
    """Within, nobody else has the journal, unless nothing is known of it."""
    try:
        file = _opened(path)
    except ConfigError as error:
        stays = isinstance(error, InUseError | UnwritableError)
        yield _Job(path, {}, NOTHING, _why_unknown(path, error), stays)
        return
    with closing(file):
        try:
            job = _Job(path, file.about(), file.tally())
        except sqlite3.Error:
            job = _Job(path, {}, NOTHING, DAMAGED)
        yield job


def _why_unknown(path: Path, error: ConfigError) -> str:
    if isinstance(error, InUseError):
        return "running now"
    if isinstance(error, UnwritableError):
        return f"{CLOSED}: {str(error).removeprefix(f'{printable(str(path))}: the journal {CLOSED}: ')}"
    return DAMAGED


def _files() -> list[Path]:
    """Raises `UsageError` where nobody can tell whether there are any."""
    try:
        where = folder()
        names = os.listdir(where)  # noqa: PTH208 - names
    except FileNotFoundError:
        return []
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        raise UsageError(
            f"jobs: where journals are kept: {getattr(error, 'strerror', None) or error}"
        ) from error
    return sorted(where / name for name in names if name.endswith(SUFFIX))


def _opened(path: Path) -> JournalFile:
    """To look: what is of no use stays where it is, for a run to find and to tell of."""
    return JournalFile(str(path), puts_aside=False, is_ours=in_folder(path))


def _path_of(name: str) -> Path:
    """A name as `jobs` shows it, the beginning of one, or a path."""
    is_file = os.path.isfile(name)  # noqa: PTH113 - a Path raises where it may not look
    if os.sep in name or is_file:
        if not is_file:
            raise UsageError(f"jobs: {name}: no such file")
        return Path(name)
    found = sorted(folder().glob(f"{name}*{SUFFIX}")) if name.isalnum() else []
    if len(found) != 1:
        why = "several jobs begin like that" if found else "no such job: s3-upload jobs lists them"
        raise UsageError(f"jobs: {name}: {why}")
    return found[0]


def _folder_of(about: Mapping[str, str]) -> str:
    try:
        return str(json.loads(about.get(CWD, '"."')))
    except ValueError:
        return "?"


def _shown(command: str) -> str:
    import shlex

    try:
        return shlex.join(["s3-upload", *json.loads(command)])
    except (ValueError, TypeError):
        return "?"
