"""From paths and s3://BUCKET/PREFIX to sources and keys; the command and the calls do the same.

One source is mapped as by `aws s3 cp`: a directory's contents go below the prefix; one file and a prefix
that does not end in "/" name the very key; else a file goes below the prefix under its own name.  Several
are mapped as by `cp -r`: each file and each directory keeps its name below the prefix.  A slash at a
directory's end says nothing (a shell's completion puts it there).  What ends in "." or ".." (or is "/") names
no directory but a place, and its contents go right below the prefix.

What can be known to be wrong is said before anything is uploaded; the sources themselves stay lazy.  So do
those that might get the same keys: directories with one name, or one whose contents go where all the others
go.  Their walks come sorted and are merged: of the keys two at a time are looked at.
"""

from __future__ import annotations

import heapq
import itertools
import os
import re
import stat
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from s3_upload.errors import ConfigError, SourceError
from s3_upload.s3.bucket_kinds import ARN, check_arn, split_arn
from s3_upload.sources.linked import Linked
from s3_upload.sources.listed import Finder, Listed, Place
from s3_upload.sources.ordering import BY_KEY, Order, Ordered, Shard
from s3_upload.sources.selecting import Selection
from s3_upload.sources.source import ObjectSource, is_same_file, is_sent, is_utf8, utf8_of
from s3_upload.sources.unsized import stream_at
from s3_upload.sources.walk import (
    LINK,
    Entry,
    Listings,
    Way,
    is_link,
    sources_of,
    walk_tree,
    with_key_that_fits,
)
from s3_upload.sources.would_take import Root, WouldTake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
_SCHEME = "s3://"
_NO_FILES = "no files are in there, and S3 keeps no empty directories"
_SEPARATORS = os.sep + (os.altsep or "")


class Destination(msgspec.Struct, frozen=True):
    """Where to: `prefix` is "" or what every key begins with (or, for one file, is)."""

    bucket: str
    prefix: str = ""

    @property
    def base(self) -> str:
        """What keys of several sources, and of what is in a directory, begin with."""
        prefix = self.prefix
        return prefix if not prefix or prefix.endswith("/") else prefix + "/"

    @classmethod
    def parse(cls, url: str) -> Destination:
        """The destination that s3://BUCKET[/PREFIX] names. Raises `ConfigError`."""
        if not is_s3_url(url):
            raise ConfigError(f"{quoted(url)}: the destination must look like s3://BUCKET/PREFIX")
        rest = url[len(_SCHEME) :]
        bucket, _, prefix = rest.partition("/")
        if bucket.startswith(ARN):
            bucket, prefix = split_arn(rest) or (bucket, prefix)
        return cls.below(bucket, prefix, url)

    @classmethod
    def below(cls, bucket: str, prefix: str, where: str) -> Destination:
        """The destination with these names, which messages call `where`. Raises `ConfigError`."""
        if not is_utf8(prefix):
            raise ConfigError(f"{where}: is not UTF-8, which S3 requires of keys")
        return cls(check_bucket(bucket, where), prefix)


def is_s3_url(word: str) -> bool:
    """Whether it begins with s3://, in whatever letters: those of a scheme may be capitals."""
    return word[: len(_SCHEME)].lower() == _SCHEME


def check_bucket(bucket: str, where: str) -> str:
    """`bucket`, if a bucket can have that name (letters, digits, dots, hyphens, underscores) or it is the ARN
    of an access point."""
    if bucket.startswith(ARN):
        check_arn(bucket)
        return bucket
    if not bucket:
        raise ConfigError(f"{quoted(where)}: no bucket is named, expected s3://BUCKET/PREFIX")
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(
            f"{quoted(where)}: {quoted(bucket)} is no bucket name (letters, digits, '.', '-', '_')"
        )
    return bucket


