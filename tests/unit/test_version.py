"""What tells one version of a file from another, on file systems that make up inodes and times."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from s3_upload.errors import FailureKind, SourceError
from s3_upload.http import Buffer
from s3_upload.s3.checksum import Digests
from s3_upload.sources.files import BigFile, HashedBody, Reader
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import (
    MAX_LOOKS,
    NO_TIME_NS,
    TICK_NS,
    Identity,
    Versions,
    told_apart,
)

PART_BYTES = 1_000
SECOND_NS = 10**9


class Stat:
    """As `os.stat_result`, of a file as some file system tells of it."""

    def __init__(self, info: os.stat_result, **changes: int) -> None:
        for name in ("st_mode", "st_size", "st_dev", "st_ino", "st_mtime_ns", "st_ctime_ns"):
            setattr(self, name, changes.get(name, getattr(info, name)))


def told(**made_up: Iterator[int]) -> Callable[[int], Any]:
    """A file system that takes what it tells of a file from these, at each look."""
    return lambda fd: Stat(os.fstat(fd), **{name: next(values) for name, values in made_up.items()})


def reader(stat: Callable[[int], Any] = os.fstat, check: str = "version") -> Reader:
    return Reader(
        single_limit_bytes=PART_BYTES,
        digests=Digests(),
        clock=lambda: 0.0,
        pause=lambda _: None,
        versions=Versions(check, stat),
    )


def identity_of(path: Path, by: Reader) -> Identity:
    [found] = by.read_batch([ObjectSource.file(path, "k")], 0)
    assert isinstance(found, BigFile)
    return found.identity


def read_all(path: Path, by: Reader) -> bytes:
    """As a multipart upload reads a file: a look, each part, a last look."""
    identity = identity_of(path, by)
    starts = range(0, identity.size, PART_BYTES)
    sizes = [min(PART_BYTES, identity.size - start) for start in starts]
    parts = [
        by.read_part(str(path), start, size, identity) for start, size in zip(starts, sizes, strict=True)
    ]
    by.read_part(str(path), 0, 0, identity)
    return b"".join(part.body for part in parts if isinstance(part.body, Buffer))


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(os.urandom(5 * PART_BYTES + 7))
    return path


def from_now() -> Iterator[int]:
    """A time that is another at each look, later than the last."""
    return itertools.count(1_700_000_000 * SECOND_NS, SECOND_NS)


def replicas() -> Iterator[int]:
    """Each of two has its own, and either is asked."""
    return itertools.cycle([7 * SECOND_NS, 9 * SECOND_NS, 9 * SECOND_NS, 7 * SECOND_NS, 9 * SECOND_NS])


KINDS: dict[str, dict[str, Callable[[], Iterator[int]]]] = {
    "inode numbers": {"st_ino": itertools.count},
    "device numbers": {"st_dev": itertools.count},
    "a ctime of its own for each look": {"st_ctime_ns": from_now},
    "no ctime": {"st_ctime_ns": lambda: itertools.repeat(0)},
    "ctimes of two replicas": {"st_ctime_ns": replicas},
    "both times of two replicas": {"st_mtime_ns": replicas, "st_ctime_ns": replicas},
    "inodes and both times of two replicas": {
        "st_ino": itertools.count,
        "st_mtime_ns": replicas,
        "st_ctime_ns": replicas,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_the_same_though_its_file_system_makes_up(big: Path, kind: str) -> None:
    by = reader(told(**{name: make() for name, make in KINDS[kind].items()}))
    assert read_all(big, by) == big.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_file_is_the_same_though_its_file_system_makes_up(tmp_path: Path, kind: str) -> None:
    (tmp_path / "f").write_bytes(b"x" * PART_BYTES)
    by = reader(told(**{name: make() for name, make in KINDS[kind].items()}))
    [found] = by.read_batch([ObjectSource.file(tmp_path / "f", "k")], 0)
    assert isinstance(found, HashedBody)
    assert found.body == b"x" * PART_BYTES


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "both" not in kind])
def test_a_change_shows_by_its_time_though_its_file_system_makes_up_the_rest(big: Path, kind: str) -> None:
    by = reader(told(**{name: make() for name, make in KINDS[kind].items()}))
    identity = identity_of(big, by)
    os.utime(big, ns=(0, identity.mtime_ns + 1))
    with pytest.raises(SourceError, match="its time of modification was ") as caught:
        by.read_part(str(big), 0, 10, identity)
    assert caught.value.kind is FailureKind.SOURCE_CHANGED


@pytest.mark.parametrize("kind", KINDS)
def test_another_size_is_a_change_whatever_its_file_system_makes_up(big: Path, kind: str) -> None:
    by = reader(told(**{name: make() for name, make in KINDS[kind].items()}))
    read_all(big, by)
    identity = identity_of(big, by)
    os.truncate(big, 3)
    with pytest.raises(SourceError, match=r"its size was 5007, is 3$"):
        by.read_part(str(big), 0, 3, identity)


def rewrite(path: Path) -> None:
    """In place, with the size and the time of modification put back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(bytes(10))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """By another file of the same size and time."""
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(bytes(before.st_size))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def later(path: Path) -> Callable[[int], Any]:
    """As `os.fstat`, but a change within one tick of the kernel's clock has a later ctime all the same."""
    return lambda fd: Stat(os.fstat(fd), st_ctime_ns=os.fstat(fd).st_ctime_ns + len(changes[path]))


changes: dict[Path, list[str]] = {}


