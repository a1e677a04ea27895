"""The verdict on what a run named, and the slow disk's answers to the kernel."""

from __future__ import annotations

import errno
import json
import struct
from typing import IO, TYPE_CHECKING, Any

import pytest

from bench import bottleneck, slowfs
from bench.bottleneck import Found, Source, rows, shortfalls
from bench.measure import Ended, Run
from bench.slowfs import ANSWER, ENTRY, REQUEST, ROOT, Slow, Tree
from s3_upload.observe.limits import NAMES
from tests.unit.bench.made_up import store

if TYPE_CHECKING:
    from pathlib import Path

    from bench.gostore import GoStore

TREE = Tree(directories=2, files=3, size=10_000)
FIRST, LAST_FILE = ROOT + 1, ROOT + 8


def found(**given: Any) -> Found:
    usual: dict[str, Any] = {
        "name": "a row", "expected": "link", "wall_s": 10.0, "limits": {"link": 0.6, "answers": 0.4},
        "uploaded": 5, "sources": 5,
    }  # fmt: skip
    return Found(**{**usual, **given})


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (found(), []),
        (found(limits={"link": 0.49, "cpu": 0.3}), ["only 49%"]),
        (found(limits={"answers": 0.51, "link": 0.49}), ["names answers"]),
        (found(limits={}), ["names nothing"]),
        (found(uploaded=4), ["objects missing: 1"]),
        (found(problem="exit 1: no"), ["exit 1: no"]),
        (found(expected="away", limits={"link": 0.8, "away": 0.2}, away_s=2.0), []),
        (
            found(expected="away", limits={"link": 0.9, "away": 0.1}, away_s=2.0),
            ["away for 1.0 s instead of 2.0"],
        ),
    ],
)
def test_a_target_that_is_missed_is_named(one: Found, said: list[str]) -> None:
    assert shortfalls(one) == said


def test_every_row_expects_what_a_run_can_name() -> None:
    assert {row.expected for row in rows()} <= set(NAMES)


class Disk:
    """A slow disk whose waits are written down."""

    def __init__(self) -> None:
        self.waits_s: list[float] = []
        self._slow = Slow(TREE, 1e6, 0.5, self.waits_s.append)

    def ask(self, what: int, node: int, body: bytes = b"") -> tuple[int, bytes]:
        """The error number, 0 without, and the answer."""
        size = REQUEST.size + len(body)
        answer = self._slow.answer(REQUEST.pack(size, what, 7, node, 0, 0, 0, 0, 0) + body)
        length, error, unique = ANSWER.unpack_from(answer)
        assert (length, unique) == (len(answer), 7)
        return -error, answer[ANSWER.size :]


def test_what_is_read_takes_its_time_and_ends_with_the_file() -> None:
    disk = Disk()
    assert disk.ask(slowfs.READ, LAST_FILE, struct.pack("<QQI", 0, 8192, 4096)) == (0, bytes(10_000 - 8192))
    assert disk.waits_s == [pytest.approx(0.001808)]


def test_a_directory_takes_its_time_once_however_often_the_kernel_asks_for_the_rest() -> None:
    disk = Disk()
    _, first = disk.ask(slowfs.READDIR, FIRST, struct.pack("<QQI", 0, 0, 80))
    _, rest = disk.ask(slowfs.READDIR, FIRST, struct.pack("<QQI", 0, 2, 80))
    assert (first.count(b"f00000"), rest.count(b"f00000"), disk.waits_s) == (2, 1, [0.5])


def test_names_lead_to_nodes_of_their_own() -> None:
    disk = Disk()
    parents = [(ROOT, b"d000000\0"), (ROOT, b"d000001\0")]
    parents += [(ROOT + 1 + number, f"f{index:06}\0".encode()) for number in range(2) for index in range(3)]
    nodes = [ENTRY.unpack_from(disk.ask(slowfs.LOOKUP, *one)[1])[0] for one in parents]
    assert nodes == list(range(FIRST, LAST_FILE + 1))


@pytest.mark.parametrize("name", [b"d000002\0", b"f000000\0", b"other\0", b"\0"])
def test_what_is_not_there_is_not_found(name: bytes) -> None:
    assert Disk().ask(slowfs.LOOKUP, ROOT, name) == (errno.ENOENT, b"")


def test_what_is_not_served_is_said_to_be_so() -> None:
    assert Disk().ask(99, ROOT) == (errno.ENOSYS, b"")


def test_a_slow_disk_has_the_files_that_are_to_be_uploaded() -> None:
    sizes = TREE.sizes()
    assert len(sizes) == TREE.directories * TREE.files
    assert set(sizes.values()) == {TREE.size}
    nodes = [TREE.number(TREE.number(ROOT, name[:7]), name[8:]) for name in sizes]
    assert nodes == list(range(LAST_FILE - 5, LAST_FILE + 1))


@pytest.mark.parametrize(
    ("there", "problem"),
    [
        (store(a=3, b=5), ""),
        (store(a=3), "1 object(s) missing, the first is b"),
        (store(a=3, b=4), "1 object(s) of wrong size, the first is b"),
    ],
)
def test_what_is_stored_is_asked_of_the_store_and_not_of_us(
    there: GoStore, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: Any, stdout: IO[bytes], **__: Any) -> Ended:
        stdout.write(json.dumps({"sources": 2, "uploaded": 2}).encode())
        return Ended(Run(1.0, 1.0), 0, "")

    monkeypatch.setattr(bottleneck, "run_process", ended)
    ran = bottleneck.run(Source(tmp_path, {"a": 3, "b": 5}), there, tmp_path)
    assert ran == ({"sources": 2, "uploaded": 2}, problem)
