"""What is taken of the sources: `Filter`, and the `Selection` that a walk asks.

Rules:

* What any of its parts leaves out is left out: patterns (`filters.py`), files of patterns (`ignoring.py`),
  sizes, times.  It gets no report.
* Patterns decide about directories, too: one of which nothing can be taken is not walked.  Sizes and times
  are those of files, also behind links.
* Each file is looked at only where sizes or times are asked for, since that costs a system call.  One that
  cannot be looked at is taken, and its report tells why it failed.
* Durations count from the moment at which the selection is made, which is that of the call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from types import NoneType
from typing import Any, NamedTuple

import msgspec

from s3_upload.checks import must_be
from s3_upload.errors import ConfigError
from s3_upload.sources.ages import When, moment_ns
from s3_upload.sources.filters import UNMATCHED, Filters, Rule, rules_of, several
from s3_upload.sources.ignoring import Ignored, Patterns, found_in, is_ignored, names_only, patterns_of
from s3_upload.units import parse_size

Path = str | os.PathLike[str]


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What to take of directories and files; everything is taken that no part leaves out.

    `exclude`: patterns of what to leave out, `include`: of what to take all the same ("*.tmp", "docs/*.pdf");
    `rules`: both in an order of one's own.  `exclude_from`: files of patterns in the language of .gitignore,
    which count from the root of each source.  `ignore_file`: names of such files in the tree (".gitignore"),
    which count below the directory in which they lie.
    `min_size`, `max_size`: bytes, or "10MB", "64KiB"; both ends count as inside.  `newer_than`, `older_than`:
    of the time of modification: an age ("36h", "7d", a `timedelta`), or a moment ("2026-01-31", a
    `datetime`); what has no zone is local time.

    Raises `TypeError` for what is of a wrong type, and `ConfigError` for what makes no sense.
    """

    exclude: str | Iterable[str] = ()
    include: str | Iterable[str] = ()
    rules: Iterable[Rule] = ()
    exclude_from: Path | Iterable[Path] = ()
    ignore_file: str | Iterable[str] = ()
    min_size: int | str | None = None
    max_size: int | str | None = None
    newer_than: When | None = None
    older_than: When | None = None

    def __post_init__(self) -> None:
        must_be("rules", self.rules, Iterable, "an iterable of Rule")
        rules, given = rules_of(self.exclude, self.include), tuple(self.rules)
        if rules and given:
            raise ConfigError("exclude and include do not go together with rules: leave one out")
        self._keep(rules=rules or given, exclude=(), include=())
        if self.rules:
            Filters(self.rules)
        paths = several("exclude_from", self.exclude_from, "a path", (str, os.PathLike))
        self._keep(exclude_from=tuple(map(os.fspath, paths)))
        self._keep(ignore_file=tuple(several("ignore_file", self.ignore_file, "a name")))
        for name in self.ignore_file:
            if name in {"", ".", ".."} or "/" in name or "\0" in name:
                why = "give the name that such files have in the tree; exclude_from takes a path"
                raise ConfigError(f"ignore_file {name!r}: is no name of a file: {why}")
        for name in ("min_size", "max_size"):
            self._keep(**{name: _size(name, getattr(self, name))})
        for name in ("newer_than", "older_than"):
            must_be(name, getattr(self, name), (str, datetime, timedelta, NoneType), _WHEN)
        self._limits(time.time_ns())

    def _keep(self, **values: Any) -> None:
        """In the form in which they are asked for."""
        for name, value in values.items():
            msgspec.structs.force_setattr(self, name, value)

    def selection(self, now_ns: int | None = None) -> Selection | None:
        """To be asked by walks; None where it leaves out nothing. `now_ns`: from when ages count back.

        Reads the files of `exclude_from`.  Raises `ConfigError`.
        """
        rules: Iterable[Rule] = self.rules
        lines = [line for path in self.exclude_from for line in patterns_of(os.fsdecode(path))]  # type: ignore[union-attr]
        limits = self._limits(time.time_ns() if now_ns is None else now_ns)
        if not (rules or lines or self.ignore_file or limits):
            return None
        return Selection(
            patterns=Filters(rules) if rules else None,
            excluded=Patterns(lines) if lines else None,
            excluded_names=Patterns(names_only(lines)) if lines else None,
            ignore_names=tuple(self.ignore_file),
            limits=limits,
        )

    def _limits(self, now_ns: int) -> Limits | None:
        moments: dict[str, int | None] = {}
        for name in ("newer_than", "older_than"):
            when = getattr(self, name)
            try:
                moments[name] = None if when is None else moment_ns(when, now_ns)
            except ValueError as error:
                raise ConfigError(f"{name} {error}") from None
        limits = Limits(self.min_size, self.max_size, moments["newer_than"], moments["older_than"])  # type: ignore[arg-type]
        if _crossed(limits.min_size, limits.max_size):
            raise ConfigError(f"min_size {self.min_size}: is more than max_size {self.max_size}")
        if _crossed(limits.from_ns, limits.until_ns):
            raise ConfigError(
                f"newer_than {self.newer_than}, older_than {self.older_than}: no file can be both"
            )
        return None if limits == NO_LIMITS else limits