@pytest.mark.parametrize("change", [rewrite, replace])
def test_what_is_put_back_shows_by_the_ctime(big: Path, change: Callable[[Path], None]) -> None:
    changes[big] = []
    by = reader(later(big))
    identity = identity_of(big, by)
    by.read_part(str(big), 0, PART_BYTES, identity)
    change(big)
    changes[big].append("changed")
    with pytest.raises(SourceError, match=r"its time of change \(ctime\) was .* UTC, is .* UTC$") as caught:
        by.read_part(str(big), PART_BYTES, PART_BYTES, identity)
    assert caught.value.kind is FailureKind.SOURCE_CHANGED


def test_a_small_file_that_is_rewritten_while_it_is_read_shows_by_its_ctime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * PART_BYTES)
    changes[path] = []
    read = os.read

    def meddle(fd: int, size: int) -> bytes:
        found = read(fd, size)
        rewrite(path)
        changes[path].append("changed")
        return found

    monkeypatch.setattr("s3_upload.sources.files.os.read", meddle)
    [found] = reader(later(path)).read_batch([ObjectSource.file(path, "k")], 0)
    assert isinstance(found, SourceError)
    assert "its time of change (ctime)" in str(found)


def test_a_file_that_is_being_written_to_is_no_file_system_that_makes_up_times(big: Path) -> None:
    """Each look finds it later."""
    identity = identity_of(big, reader())
    by = reader(told(st_mtime_ns=from_now(), st_ctime_ns=from_now()))
    with pytest.raises(SourceError, match=r"its time of modification was .*; its time of change"):
        by.read_part(str(big), 0, 10, identity)


def test_an_older_file_in_its_place_is_no_made_up_time(big: Path) -> None:
    """Its times go back, but only once: each look finds the same."""
    identity = identity_of(big, reader())
    by = reader(told(st_mtime_ns=itertools.repeat(5), st_ctime_ns=itertools.repeat(5)))
    with pytest.raises(SourceError, match=r"its time of modification was .*, is 1970-01-01 00:00:00\.0+5 "):
        by.read_part(str(big), 0, 10, identity)


def test_only_the_size_counts_where_that_is_asked_for(big: Path) -> None:
    by = reader(told(st_mtime_ns=from_now(), st_ctime_ns=from_now()), check="size")
    assert read_all(big, by) == big.read_bytes()
    identity = identity_of(big, by)
    os.truncate(big, 3)
    with pytest.raises(SourceError, match="its size was 5007, is 3"):
        by.read_part(str(big), 0, 3, identity)


def test_the_looks_that_find_out_are_bounded_and_only_taken_once(big: Path) -> None:
    looks = 0

    def stat(fd: int) -> Any:
        nonlocal looks
        looks += 1
        return Stat(os.fstat(fd), st_ctime_ns=looks)

    by = reader(stat)
    read_all(big, by)
    parts = 7  # with the last look
    assert looks == 1 + 2 * parts + MAX_LOOKS


def test_a_time_that_no_calendar_has_is_said_as_well(big: Path) -> None:
    identity = Identity(5 * PART_BYTES + 7, 1 << 62, big.stat().st_ctime_ns)
    far = 10**30
    by = reader(told(st_mtime_ns=itertools.repeat(far)))
    with pytest.raises(SourceError, match=f"is {far} ns"):
        by.read_part(str(big), 0, 10, identity)


def test_one_file_system_that_makes_up_says_nothing_of_another() -> None:
    versions = Versions()

    def info(device: int, ctime_ns: int) -> Any:
        blank = os.stat_result(range(10))
        return Stat(blank, st_dev=device, st_size=1, st_mtime_ns=1, st_ctime_ns=ctime_ns)

    count = itertools.count(10)
    versions.verify("p", Identity(1, 1, 1, 1), info(1, 2), lambda: info(1, next(count)))
    with pytest.raises(SourceError, match="ctime"):
        versions.verify("p", Identity(1, 1, 1, 2), info(2, 2), lambda: info(2, 2))


NOW_NS = 1_800_000_000 * SECOND_NS + 5
LONG_NS = 3_600 * SECOND_NS


@pytest.mark.parametrize(
    ("mtime_ns", "ctime_ns", "is_told"),
    [
        pytest.param(NOW_NS - LONG_NS, NOW_NS - LONG_NS, True, id="of an hour ago"),
        pytest.param(0, NOW_NS - LONG_NS, True, id="0"),
        pytest.param(0, NOW_NS - 1, True, id="0, set just now"),
        pytest.param(NOW_NS - TICK_NS, NOW_NS - TICK_NS, False, id="written just now"),
        pytest.param(NOW_NS + LONG_NS, NOW_NS - LONG_NS, True, id="a time to come, set an hour ago"),
        pytest.param(NOW_NS + LONG_NS, NOW_NS - TICK_NS, False, id="a time to come, set just now"),
        pytest.param(13_569_465_600 * SECOND_NS, NOW_NS - LONG_NS, False, id="of the year 2400"),
        pytest.param(-11_644_473_600 * SECOND_NS, NOW_NS - LONG_NS, False, id="of the year 1601"),
        pytest.param(NOW_NS + LONG_NS, NOW_NS + LONG_NS, False, id="of a host whose clock is ahead"),
    ],
)
def test_a_time_tells_versions_apart_where_the_next_change_puts_an_end_to_it(
    mtime_ns: int, ctime_ns: int, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: NOW_NS)
    assert told_apart(mtime_ns, ctime_ns) == (mtime_ns if is_told else NO_TIME_NS)


def test_on_windows_a_time_to_come_tells_nothing_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the ctime is when the file was made, and says nothing of its last change."""
    monkeypatch.setattr("time.time_ns", lambda: NOW_NS)
    monkeypatch.setattr("s3_upload.sources.version.os", SimpleNamespace(name="nt"))
    assert told_apart(NOW_NS + LONG_NS, NOW_NS - LONG_NS) == NO_TIME_NS
