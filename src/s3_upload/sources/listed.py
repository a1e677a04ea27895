"""Lists of what to take: `files_from` (paths), and `manifest` (a path and its key in each line).

Rules:

* Entries end in line feeds, also after a carriage return; or in NULs, where there is one in the first
  FIRST_BYTES, or it was said.  Empty ones are nothing.  Names are the bytes that they are.
* What is listed is what a walk finds there, with the key that a walk gives it: a directory is all that is in
  it, links are followed or skipped, and what the filters leave out is left out.
* A path is relative to the source, or absolute and inside of one.  Of several sources only an absolute path
  tells in which it lies.
* What is not there fails, and stops nothing else.
* A list is read as the upload goes on, and nothing is kept of it: what is listed twice is uploaded twice.  A
  FIFO (and so what <(command) makes) is opened once, and read once.  A manifest is read once before, so that
  two sources with one key are refused before anything is sent; of each key eight bytes are kept.
"""

from __future__ import annotations

import os
import re
import stat
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from s3_upload.checks import must_be
from s3_upload.errors import ConfigError, FailureKind, SourceError
from s3_upload.sources.selecting import Selection
from s3_upload.sources.source import Here, ObjectSource, hash_of, utf8_of
from s3_upload.sources.walk import LINK, Directory, Entry, Way, entries_at, is_link, with_key_that_fits

FIRST_BYTES = 1 << 16
"""So much is read before lines and NULs are told apart."""
MAX_ENTRY_BYTES = 1 << 20
"""A longer one is in no list of paths."""
MAX_LEVELS = 1 << 11
"""Linux has no path with more: of 4,096 bytes."""
STEP = 64
"""So many levels are not too many for Python's stack: in such steps a directory is come to from above."""

_SEPARATOR = re.compile(rf"[{re.escape(os.sep + (os.altsep or ''))}]")
Name = str | bytes | os.PathLike[str]
Blocks = Callable[[], Iterator[bytes]]


class Item(NamedTuple):
    """A path, and in a manifest its key below the prefix."""

    path: str
    key: str = ""


class Listed:
    """What a list says. `name`: of the argument, or the flag; `has_keys`: it is a manifest.

    `given`: the path of a file, or an iterable of paths; `blocks` instead gives the bytes of the file, once.
    Raises `TypeError` and, for a file that cannot be read, `ConfigError`.
    """

    def __init__(
        self,
        given: Name | Iterable[Name],
        name: str = "files_from",
        *,
        nul: bool = False,
        has_keys: bool = False,
        blocks: Blocks | None = None,
    ) -> None:
        self.has_keys = has_keys
        self._nul = nul
        self._blocks = blocks
        self._opened: FileIO | None = None
        self._given: str | Iterable[Name]
        if isinstance(given, str | bytes | os.PathLike):
            self._given = os.fsdecode(given)
            self.name = f"{name} {self._given}"
            self.can_be_read_again = False
            if blocks is None:
                self._try_out(self._given)
        else:
            wanted = "the path of a file" if has_keys else "the path of a file, or an iterable of paths"
            must_be(name, given, () if has_keys else Iterable, wanted)
            self._given, self.name = given, name
            self.can_be_read_again = isinstance(given, list | tuple)

    def items(self) -> Iterator[Item]:
        """Raises `ConfigError` for what is no list."""
        return self._read() if isinstance(self._given, str) else map(Item, self._paths())

    def _paths(self) -> Iterator[str]:
        for number, name in enumerate(self._given):
            must_be(f"{self.name}[{number}]", name, (str, bytes, os.PathLike), "str or os.PathLike")
            if name:
                yield os.fsdecode(name)

    def check(self) -> None:
        """Raises `ConfigError` for a manifest in which a line is none, or two have one key."""
        if not self.has_keys:
            return
        if not self.can_be_read_again:
            raise ConfigError(f"{self.name}: is read twice: give a file")
        hashes = array("Q", (hash_of(item.key) for item in self.items()))
        ordered = sorted(hashes)
        twice = {one for one, other in pairwise(ordered) if one == other}
        if twice:
            self._refuse(twice)

    def _refuse(self, twice: set[int]) -> None:
        """Among the keys with these hashes there are two that are the same."""
        paths: dict[str, str] = {}
        for item in self.items():
            if hash_of(item.key) not in twice:
                continue
            if (other := paths.setdefault(item.key, item.path)) != item.path:
                raise ConfigError(
                    f"{self.name}: {item.path} would overwrite {other}: both have the key {item.key}"
                )

    def _try_out(self, path: str) -> None:
        """Raises `ConfigError` for what cannot be opened. What cannot be opened twice is kept: whoever writes
        into a FIFO that is closed fails, and nobody writes into it again."""
        file = self._open(path)
        self.can_be_read_again = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        if self.can_be_read_again or self.has_keys:
            file.close()
        else:
            self._opened = file

    def _read(self) -> Iterator[Item]:
        blocks = self._blocks() if self._blocks is not None else _blocks_of(self._file())
        for number, entry in enumerate(_entries(blocks, self._nul, self.name), 1):
            if entry:
                yield self._keyed(entry, number) if self.has_keys else Item(os.fsdecode(entry))

    def _file(self) -> FileIO:
        """To be read from its beginning. Raises `ConfigError`."""
        assert isinstance(self._given, str)
        if self.can_be_read_again:
            return self._open(self._given)
        if self._opened is None:
            raise ConfigError(f"{self.name}: is no file, and has been read: give a file")
        file, self._opened = self._opened, None
        return file

    def _open(self, path: str) -> FileIO:
        try:
            return Path(path).open("rb", buffering=0)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.name}: {getattr(error, 'strerror', None) or error}") from error

    def _keyed(self, entry: bytes, number: int) -> Item:
        path, *keys = entry.split(b"\t")
        if len(keys) != 1 or not path or not keys[0]:
            raise ConfigError(f"{self.name}: line {number}: must be a path, one tab and a key")
        try:
            return Item(os.fsdecode(path), keys[0].decode())
        except UnicodeDecodeError:
            raise ConfigError(f"{self.name}: line {number}: the key is not valid UTF-8") from None


