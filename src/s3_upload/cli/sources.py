"""From the words of the command line to sources and keys.

The mapping is that of `aws s3 cp`: a directory's contents go below the prefix; one file and a prefix
that does not end in "/" name the very key; else a file goes below the prefix under its own name.  What
comes in by stdin ("-") has no name: the destination names its key.
What can be known to be wrong is said before anything is uploaded; the sources themselves stay lazy.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from s3_upload.cli.output import UsageError
from s3_upload.cli.stdin import STDIN, chunks, stdin_fd
from s3_upload.source import ObjectSource, files_recursive, is_utf8, utf8_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
_SCHEME = "s3://"


class Destination(msgspec.Struct, frozen=True):
    """Where to: `prefix` is "" or what every key begins with (or, for one file, is)."""

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, url: str) -> Destination:
        """The destination that s3://BUCKET[/PREFIX] names. Raises `UsageError`."""
        if not url.startswith(_SCHEME):
            raise UsageError(f"{quoted(url)}: the destination must look like s3://BUCKET/PREFIX")
        bucket, _, prefix = url.removeprefix(_SCHEME).partition("/")
        return cls.below(bucket, prefix, url)

    @classmethod
    def below(cls, bucket: str, prefix: str, where: str) -> Destination:
        """The destination with these names, which messages call `where`. Raises `UsageError`."""
        prefix = utf8_of(prefix)
        if not is_utf8(prefix):
            raise UsageError(f"{where}: is no UTF-8, which S3 requires of keys")
        return cls(check_bucket(bucket, where), prefix)


def check_bucket(bucket: str, where: str) -> str:
    """`bucket`, if a bucket can have that name: letters, digits, dots, hyphens, underscores."""
    if not bucket:
        raise UsageError(f"{quoted(where)}: no bucket is named, expected s3://BUCKET/PREFIX")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f"{quoted(where)}: {quoted(bucket)} is no bucket name (letters, digits, '.', '-', '_')"
        )
    return bucket


def quoted(text: str) -> str:
    """A word of the command line as messages name it: itself, or '' when it is empty."""
    return text or "''"


def split_words(words: Sequence[str], commands: Sequence[str]) -> tuple[list[str], Destination]:
    """The sources and the destination of `s3-upload SRC... s3://BUCKET/PREFIX`.

    Raises `UsageError`; a first word that is almost one of `commands` is taken for a typing error.
    """
    if not words:
        raise UsageError("nothing to do: give SRC... and s3://BUCKET/PREFIX (s3-upload --help tells more)")
    *paths, url = words
    if not url.startswith("s3:"):
        similar = difflib.get_close_matches(words[0], commands, n=1)
        if similar and not os.path.lexists(words[0]):
            raise UsageError(f"{words[0]}: no such command. Did you mean {similar[0]}?")
        raise UsageError(
            f"{quoted(url)}: the destination is missing: the last word must be s3://BUCKET/PREFIX"
        )
    destination = Destination.parse(url)
    if not paths:
        raise UsageError(f"{url}: the source is missing: give files or directories before the destination")
    return paths, destination


def open_sources(paths: Sequence[str], destination: Destination) -> Iterator[ObjectSource]:
    """One lazy iterator over the sources at all `paths`, in their order, with their keys.

    Raises `UsageError` or `SourceError` at once for a path that is missing or cannot be listed, two
    files that would get the same key, and for nothing to upload at all.
    """
    if STDIN in paths:
        return iter((_stdin_source(paths, destination),))
    keys: dict[str, str] = {}
    lanes: list[Iterator[ObjectSource]] = []
    for path in paths:
        if _is_directory(path):
            lanes.append(files_recursive(path, destination.prefix))
            continue
        key = _file_key(path, destination.prefix, alone=len(paths) == 1)
        if key in keys:
            raise UsageError(f"{path}: would overwrite {keys[key]}: both would become the key {key}")
        keys[key] = path
        lanes.append(iter((ObjectSource.file(path, key),)))
    return not_empty(itertools.chain.from_iterable(lanes), paths)


def _stdin_source(paths: Sequence[str], destination: Destination) -> ObjectSource:
    key = destination.prefix
    if len(paths) > 1:
        raise UsageError("-: stdin goes alone (./- is a file of that name)")
    if not key or key.endswith("/"):
        raise UsageError(
            f"s3://{destination.bucket}/{key}: stdin has no name: give the whole key, as in "
            f"s3://{destination.bucket}/{key}NAME"
        )
    return ObjectSource.stream(chunks(stdin_fd()), key)


def not_empty(sources: Iterator[ObjectSource], paths: Sequence[str]) -> Iterator[ObjectSource]:
    """The same sources. Raises `UsageError` if there are none."""
    first = next(sources, None)
    if first is None:
        raise UsageError(f"nothing to upload in {', '.join(paths)}")
    return itertools.chain((first,), sources)


def refuse_overlap(paths: Sequence[str], store_dir: str) -> None:
    """Raises `UsageError` if the embedded store would keep its objects inside one of the sources:
    the upload would feed on itself."""
    store = os.path.realpath(store_dir)
    for path in paths:
        if path == STDIN:
            continue
        source = os.path.realpath(path)
        if os.path.commonpath((store, source)) == source:
            raise UsageError(
                f"--embedded {store_dir}: lies in the source {path}: take a directory outside of it"
            )


def _is_directory(path: str) -> bool:
    """Raises `UsageError` for what is neither a directory nor a regular file."""
    if path.startswith(_SCHEME):
        raise UsageError(f"{path}: a source is a file or a directory; only the last word is an s3:// URL")
    if not path:  # which Path would take for "."
        raise UsageError("'': an empty word is no source")
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: {why[0].lower()}{why[1:]}") from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise UsageError(f"{path}: is neither a regular file nor a directory")
    return stat.S_ISDIR(mode)


def _file_key(path: str, prefix: str, *, alone: bool) -> str:
    if alone and prefix and not prefix.endswith("/"):
        return prefix
    below = prefix if not prefix or prefix.endswith("/") else prefix + "/"
    name = utf8_of(Path(path).name)
    if not is_utf8(name):
        raise UsageError(f"{path}: the name is no UTF-8, which S3 requires of keys: rename it")
    return below + name