class Limits(NamedTuple):
    """Bytes, and times of modification in nanoseconds since 1970; None: no limit."""

    min_size: int | None = None
    max_size: int | None = None
    from_ns: int | None = None
    until_ns: int | None = None

    def take(self, info: os.stat_result) -> bool:
        """Whether a file of which that is known lies inside all of them."""
        size, mtime_ns = info.st_size, info.st_mtime_ns
        return (
            (self.min_size is None or size >= self.min_size)
            and (self.max_size is None or size <= self.max_size)
            and (self.from_ns is None or mtime_ns >= self.from_ns)
            and (self.until_ns is None or mtime_ns <= self.until_ns)
        )


NO_LIMITS = Limits()
Look = Callable[[], os.stat_result]


class Selection(NamedTuple):
    """What is taken of the sources. `above`: the last match of the root itself; `excluded_names`: what of
    `excluded` is about names at any depth."""

    patterns: Filters | None = None
    excluded: Patterns | None = None
    excluded_names: Patterns | None = None
    ignore_names: tuple[str, ...] = ()
    limits: Limits | None = None
    above: int = UNMATCHED

    def __repr__(self) -> str:
        return f"Selection({self.patterns or ''})"

    def takes_file(self, name: str, look: Look | None) -> bool:
        """Whether to take a file that is a source of its own. `look`: see `Inside.wants`; None: what
        has no size."""
        if self.patterns is not None and not self.patterns.takes_file(name):
            return False
        if self.excluded is not None and self.excluded.says(name, is_directory=False):
            return False
        return self.limits is None or look is None or _fits(self.limits, look)

    def inside(self, name: str) -> Selection | None:
        """For a directory that is one of several sources: its name counts as any other does, though its
        entries' paths begin below it. None: it is not to be walked."""
        if self.excluded_names is not None and self.excluded_names.says(name, is_directory=True):
            return None
        if self.patterns is None:
            return self
        above = self.patterns.last_match_of_name(name)
        return None if above is None else self._replace(above=above)

    def at_root(self, path: str, start: int, *, follows: bool) -> Inside:
        """For the entries of the root, which is at `path`. Raises `SourceError`."""
        ignored = () if self.excluded is None else ((self.excluded, start),)
        top = Inside(self, start, self.above, ignored, follows)
        return top.reading(path, start)


class Inside(NamedTuple):
    """What is taken of a directory: the entries' paths from the root begin at `start` of their keys; `above`
    is the last match of the directory itself; `ignored`: files of patterns, the nearest first; `follows`:
    links are what they lead to."""

    selection: Selection
    start: int
    above: int
    ignored: tuple[Ignored, ...]
    follows: bool

    def below(self, key: str, path: str) -> Inside:
        """For the directory of that key, which is at `path`. Raises `SourceError`."""
        inside = self
        if self.selection.patterns is not None:
            inside = self._replace(above=self._last_match(self.selection.patterns, key, is_directory=True))
        return inside.reading(path, len(key) + 1)

    def reading(self, path: str, start: int) -> Inside:
        """The same, and what the files of patterns in the directory say."""
        names = self.selection.ignore_names
        if not names:
            return self
        found = [patterns for name in names if (patterns := found_in(path, name)) is not None]
        # The name that is given last counts most.
        nearest = tuple((patterns, start) for patterns in reversed(found))
        return self._replace(ignored=(*nearest, *self.ignored))

    def tells_apart(self, key: str) -> object:
        """What decides, beside its contents, what is taken of the directory of that key: that of another way
        to the same directory is equal only if the same is taken there. Both by one run's selection."""
        patterns, files = self.selection.patterns, [lines for lines, _ in self.ignored]
        by_path = patterns is not None and patterns.have_paths_in(key[self.start :])
        if by_path or any(file.have_paths for file in files):
            return key
        above = self.above if patterns is None else self._last_match(patterns, key, is_directory=True)
        return above, tuple(file.lines for file in files)

    def wants(self, key: str, look: Look, *, is_directory: bool, is_file: bool) -> bool:
        """`look` tells of a file its size and times."""
        patterns, limits = self.selection.patterns, self.selection.limits
        if patterns is not None:
            number = self._last_match(patterns, key, is_directory=is_directory)
            takes = patterns.walks(key[self.start :], number) if is_directory else patterns.takes(number)
            if not takes:
                return False
        if self.ignored and is_ignored(self.ignored, key, is_directory=is_directory):
            return False
        return limits is None or not is_file or _fits(limits, look)

    def _last_match(self, patterns: Filters, key: str, *, is_directory: bool) -> int:
        return patterns.last_match(key[self.start :], is_directory=is_directory, above=self.above)


def selection_of(
    filter: Filter | None,
    exclude: str | Iterable[str] = (),
    include: str | Iterable[str] = (),
) -> Selection | None:
    """What a call asks for that takes a filter, or patterns alone."""
    must_be("filter", filter, (Filter, NoneType), "Filter or None")
    given = rules_of(exclude, include)
    if given and filter is not None:
        raise ConfigError("exclude and include do not go together with filter: give them to Filter")
    return (filter or Filter(rules=given)).selection()


_WHEN = "an age or a date as str, datetime or timedelta, or None"


def _fits(limits: Limits, look: Look) -> bool:
    try:
        return limits.take(look())
    except (OSError, ValueError):  # its report will tell
        return True


def _crossed(low: int | None, high: int | None) -> bool:
    return low is not None and high is not None and low > high


def _size(name: str, given: int | str | None) -> int | None:
    must_be(name, given, (int, str, NoneType), "int, str or None")
    if isinstance(given, str):
        try:
            given = parse_size(given)
        except ValueError as error:
            raise ConfigError(f"{name} {error}") from None
    if given is not None and given < 0:
        raise ConfigError(f"{name} {given}: must not be negative")
    return given
