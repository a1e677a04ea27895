"""Which files the event loop may read itself: `sources/local_disk.py`, rule by rule."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from s3_upload.s3.checksum import Digests
from s3_upload.sources.files import HashedBody, Reader
from s3_upload.sources.local_disk import SLOW_BATCH_S, SMALL_MEAN_BYTES, THREAD_BATCHES, Nearby, local_devices
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import Versions

MOUNTINFO = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
25 24 0:23 / /dev/shm rw,relatime shared:4 - tmpfs tmpfs rw,size=24684096k
99 27 0:55 / /mnt/nfs rw,relatime - nfs4 server:/x rw
a line that is none
"""


class Clock:
    """Goes on by `step_s` at each look."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.step_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def no_pause(_: float) -> None:
    raise AssertionError("the loop waits for nothing")


@pytest.fixture
def reader(clock: Clock) -> Reader:
    return Reader(
        single_limit_bytes=1 << 24,
        digests=Digests(),
        clock=clock,
        pause=no_pause,
        versions=Versions(),
    )


@pytest.fixture
def sources(tmp_path: Path) -> list[ObjectSource]:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    return [ObjectSource.file(tmp_path / name, name) for name in ("a", "b")]


@pytest.fixture
def device(tmp_path: Path) -> int:
    return tmp_path.stat().st_dev


def bodies(read: Sequence[object]) -> list[object]:
    return [getattr(hashed, "body", hashed) for hashed in read]


def know(nearby: Nearby, reader: Reader, sources: list[ObjectSource]) -> None:
    """As the feed does it: pulled by a thread, read by a thread."""
    nearby.pull_in_thread(reader, iter(sources), 9)
    nearby.saw(reader.read_batch(sources, 1 << 20))


def test_the_local_devices_are_those_of_local_file_systems(tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(MOUNTINFO, encoding="utf-8")
    assert local_devices(mountinfo) == {os.makedev(254, 0), os.makedev(0, 23)}
    assert local_devices(tmp_path / "none") == frozenset()


def test_rule_1_a_directory_is_known_once_a_thread_has_pulled_from_it(
    reader: Reader, sources: list[ObjectSource], device: int
) -> None:
    nearby = Nearby(frozenset({device}))
    nearby.saw([HashedBody(b"small")])
    assert not nearby.allows(sources)
    assert nearby.pull_in_thread(reader, iter(sources), 9) == (sources, True)
    assert nearby.allows(sources)
    assert nearby.allows([ObjectSource.data(b"x", "in memory")])


def test_rule_1_a_device_that_is_not_local_never(
    reader: Reader, sources: list[ObjectSource], device: int
) -> None:
    for devices in (frozenset[int](), frozenset({device + 1})):
        nearby = Nearby(devices)
        know(nearby, reader, sources)
        assert not nearby.allows(sources)


def test_rule_1_a_link_may_lead_elsewhere(
    reader: Reader, sources: list[ObjectSource], device: int, tmp_path: Path
) -> None:
    nearby = Nearby(frozenset({device}))
    know(nearby, reader, sources)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    batch = [sources[0], ObjectSource.file(tmp_path / "link", "link"), sources[1]]
    assert nearby.allows(batch)
    assert bodies(nearby.read(reader, batch)) == [b"a"]
    assert nearby.allows(batch[1:])
    assert nearby.read(reader, batch[1:]) == []
    assert not nearby.allows(batch[1:])  # a thread reads it
    assert bodies(reader.read_batch(batch[1:], 1 << 20)) == [b"a", b"b"]
    assert nearby.allows(batch)


def test_rule_2_big_files_are_for_threads(reader: Reader, sources: list[ObjectSource], device: int) -> None:
    nearby = Nearby(frozenset({device}))
    know(nearby, reader, sources)
    nearby.saw([HashedBody(bytes(SMALL_MEAN_BYTES)), HashedBody(bytes(SMALL_MEAN_BYTES + 1))])
    assert not nearby.allows(sources)
    nearby.saw([HashedBody(bytes(SMALL_MEAN_BYTES)), HashedBody(bytes(SMALL_MEAN_BYTES))])
    assert nearby.allows(sources)


def test_rule_3_a_slow_batch_sends_the_next_ones_to_the_threads(
    reader: Reader, sources: list[ObjectSource], device: int, clock: Clock
) -> None:
    nearby = Nearby(frozenset({device}))
    know(nearby, reader, sources)
    nearby.read(reader, sources)
    assert nearby.allows(sources)
    clock.step_s = SLOW_BATCH_S * 1.01
    nearby.read(reader, sources)
    assert [nearby.allows(sources) for _ in range(THREAD_BATCHES)] == [False] * THREAD_BATCHES
    assert nearby.allows(sources)
