"""What to upload: `ObjectSource`, and `files_recursive`, which makes sources of a directory tree.

Rules:

* A source is a description; nothing is opened or read before its turn comes.
* What it is made of is checked when it is made, so that a mistake shows where it was made.
* Nothing is silently left out: an entry that cannot be uploaded becomes a source with a `problem`
  (its report says failed) or a `skip_reason` (its report says skipped).
* The walk keeps a stack of half-listed directories, so its depth is bounded by the length of paths
  and not by Python's stack, and of a directory it keeps names only: some 70 bytes per file, where
  `os.DirEntry` objects would be 300.
* Keys use "/" on every platform, and are the bytes of names read as UTF-8, whatever the locale says of
  them: a run under another locale uploads the same keys.  A name that is no UTF-8 can be no key; what
  has one fails.  Nothing is normalized: macOS may give "ü" as "u" and a combining mark, and so goes its key.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from inspect import iscoroutinefunction
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, Protocol

import msgspec

from s3_upload.checks import as_bytes, must_be, must_be_bytes, wrong_type
from s3_upload.descriptors import patiently
from s3_upload.errors import ConfigError, FailureKind, SourceError
from s3_upload.filters import Filters, filters_of
from s3_upload.request_fields import RequestFields

_TYPE_NAMES: dict[Callable[[int], bool], str] = {
    stat.S_ISSOCK: "a socket",
    stat.S_ISFIFO: "a FIFO",
    stat.S_ISCHR: "a character device",
    stat.S_ISBLK: "a block device",
}


class BinaryFile(Protocol):
    """Whatever has the `read` of a file opened in binary mode."""

    def read(self, size: int, /) -> bytes: ...


Chunk = bytes | bytearray | memoryview
Chunks = AsyncIterable[Chunk] | Iterable[Chunk] | BinaryFile


class ObjectSource(msgspec.Struct, frozen=True, kw_only=True):
    """One object to upload. Make it with `file`, `data` or `stream`.

    `size` is in bytes and None where it is not known before the source is read.  `fields`: what to say of
    this object (content type, metadata, …) instead of what `default_request` would.  Raises `TypeError` for
    what is of a wrong type, and `ConfigError` for a negative size.
    """

    key: str
    path: str = ""
    body: bytes | None = None
    chunks: Chunks | None = None
    size: int | None = None
    problem: SourceError | None = None
    skip_reason: str = ""
    fields: RequestFields | None = None

    def __post_init__(self) -> None:
        if type(self.key) is str and type(self.path) is str and self.path and self.fields is None:
            return  # a file: of them there are millions
        _check(self)

    @classmethod
    def file(
        cls, path: str | os.PathLike[str], key: str, *, fields: RequestFields | None = None
    ) -> ObjectSource:
        """The file at `path`, streamed from disk while it is uploaded."""
        if type(path) is not str:
            must_be("path", path, (str, os.PathLike), "str or os.PathLike")
            path = os.fsdecode(path)
        return cls(key=key, path=path, fields=fields)

    @classmethod
    def data(
        cls, data: bytes | bytearray | memoryview, key: str, *, fields: RequestFields | None = None
    ) -> ObjectSource:
        """Bytes in memory. A mutable buffer is copied, so that a retry sends the same bytes."""
        body = as_bytes("data", data)
        return cls(key=key, body=body, size=len(body), fields=fields)

    @classmethod
    def stream(
        cls, chunks: Chunks, key: str, size: int | None = None, *, fields: RequestFields | None = None
    ) -> ObjectSource:
        """Bytes that come as they come: from an iterable of them, plain or async, or from a binary file.

        Plain ones and files are read in a thread, so that they may block.  `size`, if given, is checked
        against what came.
        """
        must_be_chunks("chunks", chunks)
        return cls(key=key, chunks=chunks, size=size, fields=fields)

    def __repr__(self) -> str:
        """Without the bytes, which may be many."""
        what = f"data of {self.size} bytes" if self.body is not None else self.path or "stream"
        why_not = self.problem or self.skip_reason
        return f"<ObjectSource {what} to {self.key}{f': {why_not}' if why_not else ''}>"

    @property
    def name(self) -> str:
        """How reports call this source: its path, "data" or "stream"."""
        if self.path:
            return self.path
        return "data" if self.body is not None else "stream"


def utf8_of(name: str) -> str:
    """The bytes that Python read as `name` (of a file, on the command line), read as UTF-8.

    The same text, unless the locale has another encoding.  Bytes that are no UTF-8 become lone
    surrogates, which `is_utf8` finds.
    """
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "surrogateescape")


_SORT_KEY = None if sys.getfilesystemencoding() == "utf-8" else utf8_of
"""Keys come sorted; that their names do, only where these are UTF-8."""


def is_utf8(text: str) -> bool:
    """Whether `text` can be written as UTF-8: whether it has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check(source: ObjectSource) -> None:
    must_be("key", source.key, str, "str", "use its as_posix()" if isinstance(source.key, Path) else "")
    must_be("path", source.path, str, "str")
    if source.body is not None:
        must_be("body", source.body, (bytes, memoryview), "bytes")
    if source.chunks is not None:
        must_be_chunks("chunks", source.chunks)
    if source.size is not None:
        must_be("size", source.size, int, "int or None")
        if source.size < 0:
            raise ConfigError(f"size = {source.size}: must not be negative")
    must_be("fields", source.fields, (RequestFields, NoneType), "RequestFields or None")


