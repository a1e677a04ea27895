"""A directory tree as sources: `files_recursive`, and `walk_tree`, by which files can be counted quickly.

Rules:

* Nothing is silently left out: an entry that cannot be uploaded becomes a source with a `problem`
  (its report says failed) or a `skip_reason` (its report says skipped).
* The walk keeps a stack of half-listed directories, so its depth is bounded by the length of paths
  and not by Python's stack, and of a directory it keeps names only: some 70 bytes per file, where
  `os.DirEntry` objects would be 300.
* Keys use "/" on every platform, and are the bytes of names read as UTF-8, whatever the locale says of
  them: a run under another locale uploads the same keys.  A name that is not valid UTF-8 cannot be a
  key: what has one fails.  Nothing is normalized: macOS may give "ü" as "u" and a combining
  mark, and so goes its key.
* Keys come in the order in which S3 lists them, that of their UTF-8 bytes, so that a listing can be read
  beside the walk: `a.txt` before `a/x`, since "." comes before "/"; so a directory is sorted by its name and
  "/".  https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
* Two walks over one tree (the upload's, and one that counts ahead of it) share `Listings`: with each entry
  of a directory that is listed the interpreter's lock may change hands, which costs more than the entry.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from s3_upload.checks import must_be
from s3_upload.descriptors import patiently
from s3_upload.errors import FailureKind, SourceError
from s3_upload.sources.linked import Linked
from s3_upload.sources.selecting import Filter, Inside, Selection, selection_of
from s3_upload.sources.source import ObjectSource, is_utf8, utf8_of

_TYPE_NAMES: dict[Callable[[int], bool], str] = {
    stat.S_ISSOCK: "a socket",
    stat.S_ISFIFO: "a FIFO",
    stat.S_ISCHR: "a character device",
    stat.S_ISBLK: "a block device",
}

_SORT_KEY = None if sys.getfilesystemencoding() == "utf-8" else utf8_of
"""Keys come sorted; that their names do, only where these are UTF-8."""

LINK = "is a link, and links are not followed"
"""Why it is skipped."""
MAX_KEY_BYTES = 1_024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
LONG_PREFIX = 192
"""In UTF-8 no more than four times as many bytes; and no name has more than 255."""
MAX_SHARED_NAMES = 100_000
"""At some 70 bytes each."""


def files_recursive(
    src_dir: str | os.PathLike[str],
    key_prefix: str = "",
    *,
    exclude: str | Iterable[str] = (),
    include: str | Iterable[str] = (),
    filter: Filter | None = None,
    follow_symlinks: bool = True,
) -> Iterator[ObjectSource]:
    """Sources for all files below `src_dir`, lazily, in the order in which S3 lists their keys.

    A file's key is `key_prefix` (with a "/" between, unless it is empty or ends in one) and its path
    relative to `src_dir`.  Links to files and directories are followed, unless `follow_symlinks` is False:
    then all are reported as skipped, `src_dir` too.  A directory to which several links lead is walked at the
    first of them, and the others are reported as skipped; but at each of them where patterns of paths may
    take something else there.  A directory reached again from inside itself is
    reported as failed (a loop), as are links to nothing and directories that cannot be listed; sockets,
    devices and FIFOs are reported as skipped.  A file is not opened here: whether it can be read turns out
    at its turn.

    `exclude`: patterns of what to leave out, `include`: of what to take all the same (`filters.py` says how
    they are read); `filter`: these and all else that selects.  What is left out has no report, and a
    directory of which nothing can be taken is not listed.

    Raises `SourceError` at once if `src_dir` is no directory that can be listed, and `ConfigError` for a
    pattern that is none.
    """
    must_be("src_dir", src_dir, (str, bytes, os.PathLike), "str or os.PathLike")
    must_be("key_prefix", key_prefix, str, "str")
    must_be("follow_symlinks", follow_symlinks, bool, "True or False")
    taken = selection_of(filter, exclude, include)
    return sources_of(walk_tree(os.fsdecode(src_dir), key_prefix, taken, Way(Linked(), follow_symlinks)))


class PlainFiles(NamedTuple):
    """Files of one directory, which follow each other: paths begin with `base`, keys with `prefix`."""

    base: str
    prefix: str
    names: Sequence[str]


Entry = PlainFiles | ObjectSource


def sources_of(entries: Iterable[Entry]) -> Iterator[ObjectSource]:
    """The sources that `entries` stand for."""
    for entry in entries:
        if isinstance(entry, ObjectSource):
            yield entry
            continue
        base, prefix, names = entry
        for name in names:
            yield ObjectSource(key=prefix + name, path=base + name)


class Listings:
    """What two walks over the same tree have found: the first that comes to a directory lists it, and the
    second takes what the first kept.

    At most `max_names` names wait for the second: what is found beyond these, each lists for itself.
    """

    def __init__(self, max_names: int = MAX_SHARED_NAMES) -> None:
        self._room = max_names
        self._kept: dict[str, Listing] = {}
        self._lock = threading.Lock()

    def get(self, path: str, list_it: Callable[[], Listing]) -> Listing:
        """The listing of the directory at `path`. Raises what `list_it` raises."""
        with self._lock:
            kept = self._taken(path)
        if kept is not None:
            return kept
        listing = list_it()
        with self._lock:  # in the meantime the other may have listed it as well: then both have it
            if self._taken(path) is None and len(listing.names) <= self._room:
                self._kept[path] = listing
                self._room -= len(listing.names)
        return listing

    def _taken(self, path: str) -> Listing | None:
        listing = self._kept.pop(path, None)
        if listing is not None:
            self._room += len(listing.names)
        return listing


def with_key_that_fits(source: ObjectSource) -> ObjectSource:
    """The same; one that fails if its key is longer than S3 takes."""
    key = source.key
    if len(key) <= MAX_KEY_BYTES // 4 or source.problem is not None or source.skip_reason:
        return source
    length = len(key.encode("utf-8", "surrogateescape"))
    if length <= MAX_KEY_BYTES:
        return source
    why = f"{source.name}: its key has {length:,} bytes, and S3 takes {MAX_KEY_BYTES:,}: shorten it"
    return ObjectSource(key=key, path=source.path, problem=SourceError(why, FailureKind.REJECTED))


def is_link(path: str) -> bool:
    """Whether a link is what `path` names: a slash at its end says nothing."""
    return os.path.islink(path.rstrip(os.sep) or path)  # noqa: PTH114 - a Path drops a last "."


class Way(NamedTuple):
    """How trees are walked. `linked`: shared with the others of one run; `listings`: with another walk over
    the same with the same filters."""

    linked: Linked
    follows: bool = True
    listings: Listings | None = None


def walk_tree(
    root: str, key_prefix: str, filters: Selection | None = None, way: Way | None = None
) -> Iterator[Entry]:
    """What lies below `root`, as `files_recursive` has it: files that are nothing but that come many at once.

    Raises `SourceError` at once if `root` is no directory that can be listed.
    """
    prefix = key_prefix if not key_prefix or key_prefix.endswith("/") else key_prefix + "/"
    way = way or Way(Linked())
    if not way.follows and is_link(root):
        return iter((ObjectSource(key=prefix, path=root, skip_reason=LINK),))
    try:
        taken = None if filters is None else filters.at_root(root, len(prefix), follows=way.follows)
        top = _list(root, prefix, Path(root).stat(), taken, way)
    except FileNotFoundError:
        raise SourceError(f"{root or '(empty path)'}: no such directory") from None
    except NotADirectoryError:
        raise SourceError(f"{root}: is not a directory") from None
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise SourceError(f"{root}: {getattr(error, 'strerror', None) or error}") from error
    return _walk([top], way)


class Listing(NamedTuple):
    """What is in a directory: `names`, sorted, of directories with a "/" at the end; all not in `others` are
    plain files."""

    names: Sequence[str]
    others: frozenset[str]


class Directory(NamedTuple):
    """A directory being walked: `names` are still to come, of those of its listing.

    Its entries' paths begin with `base`, their keys with `prefix`.  `linked`: a link led here.  Without one
    no directory lies in itself, and there are file systems on which all have one inode number.
    """

    base: str
    prefix: str
    identity: tuple[int, int]
    names: Iterator[str]
    others: frozenset[str]
    linked: bool
    taken: Inside | None


def _list(
    path: str, prefix: str, info: os.stat_result, taken: Inside | None, way: Way, *, linked: bool = False
) -> Directory:
    list_it = partial(_listing, path, prefix, taken, follows=way.follows)
    names, others = list_it() if way.listings is None else way.listings.get(path, list_it)
    base = path if path.endswith(os.sep) else path + os.sep
    return Directory(base, prefix, (info.st_dev, info.st_ino), iter(names), others, linked, taken)


def _listing(path: str, prefix: str, taken: Inside | None, *, follows: bool) -> Listing:
    names: list[str] = []
    others: set[str] = set()
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if taken is not None and not taken.wants(
                prefix + utf8_of(name),
                entry.stat,
                is_directory=_tells(entry.is_dir, follows),
                is_file=_tells(entry.is_file, follows),
            ):
                continue
            if not entry.is_file(follow_symlinks=False):  # known from the listing: costs no system call
                if _tells(entry.is_dir, follows):
                    name += "/"
                others.add(name)
            names.append(name)
    names.sort(key=_SORT_KEY)
    return Listing(names, frozenset(others))


def _tells(what: Callable[..., bool], follows: bool) -> bool:
    """Of an entry. What it is turns out when it is looked at: here only where it belongs among the others."""
    try:
        return what(follow_symlinks=follows)
    except OSError:
        return False


def _walk(stack: list[Directory], way: Way) -> Iterator[Entry]:
    while stack:
        base, prefix, _, names, others, *_ = stack[-1]
        plain: list[str] = []
        for name in names:  # goes on where it was left for a directory below
            is_ascii = name.isascii()  # nearly all, and quick to tell
            if is_ascii and name not in others:
                plain.append(name)
                continue
            if plain:
                yield from _plain(base, prefix, plain)
                plain = []
            bare = name.removesuffix("/")
            path, key = base + bare, prefix + utf8_of(bare)
            found: ObjectSource | Directory = ObjectSource(key=key, path=path)
            if name in others:
                found = _examine(path, key, stack, way)
            if not is_ascii and not is_utf8(key[len(prefix) :]):
                found = _without_key(found, path, key)
            if isinstance(found, Directory):
                stack.append(found)
                break
            yield with_key_that_fits(found)
        else:
            if plain:
                yield from _plain(base, prefix, plain)
            stack.pop()


def entries_at(path: str, key: str, above: Directory, way: Way) -> Iterator[Entry]:
    """What a walk that has come to the directory `above` finds at `path` in it: a file, all that is in a
    directory, or why there is nothing to upload."""
    found = _examine(path, key, [above], way)
    if not key.isascii() and not is_utf8(key):
        found = _without_key(found, path, key)
    if isinstance(found, Directory):
        yield from _walk([above, found], way)
    else:
        yield with_key_that_fits(found)


def _plain(base: str, prefix: str, names: Sequence[str]) -> Iterator[Entry]:
    """Most are in no directory so deep that the lengths of their keys would have to be looked at."""
    if len(prefix) < LONG_PREFIX:
        yield PlainFiles(base, prefix, names)
        return
    for name in names:
        yield with_key_that_fits(ObjectSource(key=prefix + name, path=base + name))


def _without_key(found: ObjectSource | Directory, path: str, key: str) -> ObjectSource:
    """What becomes of an entry whose name is not UTF-8: it fails, unless it is left out anyway."""
    if isinstance(found, ObjectSource) and (found.problem is not None or found.skip_reason):
        return found
    why = f"{path}: the name is not UTF-8, which S3 requires: rename it"
    problem = SourceError(why, FailureKind.REJECTED)
    return ObjectSource(key=key, path=path, problem=problem)


def _examine(path: str, key: str, stack: list[Directory], way: Way) -> ObjectSource | Directory:
    """What an entry is that is no plain file by the listing. `stack`: the directories it lies in."""
    if not way.follows and is_link(path):
        return ObjectSource(key=key, path=path, skip_reason=LINK)
    try:
        info = os.stat(path)  # noqa: PTH116 - of a list of millions, a Path each is dear
        if stat.S_ISDIR(info.st_mode):
            return _enter(path, key, info, stack, way)
        if stat.S_ISREG(info.st_mode):
            return ObjectSource(key=key, path=path)
        what = next((text for test, text in _TYPE_NAMES.items() if test(info.st_mode)), "no file")
        return ObjectSource(key=key, path=path, skip_reason=f"is {what}")
    except SourceError as error:
        problem = error
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, FileNotFoundError) and Path(path).is_symlink():
            reason = "the link leads to nothing"
        problem = SourceError(f"{path}: {reason}")
    return ObjectSource(key=key, path=path, problem=problem)


def _enter(
    path: str, key: str, info: os.stat_result, stack: list[Directory], way: Way
) -> ObjectSource | Directory:
    """The directory at `path`, of which `info` tells, or why it is not walked. Raises `SourceError` and
    `OSError`."""
    is_symlink = Path(path).is_symlink()
    linked = stack[-1].linked or is_symlink
    if linked and any((info.st_dev, info.st_ino) == above.identity for above in stack):
        raise SourceError(f"{path}: the link leads back to a directory it lies in")
    taken = stack[-1].taken
    # What has no key fails, and nothing is uploaded there.
    if is_symlink and (key.isascii() or is_utf8(key)):
        tells_apart = None if taken is None else taken.tells_apart(key)
        first = way.linked.first(path, info, tells_apart, is_nested=stack[-1].linked)
        if first != path:
            why = f"leads to the directory that {first} leads to: it is uploaded there"
            return ObjectSource(key=key, path=path, skip_reason=why)
    inside = None if taken is None else taken.below(key, path)
    return patiently(lambda: _list(path, key + "/", info, inside, way, linked=linked))