class Place(NamedTuple):
    """A source in which what is listed may lie: a directory, whose keys begin with `root`, or what has that
    key. `entries`: all of it."""

    path: str
    root: str
    is_tree: bool
    filters: Selection | None
    entries: Callable[[], Iterator[Entry]]


class Finder:
    """What a list means among some `places`, of which keys in a manifest begin with `base`."""

    def __init__(self, places: Sequence[Place], way: Way, base: str, *, has_keys: bool) -> None:
        self._places = places
        self._way = way
        self._base = base
        self._has_keys = has_keys
        here = Here()
        self._roots = sorted(
            ((root, place) for place in places for root in _spellings(here, place.path)),
            key=lambda found: -len(found[0]),
        )
        self._directory = lru_cache(maxsize=1_024)(self._look_at)

    def entries(self, items: Iterable[Item]) -> Iterator[Entry]:
        for item in items:
            if not self._has_keys:
                yield from self._at(item.path)
                continue
            for entry in self._at(item.path, is_whole=False):
                assert isinstance(entry, ObjectSource)
                renamed = msgspec.structs.replace(entry, key=self._base + item.key)
                yield with_key_that_fits(renamed)

    def _at(self, path: str, *, is_whole: bool = True) -> Iterator[Entry]:
        """`is_whole`: a directory is all that is in it; else it fails."""
        try:
            place, names = self._place_of(path)
        except SourceError as problem:
            yield ObjectSource(key=utf8_of(path), path=path, problem=problem)
            return
        target = os.path.join(place.path, *names)  # noqa: PTH118 - Path drops a "."
        key = place.root + utf8_of("/".join(names))
        # A Path's is_dir raises where the name is too long, or a directory may not be looked into.
        if not is_whole and ((not names and place.is_tree) or os.path.isdir(target)):  # noqa: PTH112
            why = SourceError(f"{target}: is a directory: a manifest names files")
            yield ObjectSource(key=key, path=target, problem=why)
        elif not names:
            yield from place.entries()
        else:
            for end in range(STEP, len(names), STEP):
                self._directory(place, names[:end])
            above = self._directory(place, names[:-1])
            if isinstance(above, ObjectSource):
                yield msgspec.structs.replace(above, key=key, path=target)
            elif above is not None:
                yield from self._found(above, names[-1], path)

    def _found(self, above: Directory, name: str, given: str) -> Iterator[Entry]:
        path, key = above.base + name, above.prefix + utf8_of(name)
        if not self._wants(above, path, key):
            return
        for entry in entries_at(path, key, above, self._way):
            fails = isinstance(entry, ObjectSource) and entry.problem is not None and entry.path == path
            if fails and _is_gone(path):
                to = "" if os.path.isabs(given) else ": paths are relative to the source"  # noqa: PTH117
                gone = SourceError(f"{path}: no such file{to}")
                yield ObjectSource(key=key, path=path, problem=gone)
            else:
                yield entry

    def _wants(self, above: Directory, path: str, key: str) -> bool:
        if above.taken is None:
            return True
        is_there = self._way.follows or not is_link(path)
        return above.taken.wants(
            key,
            partial(os.stat, path),
            is_directory=is_there and os.path.isdir(path),  # noqa: PTH112
            is_file=is_there and os.path.isfile(path),  # noqa: PTH113
        )

    def _look_at(self, place: Place, names: tuple[str, ...]) -> Directory | ObjectSource | None:
        """The directory of these names, as a walk would come to it; a source that tells why it would not,
        and None where that has no report."""
        if not names:
            taken = place.filters and place.filters.at_root(
                place.path, len(place.root), follows=self._way.follows
            )
            return _directory(place.path, place.root, taken)
        above = self._directory(place, names[:-1])
        if not isinstance(above, Directory):
            return above
        path, key = above.base + names[-1], above.prefix + utf8_of(names[-1])
        if not self._wants(above, path, key):
            return None
        if not self._way.follows and is_link(path):
            return ObjectSource(key=key, path=path, skip_reason=LINK)
        try:
            taken = above.taken and above.taken.below(key, path)
        except SourceError as problem:
            return ObjectSource(key=key, path=path, problem=problem)
        return _directory(path, f"{key}/", taken)

    def _place_of(self, path: str) -> tuple[Place, tuple[str, ...]]:
        """The place in which `path` lies, and the names from there. Raises `SourceError`."""
        if os.path.isabs(path):  # noqa: PTH117
            for text in (path, os.path.normpath(path)):
                for root, place in self._roots:
                    if text == root or text.startswith(f"{root.rstrip(os.sep)}{os.sep}"):
                        return place, _names(text[len(root) :], path)
            raise SourceError(f"{path}: lies in none of the sources")
        if len(self._places) != 1:
            raise SourceError(f"{path}: is relative, and there are several sources: give its whole path")
        place = self._places[0]
        if not place.is_tree:
            raise SourceError(f"{path}: {place.path} is no directory: give the whole path")
        return place, _names(path, path)


