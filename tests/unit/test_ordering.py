"""Shares of the sources, and other orders than that of the walk."""

from __future__ import annotations

import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from s3_upload import ConfigError, upload
from s3_upload.cli.main import main
from s3_upload.screen.lookahead import Lookahead
from s3_upload.sources.mapping import Choice, Destination, Mapped, NothingToUpload
from s3_upload.sources.ordering import Order, Ordered, Shard
from s3_upload.sources.walk import Listings, PlainFiles, sources_of

NAMES = ("a3", "b1", "d/x2", "d/y5", "d.x4", "ü6")
"""The last character: of how many bytes it is, and how many seconds old."""


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(int(name[-1])))
        os.utime(path, ns=(0, 10**18 - int(name[-1])))
    return tmp_path / "src"


def mapped(paths: tuple[str, ...] = ("src",), **choice: object) -> Mapped:
    return Mapped(paths, Destination("b", "p"), Choice(**choice), Listings())  # type: ignore[arg-type]


def keys(**choice: object) -> list[str]:
    try:
        files = mapped(**choice).files()  # type: ignore[arg-type]
    except NothingToUpload:
        return []
    return [source.key.removeprefix("p/") for source in files]


WALK = ["a3", "b1", "d.x4", "d/x2", "d/y5", "ü6"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("name", WALK),
        ("name,asc", WALK),
        ("name,desc", WALK[::-1]),
        ("size", ["b1", "d/x2", "a3", "d.x4", "d/y5", "ü6"]),
        ("size,desc", ["ü6", "d/y5", "d.x4", "a3", "d/x2", "b1"]),
        ("mtime", ["ü6", "d/y5", "d.x4", "a3", "d/x2", "b1"]),
        ("mtime,desc", ["b1", "d/x2", "a3", "d.x4", "d/y5", "ü6"]),
    ],
)
def test_sources_come_in_the_order_that_is_asked_for(order: str, expected: list[str]) -> None:
    assert keys(order=Order.parse(order)) == expected


def test_a_file_that_is_dated_in_a_later_century_comes_last(tree: Path) -> None:
    time_ns = 300 * 366 * 86_400 * 10**9
    os.utime(tree / "b1", ns=(0, time_ns))
    if (tree / "b1").stat().st_mtime_ns != time_ns:
        pytest.skip("this file system keeps no such date")
    expected = ["ü6", "d/y5", "d.x4", "a3", "d/x2", "b1"]
    assert keys(order=Order.parse("mtime")) == expected
    assert keys(order=Order.parse("mtime,desc")) == expected[::-1]


@pytest.mark.parametrize("order", ["size", "size,desc"])
def test_what_is_alike_keeps_the_order_of_the_walk(tree: Path, order: str) -> None:
    for name in NAMES:
        (tree / name).write_bytes(b"same")
    assert keys(order=Order.parse(order)) == WALK


def test_by_name_several_sources_are_one() -> None:
    for name in ("one/z", "two/a"):
        Path(name).parent.mkdir()
        Path(name).touch()
    found = mapped(("two", "one"), order=Order("name")).files()
    assert [source.key for source in found] == ["p/one/z", "p/two/a"]


def test_what_cannot_be_uploaded_is_told_all_the_same(tree: Path) -> None:
    (tree / "gone").symlink_to("nowhere")
    os.mkfifo(tree / "pipe")
    found = list(mapped(order=Order("size", falling=True)).files())
    assert [source.key for source in found][:2] == ["p/ü6", "p/d/y5"]
    assert [source.key for source in found if source.problem or source.skip_reason] == ["p/gone", "p/pipe"]


def test_the_look_ahead_counts_what_is_sorted_and_walks_no_second_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed: list[str] = []
    scandir = os.scandir

    def watching(path: str) -> object:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", watching)
    both = mapped(order=Order("size"))
    files = both.files()
    ahead = Lookahead(both.entries)
    ahead.run()
    assert (ahead.total.files, ahead.total.bytes, ahead.total.complete) == (6, 21, True)
    assert list(sources_of(both.entries())) == list(files)
    assert listed.count("src/d") == 1


