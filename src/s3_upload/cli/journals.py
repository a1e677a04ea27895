"""Where the command keeps its journals: one for each job, which is sources, destination, store and what is
said of the objects.

Rules: there is none for what comes by stdin or pipes alone, for one small file, or for an embedded store.
Where none can be kept (a home that cannot be written) the upload goes on without, and says so once.  No
secret is in one: of the command line that is kept to run the job again, keys and the URLs of proxies with a
password are left out.  What a flag names (a file of metadata or of types, a key) counts as it is found there,
so that another content of it is another job.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from s3_upload.cli.options.objects import FILE
from s3_upload.cli.output import UsageError
from s3_upload.cli.stdin import STDIN
from s3_upload.observe.journal import Journal, no_journal
from s3_upload.sources.content_type import said_by
from s3_upload.sources.source import Here, utf8_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3_upload.cli.options.objects import ObjectOptions
    from s3_upload.cli.options.upload import UploadOptions
    from s3_upload.request_fields import RequestFields
    from s3_upload.sources.source import ObjectSource

SUFFIX = ".journal"
NAME_CHARS = 12
SECRET = "..."  # noqa: S105 - what stands in its place
REMOVED = "(removed)"
"""The working directory, where there is none any more."""
COMMAND, CWD, SOURCES, URL, ENDPOINT = "command", "cwd", "sources", "url", "endpoint"

_LISTS = frozenset({"--files-from", "--manifest"})
_DESCRIPTOR = re.compile(r"(?:fileb?://)?(?:/dev/stdin|/(?:dev|proc/self)/fd/\d+)")
"""Also what a shell makes of <(command)."""


def folder() -> Path:
    """Where journals are that nobody named. Raises `RuntimeError` where there is no home."""
    from platformdirs import user_state_path

    where = user_state_path("s3-upload", appauthor=False) / "jobs"
    # Of an older platformdirs: "~" itself, where there is no home, and whatever XDG_STATE_HOME says. It would
    # be made in the working directory.
    if not where.is_absolute():
        raise RuntimeError(f"{where}: is no whole path")
    return where


def in_folder(path: Path) -> bool:
    """Whether nobody but this program has named the journal at `path`."""
    try:
        return path.suffix == SUFFIX and path.parent == folder()
    except RuntimeError:  # there is no home
        return False


def journal_for(  # noqa: PLR0917 - as they are joined
    options: UploadOptions,
    paths: Sequence[str],
    url: str,
    endpoint: str,
    tell: Callable[[str], object],
    guess: Callable[[ObjectSource], RequestFields],
    *,
    compares: bool = False,
) -> Journal | None:
    """The journal of the upload of `paths` to `url`, None for none: what is compared with the store needs
    none.  `tell` is told why none can be kept; `guess` is what the flags say of objects, which may be found
    once only.  Raises `UsageError`."""
    chosen = options.journal
    if compares:
        if chosen.journal is not None:
            raise UsageError("--journal: sync asks the store what is there, and needs no journal")
        return None
    if chosen.journal is None:
        if chosen.no_journal or STDIN in paths or options.store.embedded is not None:
            return None
        if _are_pipes(paths) or _is_small(options, paths):
            return None
    elif STDIN in paths:
        raise UsageError("--journal: what comes in by stdin can be read once, and no journal helps")
    about = {
        SOURCES: ", ".join(map(utf8_of, paths)),
        URL: url,
        ENDPOINT: endpoint,
        CWD: json.dumps(utf8_of(Here().directory or REMOVED)),
        COMMAND: json.dumps(without_secrets(sys.argv[1:])),
        "said": _digest(_said(options.objects, guess)),
    }
    if chosen.journal is not None:
        return Journal(chosen.journal, about)
    # Shards are jobs of their own, which run side by side.
    shard = [options.sources.shard] if options.sources.shard else []
    where = None
    try:
        name = "\0".join([*map(os.path.abspath, paths), url, endpoint, about["said"], *shard])
        where = folder()
        if not options.output.dryrun:  # which makes nothing
            where.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Why it may not be written, only the attempt tells.
            if not os.access(where, os.W_OK | os.X_OK):
                _make_a_file_in(where)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home, OSError: no working directory
        why = getattr(error, "strerror", None) or error
        tell(no_journal(str(why) if where is None else f"{where}: {why}"))
        return None
    journal = Journal(where / (_digest(name) + SUFFIX), about, is_optional=True)
    journal.is_ours = True
    return journal


def _make_a_file_in(folder: Path) -> None:
    """It is gone at once. Raises `OSError`."""
    import tempfile  # here, or every start of the command would pay for it

    tempfile.TemporaryFile(dir=folder).close()


def how_to_go_on(journal: Journal) -> str:
    """In words, for whoever has interrupted a run."""
    again = "to go on, run the same command again"
    if came_by_stdin(json.loads(journal.about.get(COMMAND, "[]"))):
        return again
    path = Path(journal.path)
    name = path.stem if in_folder(path) else journal.path
    return f"{again}, or: s3-upload jobs resume {name}"


def came_by_stdin(words: Sequence[str]) -> str:
    """The word that has the command read what only its own shell gave it; "" where there is none."""
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if not equals:
            name, value = words[number - 1] if number else "", word
        is_list = name.replace("_", "-").lower() in _LISTS
        if (value == "-" and is_list) or _DESCRIPTOR.fullmatch(value):
            return word if equals else f"{name} {value}"
    return ""


def without_secrets(words: Sequence[str]) -> list[str]:
    """A command line as it may be kept: what has to be given again is SECRET."""
    kept: list[str] = []
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if equals and _is_secret(name, value):
            kept.append(f"{name}={SECRET}")
        else:
            kept.append(SECRET if number and _is_secret(words[number - 1], word) else utf8_of(word))
    return kept


def _is_secret(flag: str, value: str) -> bool:
    flag = flag.replace("_", "-").lower()  # as the parser takes it
    return flag == "--sse-c-key" or (flag == "--proxy" and "@" in value)


def _said(objects: ObjectOptions, guess: Callable[[ObjectSource], RequestFields]) -> str:
    """All that is said of objects, but for secrets."""
    flags = [(spec.name, getattr(objects, spec.name)) for spec in dataclasses.fields(objects) if spec.repr]
    pairs = (*objects.metadata, *objects.tags, *objects.sse_kms_encryption_context)
    is_elsewhere = any(text.startswith(FILE) for text in pairs)
    if is_elsewhere or objects.content_type_map or objects.sse_c_key:
        return f"{flags!r} {said_by(guess)}"
    return repr(flags)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:NAME_CHARS]


def _are_pipes(paths: Sequence[str]) -> bool:
    """Whether all of it can be read once, and another run could leave nothing of it out."""
    return not any(os.path.isfile(path) or os.path.isdir(path) for path in paths)  # noqa: PTH112, PTH113


def _is_small(options: UploadOptions, paths: Sequence[str]) -> bool:
    """Whether all of it is one file that goes in one request."""
    try:
        return len(paths) == 1 and (
            os.path.isfile(paths[0])  # noqa: PTH113
            and os.stat(paths[0]).st_size <= options.tuning.multipart_threshold  # noqa: PTH116
        )
    except (OSError, ValueError):
        return False
