"""No file that the command reads is one that it writes, and no two that it writes are one.

Rules: that is found out before anything is opened, since what is opened to be written is empty at once.  A
file is the same under every name: behind links, as another hard link, as stdin.  Devices and pipes keep
nothing that could be lost.  What lies in a directory that is a source is not looked for.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from s3_upload.cli.output import UsageError
from s3_upload.cli.stdin import STDIN
from s3_upload.sources.source import info_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from s3_upload.cli.options.upload import UploadOptions

Named = tuple[str, str]
"""How the command line calls a file, and its path."""
_Identity = tuple[int, int] | str

_NEVER_WAIT = frozenset({os.devnull, "/dev/full"})
"""Devices that may be written to like files."""


def refuse_overwriting(paths: Sequence[str], options: UploadOptions, combined: str | None = None) -> None:
    """Raises `UsageError` where a flag's output is one of the sources at `paths`, or a file that another flag
    reads or writes. `combined`: that of verify."""
    output = options.output
    written = [
        ("--journal", options.journal.journal),
        ("--report", output.report),
        ("--failed-to", output.failed_to),
        ("--combined", None if combined == "-" else combined),
    ]
    outputs = [(flag, path) for flag, path in written if path]
    if outputs:
        refuse_same(outputs, _inputs(paths, options))


def refuse_same(outputs: Iterable[Named], inputs: Iterable[Named]) -> None:
    """The same of any. Raises `UsageError`."""
    taken: dict[_Identity, str] = {}
    for name, path in inputs:
        if (identity := _identity(path)) is not None:
            taken[identity] = name
    for flag, path in outputs:
        if path in {"-", STDIN} or (identity := _identity(path)) is None:
            continue
        if identity in taken:
            raise UsageError(f"{flag} {path}: would overwrite {taken[identity]}: give another name")
        taken[identity] = f"the file of {flag}"


def _inputs(paths: Sequence[str], options: UploadOptions) -> Iterator[Named]:
    sources, store, objects = options.sources, options.store, options.objects
    for path in paths:
        yield f"the source {'-' if path == STDIN else path}", path
    key = objects.sse_c_key or ""
    for flag, value in (
        ("--files-from", sources.files_from),
        ("--manifest", sources.manifest),
        *(("--exclude-from", path) for path in sources.exclude_from),
        ("--content-type-map", objects.content_type_map),
        ("--sse-c-key", key.removeprefix("fileb://") if key.startswith("fileb://") else None),
        ("--client-cert", store.client_cert),
        ("--client-key", store.client_key),
        ("--ca-bundle", store.ca_bundle),
    ):
        if value:
            yield f"the file of {flag}", value


def _identity(path: str) -> _Identity | None:
    """What tells a file from others; None for what keeps nothing, or is nobody's."""
    try:
        info = os.fstat(0) if path in {"-", STDIN} else os.stat(path)  # noqa: PTH116 - a text
    except FileNotFoundError:
        with suppress(OSError):  # the working directory was removed
            return os.path.realpath(path)
        return None
    except (OSError, ValueError):
        return None
    return (info.st_dev, info.st_ino) if stat.S_ISREG(info.st_mode) else None


def require_file(flag: str, path: str) -> None:
    """Raises `UsageError` where `path` is no file of its own.  The event loop writes there: a pipe or device
    would hold it up.  Where stdout or stderr go, lines would be written over each other."""
    info = info_of(path)
    if info is None or stat.S_ISDIR(info.st_mode) or path in _NEVER_WAIT:
        return
    if not stat.S_ISREG(info.st_mode):
        raise UsageError(f"{flag} {path}: is no file: give the name of one")
    for number, name in ((1, "stdout"), (2, "stderr")):
        if is_open_as(number, path):
            raise UsageError(f"{flag} {path}: is where {name} goes: give another file")


def is_open_as(number: int, path: str) -> bool:
    """Whether the file descriptor of that number is `path`."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(number))  # noqa: PTH116 - a text
    except (OSError, ValueError):
        return False