def test_two_threads_that_begin_at_once_sort_once() -> None:
    walks: list[int] = []

    def walk() -> object:
        walks.append(1)
        yield PlainFiles("src/", "p/", ["a3", "b1"])

    ordered = Ordered(walk(), Order("size"))  # type: ignore[arg-type]
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append([source.key for source in sources_of(ordered)]))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, walks) == ([["p/b1", "p/a3"]] * 2, [1])


def test_of_each_source_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "stat", lambda path: os.stat_result((0, 0, 0, 0, 0, 0, len(path), 0, 0, 0)))
    count = 20_000
    tracemalloc.start()
    names = [f"file-{number:06}" for number in range(count)]
    ordered = iter(Ordered([PlainFiles("src/", "p/", names)], Order("size")))
    next(ordered)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept / count < 150


# --- shares ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_each_key_is_in_one_share_and_none_is_left_out(count: int) -> None:
    shares = [keys(shard=Shard(number, count)) for number in range(1, count + 1)]
    assert sorted(key for share in shares for key in share) == sorted(WALK)


def test_shares_are_those_of_every_machine_and_alike_in_size() -> None:
    names = [f"p/part-{number:05}.parquet" for number in range(9_000)]
    shares = [{name for name in names if Shard(number, 3).has(name)} for number in (1, 2, 3)]
    assert all(abs(len(share) - 3_000) < 200 for share in shares)
    assert [Shard(1, 2).has(f"k{number}") for number in range(8)] == [
        False, True, True, False, False, False, True, False,
    ]  # fmt: skip
    assert Shard(1, 1).has("lone \udcff")


def test_the_look_ahead_counts_the_share_alone() -> None:
    both = mapped(shard=Shard(1, 2))
    assert list(sources_of(both.entries())) == list(both.files())


def test_shares_and_orders_go_together_and_with_lists() -> None:
    Path("list").write_text("\n".join(NAMES))
    together = {number: keys(shard=Shard(number, 2), order=Order("size", falling=True)) for number in (1, 2)}
    assert sorted(together[1] + together[2]) == sorted(WALK)
    for share in together.values():
        assert share == sorted(share, key=lambda key: key[-1], reverse=True)


# --- the command and the calls --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--shard 0/2", "--shard 0/2: must be K/N, with K from 1 to N: 1/3, 2/3 and 3/3 are all"),
        ("--shard 3/2", "--shard 3/2: must be K/N, with K from 1 to N: 1/3, 2/3 and 3/3 are all"),
        ("--shard 2", "--shard 2: must be K/N, with K from 1 to N: 1/3, 2/3 and 3/3 are all"),
        ("--order age", "--order age: must be name, size or mtime, with ,desc for the largest first"),
        ("--order size,up", "--order size,up: must be name, size or mtime, with ,desc for the largest first"),
    ],
)
def test_what_is_wrong_is_one_line(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["src", "s3://bkt", "--dryrun", *words.split()]) == 2
    assert capsys.readouterr().err == f"s3-upload: error: {message}\n"


def test_the_command_takes_both(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for share in ("1/2", "2/2"):
        assert main(["src", "s3://bkt", "--dryrun", "--shard", share, "--order", "size,desc"]) == 0
        said += capsys.readouterr().out.splitlines()[:-1]
    assert len(said) == len(NAMES)
    assert main(["src/a3", "s3://bkt/k", "--dryrun", "--shard", "1/2"]) == 0
    assert main(["src/a3", "s3://bkt/k", "--dryrun", "--shard", "2/2"]) == 0
    out = capsys.readouterr().out
    assert out.count("upload: src/a3") == 1
    assert "(dryrun) nothing to upload in src/a3: nothing of it is in shard" in out


def test_the_calls_check_what_they_are_given() -> None:
    for wrong, error, message in (
        ({"shard": "2"}, ConfigError, "shard 2: must be K/N"),
        ({"shard": 2}, TypeError, "shard: must be str, not int"),
        ({"order": "age"}, ConfigError, "order age: must be name, size or mtime"),
        ({"files_from": "gone"}, ConfigError, "files_from gone: No such file"),
        ({"manifest": ["a"]}, TypeError, "manifest: must be the path of a file, not list"),
        ({"files_from": "a", "manifest": "b"}, ConfigError, "files_from and manifest do not go together"),
    ):
        with pytest.raises(error, match=message):
            upload("src", "s3://bkt", **wrong)
