"""What to upload: `ObjectSource`.

Rules:

* A source is a description; nothing is opened or read before its turn comes.
* What it is made of is checked when it is made, so that a mistake shows where it was made.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from inspect import iscoroutinefunction
from pathlib import Path
from types import NoneType
from typing import Any, Protocol

import msgspec

from s3_upload.checks import as_bytes, must_be, must_be_bytes, wrong_type
from s3_upload.errors import ConfigError, FailureKind, SourceError
from s3_upload.request_fields import RequestFields


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

        Plain ones and files are read in a thread, so that they may block; of an async iterable that has an
        async `read`, too, this is asked (asyncio.StreamReader, aiofiles).  A generator is closed when no more
        of it is wanted, a file is not.  `size`, if given, is checked against what came.
        """
        must_be_chunks("chunks", chunks)
        return cls(key=key, chunks=chunks, size=size, fields=fields)

    @property
    def is_file(self) -> bool:
        """Whether it can be read once more at its path, from any place on."""
        return self.path != "" and self.chunks is None

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


class Bunches(ABC):
    """An iterable that whoever pulls from it may ask for several at a time, of which the last may wait for
    something."""

    @abstractmethod
    def next_bunch(self, count: int) -> list[ObjectSource]:
        """From 1 to `count` sources; waits until there is one.  None at all: there will be no more."""

    def __iter__(self) -> Iterator[ObjectSource]:
        while bunch := self.next_bunch(1):
            yield from bunch


class Here:
    """Where relative paths begin: the working directory of now, or that of another process, as that has
    `told` it. `directory`: "" where it was removed, and nothing lies in it."""

    def __init__(self, told: str = "") -> None:
        try:
            self.directory = told or os.getcwd()  # noqa: PTH109 - a text, perhaps not Unicode
        except OSError:
            self.directory = ""
        self._base = os.path.join(self.directory, "")  # noqa: PTH118 - a text

    @property
    def told(self) -> str:
        """For another process, to which "" would be its own: below that of one that was removed lies nothing,
        either."""
        return self.directory or os.devnull

    def whole(self, path: str) -> str:
        """The path from the root on, with its dots; of a million files, `os.path.abspath` of each is dear."""
        if os.name == "nt":  # where a path may begin at the root of a drive, or on another one
            return os.path.join(self.directory, path)  # noqa: PTH118 - a text
        return path if os.path.isabs(path) else self._base + path  # noqa: PTH117 - a text


def utf8_of(name: str) -> str:
    """The bytes that Python read as `name` (of a file, on the command line), read as UTF-8.

    The same text, unless the locale has another encoding.  Bytes that are no UTF-8 become lone
    surrogates, which `is_utf8` finds.
    """
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "surrogateescape")


def is_utf8(text: str) -> bool:
    """Whether `text` can be written as UTF-8: whether it has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def hash_of(key: str) -> int:
    """Of 64 bits, the same on every machine."""
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def is_same_file(path: str, other: str) -> bool:
    """Whether both lead to one file."""
    with suppress(OSError, ValueError):
        return os.path.samefile(path, other)  # noqa: PTH121 - a Path drops what tells spellings apart
    return False


def is_sent(source: ObjectSource) -> bool:
    """Whether it is to be uploaded at all."""
    return source.problem is None and not source.skip_reason


def held_bytes(sources: Iterable[ObjectSource]) -> int:
    """What they hold in memory already: those of `ObjectSource.data`."""
    return sum(len(source.body) for source in sources if source.body is not None)


def size_of(source: ObjectSource) -> int:
    """Bytes, as far as can be known at once; 0 of what cannot be looked at: who reads it tells what is wrong.
    Blocking."""
    if source.size is not None:
        return source.size
    return size_at(source.path) if source.path and source.problem is None else 0


def size_at(path: str) -> int:
    """Of a file; 0 where that cannot be known. Blocking."""
    info = info_of(path)
    return 0 if info is None else info.st_size


def info_of(path: str) -> os.stat_result | None:
    """What is at `path`, also behind links; None for what cannot be looked at: who reads it tells. Blocks."""
    try:
        return os.stat(path)  # noqa: PTH116 - of a million files, a Path each is dear
    except (OSError, ValueError):
        return None


def same_key(source: ObjectSource, first: ObjectSource) -> SourceError:
    """Why `source` fails while `first` is under way."""
    return SourceError(
        f"{source.name}: {first.name} has the same key and is still being uploaded", FailureKind.SAME_KEY
    )


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