def _names(path: str, given: str) -> tuple[str, ...]:
    names = tuple(name for name in _SEPARATOR.split(path) if name not in {"", "."})
    if ".." in names:
        raise SourceError(f"{given}: '..' is in no path that a walk finds: leave it out")
    if len(names) > MAX_LEVELS:
        raise SourceError(f"{given[:100]}…: has {len(names):,} levels, more than any path")
    if "\0" in path:
        raise SourceError(f"{given!r}: a null character is in no path", FailureKind.REJECTED)
    return names


def _is_gone(path: str) -> bool:
    """Whether nothing is there, not even what cannot be looked at."""
    try:
        os.lstat(path)
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


def _spellings(here: Here, path: str) -> set[str]:
    """The absolute paths that lead to what `path` names, as they are compared."""
    whole = here.whole(path)
    if not os.path.isabs(whole):  # noqa: PTH117 - of a working directory that was removed
        return set()
    return {whole, os.path.normpath(whole), os.path.realpath(whole)}


def _directory(path: str, prefix: str, taken: object) -> Directory:
    try:
        info = Path(path).stat()
        identity = (info.st_dev, info.st_ino)
    except OSError:  # what lies in it will tell
        identity = (-1, -1)
    base = path if path.endswith(os.sep) else path + os.sep
    return Directory(base, prefix, identity, iter(()), frozenset(), linked=False, taken=taken)  # type: ignore[arg-type]


def _blocks_of(file: FileIO) -> Iterator[bytes]:
    with file:
        while block := file.read(FIRST_BYTES):
            yield block


def _entries(blocks: Iterator[bytes], nul: bool, name: str) -> Iterator[bytes]:
    rest = b""
    while not nul and len(rest) < FIRST_BYTES and (block := next(blocks, b"")):
        rest += block
    nul = nul or b"\0" in rest
    rest = rest.removeprefix(b"\xef\xbb\xbf")
    end, after = (b"\0", b"") if nul else (b"\n", b"\r")
    while True:
        *whole, rest = rest.split(end)
        for entry in whole:
            yield entry.removesuffix(after)
        if len(rest) > MAX_ENTRY_BYTES:
            raise ConfigError(f"{name}: is no list of paths: {len(rest):,} bytes without an end")
        block = next(blocks, b"")
        if not block:
            yield rest.removesuffix(after)
            return
        rest += block
