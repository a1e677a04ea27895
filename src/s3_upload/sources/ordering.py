"""Which share of the sources, and in which order: `shard` and `order`.

An order other than that of the walk needs all sources before the first is uploaded: of each its name and 24
bytes are kept, some 100 bytes, until the upload has come to it.
"""

from __future__ import annotations

import re
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from s3_upload.checks import must_be
from s3_upload.errors import ConfigError
from s3_upload.sources.source import ObjectSource, hash_of, info_of, is_sent
from s3_upload.sources.walk import Entry, PlainFiles

LATEST_NS = (1 << 63) - 1
"""In the year 2262. What is dated later or, mirrored, earlier than that is in the order of the walk."""


class Shard(msgspec.Struct, frozen=True):
    """The share `number` (from 1 on) of `count`: each key is in one of them, on every machine in the same."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From "2/5". Raises `ConfigError`."""
        must_be("shard", text, str, "str")
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise ConfigError(f"shard {text}: must be K/N, with K from 1 to N: 1/3, 2/3 and 3/3 are all")
        return cls(int(match[1]), int(match[2]))

    def has(self, key: str) -> bool:
        return hash_of(key) % self.count == self.number - 1

    def of(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Those of `entries` that are in it."""
        for entry in entries:
            if isinstance(entry, ObjectSource):
                if self.has(entry.key):
                    yield entry
            elif names := [name for name in entry.names if self.has(entry.prefix + name)]:
                yield PlainFiles(entry.base, entry.prefix, names)


class Order(msgspec.Struct, frozen=True):
    """By "name" (of the key), "size" or "mtime" (of modification); `falling`: the largest first."""

    by: str
    falling: bool = False

    @classmethod
    def parse(cls, text: str) -> Order:
        """From "size", "size,desc", "mtime,asc". Raises `ConfigError`."""
        must_be("order", text, str, "str")
        match = re.fullmatch(r"(name|size|mtime)(?:,(asc|desc))?", text)
        if match is None:
            raise ConfigError(f"order {text}: must be name, size or mtime, with ,desc for the largest first")
        return cls(match[1], match[2] == "desc")


BY_KEY = Order("name")
"""S3's order, and that of a walk."""


class Ordered:
    """`walk`'s entries in another order; the same for all who iterate, in whatever thread: the first of them
    walks."""

    def __init__(self, walk: Iterable[Entry], order: Order) -> None:
        self._walk = walk
        self._order = order
        self._lock = threading.Lock()
        self._is_sorted = False
        self._places: list[tuple[str, str]] = []
        self._names: list[str | ObjectSource] = []
        self._place_of = array("L")
        self._sequence = array("L")

    def __iter__(self) -> Iterator[Entry]:
        with self._lock:
            if not self._is_sorted:
                self._sort()
                self._is_sorted = True
        return map(self._entry, self._sequence)

    def _entry(self, number: int) -> ObjectSource:
        name = self._names[number]
        if isinstance(name, ObjectSource):
            return name
        base, prefix = self._places[self._place_of[number]]
        return ObjectSource(key=prefix + name, path=base + name)

    def _sort(self) -> None:
        looks = self._order.by != "name"
        values = array("q")
        for entry in self._walk:
            base, prefix, names = ("", "", (entry,)) if isinstance(entry, ObjectSource) else entry
            self._places.append((base, prefix))
            for name in names:
                self._names.append(name)
                self._place_of.append(len(self._places) - 1)
                if looks:
                    values.append(self._value(len(self._names) - 1))
        by_what: Callable[[int], Any] = values.__getitem__ if looks else self._key
        numbers = sorted(range(len(self._names)), key=by_what, reverse=self._order.falling)
        self._sequence = array("L", numbers)

    def _key(self, number: int) -> str:
        return self._entry(number).key

    def _value(self, number: int) -> int:
        """0 for what has none."""
        source = self._entry(number)
        if not source.is_file or not is_sent(source) or (info := info_of(source.path)) is None:
            return 0
        if self._order.by == "size":
            return info.st_size
        return max(-LATEST_NS, min(info.st_mtime_ns, LATEST_NS))