def checked(source: Any) -> ObjectSource:
    """`source`, as an iterable of sources gave it. Raises `TypeError` for anything else."""
    if type(source) is not ObjectSource:
        is_path = isinstance(source, str | os.PathLike)
        hint = "use ObjectSource.file(path, key)" if is_path else ""
        must_be("an item of files", source, ObjectSource, "ObjectSource", hint)
    return source  # type: ignore[no-any-return]


def must_be_chunks(name: str, chunks: Any) -> None:
    """Raises `TypeError` for what cannot be read as a stream of bytes."""
    wanted = "an iterable of bytes, plain or async, or a binary file"
    if isinstance(chunks, bytes | bytearray | memoryview | str):
        raise wrong_type(
            name, chunks, wanted, "for bytes use ObjectSource.data, for a path ObjectSource.file"
        )
    if isinstance(chunks, io.TextIOBase):
        raise wrong_type(name, chunks, wanted, "open it in binary mode")
    if isinstance(chunks, AsyncIterable):
        return
    if iscoroutinefunction(getattr(chunks, "read", None)):
        raise wrong_type(name, chunks, wanted, "its read() is async: make an async iterable of it")
    if not isinstance(chunks, Iterable) and not callable(getattr(chunks, "read", None)):
        raise wrong_type(name, chunks, wanted)
    if isinstance(chunks, list | tuple):
        for number, chunk in enumerate(chunks):
            must_be_bytes(f"{name}[{number}]", chunk)


def files_recursive(
    src_dir: str | os.PathLike[str],
    key_prefix: str = "",
    *,
    exclude: str | Iterable[str] = (),
    include: str | Iterable[str] = (),
    filters: Filters | None = None,
) -> Iterator[ObjectSource]:
    """Sources for all files below `src_dir`, lazily, sorted by name within each directory.

    A file's key is `key_prefix` (with a "/" between, unless it is empty or ends in one) and its path
    relative to `src_dir`.  Links to files and directories are followed; a directory reached again
    from inside itself is reported as failed (a loop), as are links to nothing and directories that
    cannot be listed; sockets, devices and FIFOs are reported as skipped.  A file is not opened here:
    whether it can be read turns out at its turn.

    `exclude`: patterns of what to leave out, `include`: of what to take all the same (`filters.py` says how
    they are read); `filters`: both in an order of one's own, as `Filters([Rule("*"), Rule("*.jpg",
    include=True)])`.  What is left out has no report, and a directory of which nothing can be taken is not
    listed.

    Raises `SourceError` at once if `src_dir` is no directory that can be listed, and `ConfigError` for a
    pattern that is none.
    """
    must_be("src_dir", src_dir, (str, bytes, os.PathLike), "str or os.PathLike")
    must_be("key_prefix", key_prefix, str, "str")
    must_be("filters", filters, (Filters, NoneType), "Filters or None")
    given = filters_of(exclude, include)
    if given is not None and filters is not None:
        raise ConfigError("exclude and include do not go together with filters: leave one out")
    filters = filters or given
    root = os.fsdecode(src_dir)
    prefix = key_prefix if not key_prefix or key_prefix.endswith("/") else key_prefix + "/"
    try:
        taken = None if filters is None else _Taken(filters, len(prefix), filters.above)
        top = _list(root, prefix, Path(root).stat(), taken)
    except FileNotFoundError:
        raise SourceError(f"{root or '(empty path)'}: no such directory") from None
    except NotADirectoryError:
        raise SourceError(f"{root}: is not a directory") from None
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise SourceError(f"{root}: {getattr(error, 'strerror', None) or error}") from error
    return _walk(top)


