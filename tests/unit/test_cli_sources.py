"""Words of the command line to sources, keys and content types; the mapping is that of `aws s3 cp`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s3_upload.cli.output import UsageError
from s3_upload.cli.sources import Destination, open_sources, refuse_overlap, split_words
from s3_upload.errors import SourceError

COMMANDS = ("perf-data", "serve")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("one.txt", "d/a.txt", "d/sub/one.txt"):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(paths: list[str], prefix: str) -> list[str]:
    return [source.key for source in open_sources(paths, Destination("b", prefix))]


@pytest.mark.parametrize(
    ("paths", "prefix", "expected"),
    [
        (["one.txt"], "", ["one.txt"]),
        (["one.txt"], "p/", ["p/one.txt"]),
        (["one.txt"], "p", ["p"]),
        (["one.txt"], "p/q.bin", ["p/q.bin"]),
        (["./d/a.txt"], "", ["a.txt"]),
        (["d"], "", ["a.txt", "sub/one.txt"]),
        (["d/"], "p", ["p/a.txt", "p/sub/one.txt"]),
        (["d"], "p/", ["p/a.txt", "p/sub/one.txt"]),
        (["one.txt", "d"], "p", ["p/one.txt", "p/a.txt", "p/sub/one.txt"]),
        (["one.txt", "d/a.txt"], "p", ["p/one.txt", "p/a.txt"]),
        (["empty", "one.txt"], "", ["one.txt"]),
    ],
)
@pytest.mark.usefixtures("tree")
def test_keys(paths: list[str], prefix: str, expected: list[str]) -> None:
    assert keys(paths, prefix) == expected


@pytest.mark.usefixtures("tree")
def test_the_sources_are_those_files() -> None:
    assert [source.path for source in open_sources(["one.txt", "d"], Destination("b"))] == [
        "one.txt",
        "d/a.txt",
        "d/sub/one.txt",
    ]


@pytest.mark.usefixtures("tree")
def test_directories_are_walked_lazily() -> None:
    sources = open_sources(["one.txt", "d"], Destination("b"))
    Path("d/sub/late.txt").write_text("written after the sources were opened")
    assert "sub/late.txt" in [source.key for source in sources]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["nope"], "nope: no such file or directory"),
        (["one.txt", "nope"], "nope: no such file or directory"),
        ([""], "'': an empty word is no source"),
        (["one.txt/x"], "one.txt/x: not a directory"),
        (["a\0b"], "a\0b: embedded null byte"),
        (["fifo"], "fifo: is neither a regular file nor a directory"),
        (["empty"], "nothing to upload in empty"),
        (["empty", "empty"], "nothing to upload in empty, empty"),
        (
            ["s3://other/x"],
            "s3://other/x: a source is a file or a directory; only the last word is an s3:// URL",
        ),
        (
            ["one.txt", "d/sub/one.txt"],
            "d/sub/one.txt: would overwrite one.txt: both would become the key one.txt",
        ),
    ],
)
def test_wrong_sources(tree: Path, paths: list[str], message: str) -> None:
    os.mkfifo(tree / "fifo")
    with pytest.raises((UsageError, SourceError)) as caught:
        open_sources(paths, Destination("b"))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://b", "b", ""),
        ("s3://b/", "b", ""),
        ("s3://b/p", "b", "p"),
        ("s3://my.bucket-1/p/q/", "my.bucket-1", "p/q/"),
        ("s3://b//p", "b", "/p"),
        ("s3://b/ä b?c#d", "b", "ä b?c#d"),
    ],
)
def test_destinations(url: str, bucket: str, prefix: str) -> None:
    assert Destination.parse(url) == Destination(bucket, prefix)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to do: give SRC... and s3://BUCKET/PREFIX (s3-upload --help tells more)"),
        (["s3://b"], "s3://b: the source is missing: give files or directories before the destination"),
        (["x"], "x: the destination is missing: the last word must be s3://BUCKET/PREFIX"),
        (["x", ""], "'': the destination is missing: the last word must be s3://BUCKET/PREFIX"),
        (["x", "s3:/b"], "s3:/b: the destination must look like s3://BUCKET/PREFIX"),
        (["x", "s3://"], "s3://: no bucket is named, expected s3://BUCKET/PREFIX"),
        (["x", "s3:///key"], "s3:///key: no bucket is named, expected s3://BUCKET/PREFIX"),
        (["x", "s3://a b/"], "s3://a b/: a b is no bucket name (letters, digits, '.', '-', '_')"),
        (["perf-dat", "x", "b", "p"], "perf-dat: no such command. Did you mean perf-data?"),
    ],
)
@pytest.mark.usefixtures("tree")
def test_wrong_words(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_words(words, COMMANDS)
    assert str(caught.value) == message


def test_words() -> None:
    assert split_words(["a", "b", "s3://c/d"], COMMANDS) == (["a", "b"], Destination("c", "d"))


@pytest.mark.usefixtures("tree")
def test_a_store_inside_a_source_is_refused() -> None:
    for inside in ("d", "d/store", "./empty/../d/sub"):
        with pytest.raises(UsageError, match="lies in the source d"):
            refuse_overlap(["one.txt", "d"], inside)
    for beside in ("store", "d2", "empty"):
        refuse_overlap(["one.txt", "d"], beside)