def quoted(text: str) -> str:
    """A word as messages name it: itself, or '' when it is empty."""
    return text or "''"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken of the sources at some paths, and in which order."""

    filters: Selection | None = None
    follow_symlinks: bool = True
    listed: Listed | None = None
    shard: Shard | None = None
    order: Order | None = None


class Mapped:
    """What is uploaded of `paths`, in their order, with the keys, and the same once more, to be counted.

    `filters` are for the entries of each directory, for files, and for the names of several directories: what
    a directory alone is called is no part of a key.  `listings`: shared by both walks.  Without
    `follow_symlinks` links are skipped, whether they are found or given.  A FIFO that is given (and so what
    <(command) makes) is read as a stream; those that are found are skipped.
    """

    def __init__(
        self,
        paths: Sequence[str],
        destination: Destination,
        choice: Choice,
        listings: Listings | None = None,
    ) -> None:
        self._paths = paths
        self._destination = destination
        self._choice = choice
        self._listings = listings
        self._ordered: Ordered | None = None
        self._merges = choice.order == BY_KEY and choice.listed is None  # walks are sorted by themselves
        self._order = None if self._merges else choice.order

    def files(self) -> Iterator[ObjectSource]:
        """One lazy iterator over the sources.

        Raises `ConfigError` at once for a path that is missing or cannot be listed, for two files that would
        get the same key, and for a manifest that is none, and `NothingToUpload` where there is none.
        """
        choice = self._choice
        lanes = self._lanes()
        if choice.listed is not None:
            choice.listed.check()
            _refuse_same_roots(lanes, choice.listed.name)
        elif len(self._paths) > 1:
            _refuse_same_keys(lanes, self._destination.base)
        found = not_empty(self._walk(lanes), self._paths, choice)
        if self._order is not None:
            self._ordered = Ordered(found, self._order)
        return sources_of(found if self._ordered is None else self._ordered)

    @property
    def can_be_counted(self) -> bool:
        """Whether `entries` gives something, and sizes come to a sum: a pipe tells its own at its end."""
        listed = self._choice.listed
        if any(lane.kind is _Kind.STREAM for lane in self._lanes()):
            return False
        return listed is None or listed.can_be_read_again or self._order is not None

    def entries(self) -> Iterator[Entry]:
        """What `files` has given, once more and quickly."""
        return self._walk() if self._ordered is None else iter(self._ordered)

    def would_take(self) -> Callable[[str], bool] | None:
        """Whether the key of an object is one that would be taken, had there been a file for it; None: all
        are. Blocking. Raises `ConfigError`."""
        choice = self._choice
        if choice == Choice(order=choice.order):
            return None
        lanes = self._all_lanes()
        trees = [lane for lane in lanes if lane.kind in _DIRECTORIES]
        roots = [Root(lane.path, lane.root, lane.filters) for lane in trees if lane.is_taken]
        if len(lanes) > 1 or not roots:  # what a pattern leaves out beside directories
            names_alone = None if choice.filters is None else choice.filters._replace(ignore_names=())
            roots.append(Root(None, self._destination.base, names_alone))
        given = frozenset(lane.root for lane in lanes if lane.kind not in _DIRECTORIES)
        follows, is_list = choice.follow_symlinks, choice.listed is not None
        return WouldTake(roots, choice.shard, given, follows=follows, is_list=is_list).takes

    def _lanes(self) -> list[_Lane]:
        """Of what is taken."""
        return [lane for lane in self._all_lanes() if lane.is_taken]

    def _all_lanes(self) -> list[_Lane]:
        paths, base, filters = self._paths, self._destination.base, self._choice.filters
        kinds = [_kind(path, follow_symlinks=self._choice.follow_symlinks) for path in paths]
        if len(paths) == 1:
            return [_only_lane(paths[0], kinds[0], self._destination.prefix, base, filters)]
        return [_lane(path, kind, base, filters) for path, kind in zip(paths, kinds, strict=True)]

    def _walk(self, lanes: Sequence[_Lane] | None = None) -> Iterator[Entry]:
        entries: Iterator[Entry]
        lanes = self._lanes() if lanes is None else lanes
        choice, linked = self._choice, Linked()
        if self._merges and len(lanes) > 1:
            entries = _in_key_order(lanes, self._destination.base, linked)
        elif choice.listed is None:
            lane_by_lane = (lane.entries(self._listings, linked) for lane in lanes)
            entries = itertools.chain.from_iterable(lane_by_lane)
        else:
            places = [lane.place(linked) for lane in lanes]
            way = Way(linked, choice.follow_symlinks)
            finder = Finder(places, way, self._destination.base, has_keys=choice.listed.has_keys)
            entries = finder.entries(choice.listed.items())
        return entries if choice.shard is None else choice.shard.of(entries)


class _Kind(Enum):
    """What a path is."""

    TREE = auto()
    TREE_WITHOUT_LINKS = auto()
    FILE = auto()
    STREAM = auto()
    LINK = auto()


_DIRECTORIES = frozenset({_Kind.TREE, _Kind.TREE_WITHOUT_LINKS})


class _Lane(NamedTuple):
    """One path: a directory, whose keys begin with `root` ("" or ending in "/"), or something with that key.

    `filters` are for what is in it; not `is_taken`: they leave out the whole of it.
    """

    path: str
    root: str
    kind: _Kind
    filters: Selection | None
    is_taken: bool = True

    def entries(self, listings: Listings | None = None, linked: Linked | None = None) -> Iterator[Entry]:
        """A directory is listed when its turn comes; one that cannot be by then fails as any other does."""
        if self.kind is _Kind.LINK:
            yield ObjectSource(key=self.root, path=self.path, skip_reason=LINK)
            return
        if self.kind is _Kind.STREAM:
            yield stream_at(self.path, self.root)
            return
        if self.kind is _Kind.FILE:
            yield with_key_that_fits(ObjectSource.file(self.path, self.root))
            return
        try:
            way = Way(linked or Linked(), self.kind is _Kind.TREE, listings)
            yield from walk_tree(self.path, self.root, self.filters, way)
        except SourceError as problem:
            yield ObjectSource(key=self.root, path=self.path, problem=problem)

    def sources(self, linked: Linked | None = None) -> Iterator[ObjectSource]:
        return sources_of(self.entries(linked=linked))

    def place(self, linked: Linked) -> Place:
        """For lists of what to take."""
        entries = partial(self.entries, None, linked)
        return Place(self.path, self.root, self.kind in _DIRECTORIES, self.filters, entries)


def _only_lane(path: str, kind: _Kind, prefix: str, base: str, filters: Selection | None) -> _Lane:
    if kind in _DIRECTORIES:
        return _Lane(path, base, kind, filters)
    if not prefix or prefix.endswith("/"):
        return _lane(path, kind, base, filters)
    return _Lane(path, prefix, kind, None, _takes(path, kind, filters))  # its own name is in no key


def _takes(path: str, kind: _Kind, filters: Selection | None) -> bool:
    """Whether what is no directory is taken."""
    look = partial(os.stat, path) if kind is _Kind.FILE else None
    return filters is None or filters.takes_file(_name_of(path), look)


def _name_of(path: str) -> str:
    return utf8_of(os.path.basename(path.rstrip(_SEPARATORS)))  # noqa: PTH119 - Path drops a last "."


def _lane(path: str, kind: _Kind, base: str, filters: Selection | None) -> _Lane:
    """One of several. Raises `ConfigError` for what cannot be uploaded."""
    is_directory = kind in _DIRECTORIES
    name = _name_of(path)
    if is_directory and name in {"", ".", ".."}:
        return _Lane(path, base, kind, filters)
    if not is_utf8(name):
        raise ConfigError(f"{path}: the name is not UTF-8, which S3 requires of keys: rename it")
    if not is_directory:
        return _Lane(path, base + name, kind, None, _takes(path, kind, filters))
    inside = None if filters is None else filters.inside(name)
    return _Lane(path, f"{base}{name}/", kind, inside, filters is None or inside is not None)


def _refuse_same_keys(lanes: Sequence[_Lane], base: str) -> None:
    """Raises `ConfigError` for two files that would get the same key; `base` is what all keys begin with.

    Only where that can be is anything walked: roots other than `base` are `base` and one name.
    """
    by_root = _by_root(lanes)
    if base not in by_root:
        lanes = [lane for group in by_root.values() if len(group) > 1 for lane in group]
    last = None
    for source in _in_key_order(lanes, base):
        if not is_sent(source):
            continue
        if last is not None and source.key == last.key:
            if is_same_file(source.path, last.path):
                raise ConfigError(f"{source.path}: is the same file as {last.path}: leave one out")
            raise ConfigError(
                f"{source.path}: would overwrite {last.path}: both would become the key {source.key}"
            )
        last = source


def _in_key_order(lanes: Sequence[_Lane], base: str, linked: Linked | None = None) -> Iterator[ObjectSource]:
    """The sources of all, in the order of their keys. A lane begins to be walked when its keys come.

    Keys of roots that differ do not mix, but with those of `base`, in which all roots are.
    """
    by_root = _by_root(lanes)
    around = by_root.pop(base, [])
    named = (_merged([lane.sources(linked) for lane in by_root[root]]) for root in sorted(by_root))
    walks = [itertools.chain.from_iterable(named)] if by_root else []
    return _merged([*walks, *(lane.sources(linked) for lane in around)])


def _by_root(lanes: Sequence[_Lane]) -> dict[str, list[_Lane]]:
    found: dict[str, list[_Lane]] = {}
    for lane in lanes:
        found.setdefault(lane.root, []).append(lane)
    return found


def _refuse_same_roots(lanes: Sequence[_Lane], name: str) -> None:
    """Raises `ConfigError` where two sources, of which only what is listed is walked, might give one key."""
    roots = [lane.root for lane in lanes]
    for lane in lanes:
        if roots.count(lane.root) > 1:
            raise ConfigError(f"{name}: {lane.path}: another source has the same keys: upload them in turn")


def _merged(walks: Sequence[Iterator[ObjectSource]]) -> Iterator[ObjectSource]:
    return walks[0] if len(walks) == 1 else heapq.merge(*walks, key=lambda source: source.key)


class NothingToUpload(ConfigError):  # noqa: N818 - no error for who says it: there is nothing to do
    """Paths that exist, and not one file in them, or none that is not excluded."""


def not_empty(sources: Iterator[Entry], paths: Sequence[str], choice: Choice) -> Iterator[Entry]:
    """The same. Raises `NothingToUpload` if there are none."""
    first = next(sources, None)
    if first is None:
        why = _NO_FILES
        if choice.listed is not None:
            why = f"{choice.listed.name} lists nothing of it"
        elif choice.shard is not None:
            why = f"nothing of it is in shard {choice.shard.number}/{choice.shard.count}"
        elif choice.filters is not None:
            why = "all of it is excluded"
        raise NothingToUpload(f"nothing to upload in {', '.join(paths)}: {why}")
    return itertools.chain((first,), sources)


def _kind(path: str, *, follow_symlinks: bool) -> _Kind:
    """Raises `ConfigError` for what cannot be uploaded."""
    if is_s3_url(path):
        raise ConfigError(f"{path}: a source is a file or a directory; only the last word is an s3:// URL")
    if not path:  # which Path would take for "."
        raise ConfigError("'': an empty word is no source")
    if not follow_symlinks and is_link(path):
        return _Kind.LINK
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()  # it can be listed
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        hint = ""
        if isinstance(error, FileNotFoundError):
            if Path(path).is_symlink():
                target = os.readlink(path)  # noqa: PTH115 - as it is written
                raise ConfigError(
                    f"{path}: the link leads to nothing: mend it ({target} is missing)"
                ) from error
            hint = _hint(path)
        raise ConfigError(f"{path}: {why[0].lower()}{why[1:]}{hint}") from error
    if stat.S_ISDIR(mode):
        return _Kind.TREE if follow_symlinks else _Kind.TREE_WITHOUT_LINKS
    if stat.S_ISFIFO(mode):
        return _Kind.STREAM
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{path}: is neither a file, a directory nor a FIFO")
    return _Kind.FILE


def _hint(path: str) -> str:
    """Why a path that does not exist was probably given."""
    if path.startswith("file://"):
        return f": give the path itself: {path.removeprefix('file://')}"
    if path.startswith("~"):
        return ": ~ stands for a home directory only where no quotes are around it"
    if any(char in path for char in "*?["):
        return " that matches (the shell, or glob.glob, makes names of patterns)"
    return ""