class _Taken(NamedTuple):
    """What is taken of a directory: the entries' paths from the root begin at `start` of their keys; `above`
    is the last match of the directory itself."""

    filters: Filters
    start: int
    above: int

    def inside(self, key: str) -> _Taken:
        """For the directory of that key."""
        return _Taken(self.filters, self.start, self._last_match(key, is_directory=True))

    def wants(self, key: str, entry: os.DirEntry[str]) -> bool:
        try:
            is_directory = entry.is_dir()  # also where a link leads to one
        except OSError:  # it turns out what is wrong when it is looked at
            is_directory = False
        number = self._last_match(key, is_directory=is_directory)
        if is_directory:
            return self.filters.walks(key[self.start :], number)
        return self.filters.takes(number)

    def _last_match(self, key: str, *, is_directory: bool) -> int:
        return self.filters.last_match(key[self.start :], is_directory=is_directory, above=self.above)


class _Directory(NamedTuple):
    """A directory being listed. `names` are still to come, sorted; all not in `others` are plain files.

    Its entries' paths begin with `base`, their keys with `prefix`.  `linked`: a link led here.  Without one
    no directory lies in itself, and there are file systems on which all have one inode number.
    """

    base: str
    prefix: str
    identity: tuple[int, int]
    names: Iterator[str]
    others: set[str]
    linked: bool
    taken: _Taken | None


def _list(
    path: str, prefix: str, info: os.stat_result, taken: _Taken | None, *, linked: bool = False
) -> _Directory:
    names: list[str] = []
    others: set[str] = set()
    with os.scandir(path) as entries:
        for entry in entries:
            if taken is not None and not taken.wants(prefix + utf8_of(entry.name), entry):
                continue
            names.append(entry.name)
            if not entry.is_file(follow_symlinks=False):  # known from the listing: costs no system call
                others.add(entry.name)
    names.sort(key=_SORT_KEY)
    base = path if path.endswith(os.sep) else path + os.sep
    return _Directory(base, prefix, (info.st_dev, info.st_ino), iter(names), others, linked, taken)


def _walk(top: _Directory) -> Iterator[ObjectSource]:
    stack = [top]
    while stack:
        base, prefix, _, names, others, _, _ = stack[-1]
        for name in names:  # goes on where it was left for a directory below
            is_ascii = name.isascii()  # nearly all, and quick to tell
            if is_ascii and name not in others:
                yield ObjectSource(key=prefix + name, path=base + name)
                continue
            path, key = base + name, prefix + utf8_of(name)
            found = _examine(path, key, stack) if name in others else ObjectSource(key=key, path=path)
            if not is_ascii and not is_utf8(key[len(prefix) :]):
                found = _without_key(found, path, key)
            if isinstance(found, _Directory):
                stack.append(found)
                break
            yield found
        else:
            stack.pop()


def _without_key(found: ObjectSource | _Directory, path: str, key: str) -> ObjectSource:
    """What becomes of an entry whose name is no UTF-8: it fails, unless it is left out anyway."""
    if isinstance(found, ObjectSource) and (found.problem is not None or found.skip_reason):
        return found
    problem = SourceError(f"{path}: the name is no UTF-8, which S3 requires: rename it", FailureKind.REJECTED)
    return ObjectSource(key=key, path=path, problem=problem)


def _examine(path: str, key: str, stack: list[_Directory]) -> ObjectSource | _Directory:
    """What an entry is that is no plain file by the listing. `stack`: the directories it lies in."""
    try:
        info = Path(path).stat()
        if stat.S_ISREG(info.st_mode):
            return ObjectSource(key=key, path=path)
        if not stat.S_ISDIR(info.st_mode):
            what = next((text for test, text in _TYPE_NAMES.items() if test(info.st_mode)), "no file")
            return ObjectSource(key=key, path=path, skip_reason=f"is {what}")
        linked = stack[-1].linked or Path(path).is_symlink()
        if linked and any((info.st_dev, info.st_ino) == above.identity for above in stack):
            reason = "the link leads back to a directory it lies in"
        else:
            taken = stack[-1].taken
            inside = None if taken is None else taken.inside(key)
            return patiently(lambda: _list(path, key + "/", info, inside, linked=linked))
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, FileNotFoundError) and Path(path).is_symlink():
            reason = "the link leads to nothing"
    return ObjectSource(key=key, path=path, problem=SourceError(f"{path}: {reason}"))
