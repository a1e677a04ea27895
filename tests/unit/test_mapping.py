"""Which keys come out of which paths; the mapping is that of `aws s3 cp`, and of `cp -r` for several."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

import pytest

from s3_upload import Filter, Rule
from s3_upload.errors import ConfigError, SourceError
from s3_upload.given import files_of
from s3_upload.sources import mapping
from s3_upload.sources.mapping import Destination, Mapped
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.walk import Entry, PlainFiles, walk_tree
from tests.mapped import map_paths
from tests.unit.paths import null_in_path

if TYPE_CHECKING:
    from collections.abc import Iterator


NO_FILES = ": no files are in there, and S3 keeps no empty directories"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("run1", "run2"):
        (tmp_path / name).mkdir()
    for name in ("one.txt", "d/a.txt", "d/sub/one.txt", "run1/a", "run1/b", "run2/a"):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(paths: list[str], prefix: str) -> list[str]:
    return [source.key for source in map_paths(paths, Destination("b", prefix))]


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
        (["."], "p", ["p/d/a.txt", "p/d/sub/one.txt", "p/one.txt", "p/run1/a", "p/run1/b", "p/run2/a"]),
        (["d/.."], "p", ["p/d/a.txt", "p/d/sub/one.txt", "p/one.txt", "p/run1/a", "p/run1/b", "p/run2/a"]),
        (["one.txt", "d/a.txt"], "p", ["p/one.txt", "p/a.txt"]),
        # several: each keeps its name, whatever slash it ends in
        (["one.txt", "d"], "p", ["p/one.txt", "p/d/a.txt", "p/d/sub/one.txt"]),
        (["run1", "run2"], "p", ["p/run1/a", "p/run1/b", "p/run2/a"]),
        (["run1/", "./run2//"], "p/", ["p/run1/a", "p/run1/b", "p/run2/a"]),
        (["run1", "run2"], "", ["run1/a", "run1/b", "run2/a"]),
        (["d/sub", "run2"], "p", ["p/sub/one.txt", "p/run2/a"]),
        # but for a place without a name
        (["run1/.", "d/sub"], "p", ["p/a", "p/b", "p/sub/one.txt"]),
        (["d/sub/..", "run2/./", "run1"], "p", ["p/a.txt", "p/sub/one.txt", "p/a", "p/run1/a", "p/run1/b"]),
        (["d/sub/.", "run2/."], "", ["one.txt", "a"]),
        (["empty", "one.txt"], "", ["one.txt"]),
    ],
)
@pytest.mark.usefixtures("tree")
def test_keys(paths: list[str], prefix: str, expected: list[str]) -> None:
    assert keys(paths, prefix) == expected


def test_one_key_is_found_where_a_name_goes_on_before_a_slash(tree: Path) -> None:
    for name in ("x/a.txt", "x/a/b", "y/a/b"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    with pytest.raises(ConfigError, match=r"y/\./a/b: would overwrite x/\./a/b"):
        map_paths(["x/.", "y/."], Destination("b"))


def test_keys_come_in_the_order_of_s3_where_that_is_asked_for(tree: Path) -> None:
    for name in ("run1.txt", "z/run1-", "z/run2"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(name)
    paths = ["run2", "z/.", "run1", "run1.txt", "one.txt"]
    found = [source.key for source in map_paths(paths, Destination("b", "p"), in_order=True)]
    assert found == ["p/one.txt", "p/run1-", "p/run1.txt", "p/run1/a", "p/run1/b", "p/run2", "p/run2/a"]
    assert found == sorted(keys(paths, "p"))


@pytest.mark.parametrize(
    ("paths", "rules", "expected"),
    [
        (["d"], [("d", False)], ["p/a.txt", "p/sub/one.txt"]),  # its own name is no part of a key
        (["d"], [("sub", False)], ["p/a.txt"]),
        (["d", "run1"], [("d", False)], ["p/run1/a", "p/run1/b"]),
        (["d", "run1", "one.txt"], [("d/", False), ("*.txt", False)], ["p/run1/a", "p/run1/b"]),
        (["d", "run1"], [("/d", False), ("/a", False)], ["p/d/a.txt", "p/d/sub/one.txt", "p/run1/b"]),
        (["d", "run1"], [("d", False), ("a*", True)], ["p/d/a.txt", "p/run1/a", "p/run1/b"]),
        (["d", "run1"], [("a*", True), ("d", False)], ["p/run1/a", "p/run1/b"]),
        (["one.txt", "run2"], [("*", False), ("one.txt", True)], ["p/one.txt"]),
        (["run1", "d/../run1"], [("a", False), ("run1", False), ("d", True)], []),
    ],
)
@pytest.mark.usefixtures("tree")
def test_filters_are_for_what_is_in_a_source_and_for_the_names_of_several(
    paths: list[str], rules: list[tuple[str, bool]], expected: list[str]
) -> None:
    filters = Filter(rules=[Rule(pattern, include=include) for pattern, include in rules]).selection()
    if not expected:
        with pytest.raises(ConfigError, match="all of it is excluded"):
            map_paths(paths, Destination("b", "p"), filters)
        return
    assert [source.key for source in map_paths(paths, Destination("b", "p"), filters)] == expected


@pytest.mark.usefixtures("tree")
def test_the_sources_are_those_files() -> None:
    assert [source.path for source in map_paths(["one.txt", "d"], Destination("b"))] == [
        "one.txt",
        "d/a.txt",
        "d/sub/one.txt",
    ]


@pytest.mark.usefixtures("tree")
def test_a_link_to_nothing_is_told_with_what_is_missing() -> None:
    Path("dangling").symlink_to("gone/x")
    for paths in (["dangling"], ["one.txt", "dangling"]):
        with pytest.raises(ConfigError) as caught:
            map_paths(paths, Destination("b"))
        assert str(caught.value) == "dangling: the link leads to nothing: mend it (gone/x is missing)"


@pytest.mark.usefixtures("tree")
def test_directories_are_walked_lazily() -> None:
    sources = map_paths(["one.txt", "d"], Destination("b"))
    Path("d/sub/late.txt").write_text("written after the sources were opened")
    assert "d/sub/late.txt" in [source.key for source in sources]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["nope"], "nope: no such file or directory"),
        (["one.txt", "nope"], "nope: no such file or directory"),
        ([""], "'': an empty word is no source"),
        (["one.txt/x"], "one.txt/x: not a directory"),
        (["a\0b"], f"a\\x00b: {null_in_path()}"),
        (["/dev/null"], "/dev/null: is neither a file, a directory nor a FIFO"),
        (["empty"], f"nothing to upload in empty{NO_FILES}"),
        (["empty", "empty"], f"nothing to upload in empty, empty{NO_FILES}"),
        (
            ["s3://other/x"],
            "s3://other/x: a source is a file or a directory; only the last word is an s3:// URL",
        ),
    ],
)
def test_wrong_sources(tree: Path, paths: list[str], message: str) -> None:
    with pytest.raises((ConfigError, SourceError)) as caught:
        map_paths(paths, Destination("b"))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("paths", "second", "first", "key"),
    [
        (["one.txt", "d/sub/one.txt"], "d/sub/one.txt", "one.txt", "p/one.txt"),
        (["one.txt", "run2", "./one.txt"], "./one.txt", "one.txt", "p/one.txt"),
        (["run1", "run1"], "run1/a", "run1/a", "p/run1/a"),
        (["run1", "run2", "other/run1"], "other/run1/deep/er", "run1/deep/er", "p/run1/deep/er"),
        (["run1/.", "run2/."], "run2/./a", "run1/./a", "p/a"),
        ([".", "run2"], "./run2/a", "run2/a", "p/run2/a"),
        (["one.txt", "."], "./one.txt", "one.txt", "p/one.txt"),
        (["run1", "run2", "x/b", "names/."], "names/./b", "x/b", "p/b"),
        (["run1", "run2", "names/."], "names/./run2/a", "run2/a", "p/run2/a"),
    ],
)
def test_what_would_get_one_key_is_refused_before_anything_is_sent(
    tree: Path, paths: list[str], second: str, first: str, key: str
) -> None:
    (tree / "run1" / "deep").mkdir()
    for name in ("other/run1/deep", "names/run2", "x"):
        (tree / name).mkdir(parents=True)
    for name in ("run1/deep/er", "other/run1/deep/er", "other/run1/c", "names/b", "names/run2/a", "x/b"):
        (tree / name).write_text(name)
    with pytest.raises(ConfigError) as caught:
        map_paths(paths, Destination("b", "p"))
    said = f"would overwrite {first}: both would become the key {key}"
    if Path(second).samefile(first):
        said = f"is the same file as {first}: leave one out"
    assert str(caught.value) == f"{second}: {said}"


@pytest.mark.usefixtures("tree")
def test_directories_of_one_name_are_merged_where_no_two_files_meet() -> None:
    for name in ("x/run", "y/run", "y/run/b", "x/run/b.d"):
        Path(name).mkdir(parents=True)
    for name in ("x/run/b.d/1", "y/run/b/1", "x/run/c", "y/run/a", "y/run/b.d"):
        Path(name).write_text(name)
    os.mkfifo("x/run/a")  # is skipped, and so overwrites nothing
    assert sorted(keys(["x/run", "y/run"], "p")) == [
        "p/run/a", "p/run/a", "p/run/b.d", "p/run/b.d/1", "p/run/b/1", "p/run/c",
    ]  # fmt: skip


def test_nothing_is_walked_beforehand_where_names_keep_sources_apart(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []

    def counting(path: str, prefix: str, *_: object, **__: object) -> Iterator[Entry]:
        listed.append(path)
        return walk_tree(path, prefix)

    monkeypatch.setattr(mapping, "walk_tree", counting)
    sources = map_paths(["d", "run1", "run2"], Destination("b", "p"))
    assert listed == ["d"]
    assert len(list(sources)) == 5
    assert listed == ["d", "run1", "run2"]


def test_what_is_merged_is_not_kept(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two trees with a million files each, only the sources that are compared are alive."""
    alive: WeakSet[object] = WeakSet()
    most = 0

    class Watched:
        """Quacks like the source of a file."""

        problem, skip_reason = None, ""

        def __init__(self, key: str) -> None:
            nonlocal most
            self.key = self.path = key
            alive.add(self)
            most = max(most, len(alive))

    def walk(path: str, prefix: str, *_: object, **__: object) -> Iterator[Entry]:
        yield PlainFiles("", prefix, [f"{number:04}{path[0]}" for number in range(1_000)])

    def watched(entries: Iterator[PlainFiles]) -> Iterator[Watched]:
        return (Watched(found.prefix + name) for found in entries for name in found.names)

    for name in ("x/run", "y/run"):
        (tree / name).mkdir(parents=True)
    monkeypatch.setattr(mapping, "walk_tree", walk)
    monkeypatch.setattr(mapping, "sources_of", watched)
    map_paths(["x/run", "y/run"], Destination("b", "p"))
    assert most < 10


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


def test_a_pipe_among_the_sources_makes_no_sum(tmp_path: Path) -> None:
    """What has come would be all that there is: 99 %, and no time left, from the first second on."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    at = Destination("b", "k/")
    assert Mapped([str(tmp_path / "file")], at, mapping.Choice()).can_be_counted
    both = [str(tmp_path / "file"), str(tmp_path / "pipe")]
    assert not Mapped(both, at, mapping.Choice()).can_be_counted


@pytest.mark.parametrize(("size", "counts"), [(None, False), (3, True)])
def test_of_streams_those_of_a_known_size_make_a_sum(size: int | None, *, counts: bool) -> None:
    sources = [ObjectSource.data(b"x", "a"), ObjectSource.stream([b"abc"], "b", size)]
    _, walk = files_of(sources, Destination("b", ""), mapping.Choice(), counted=True)
    assert (walk is not None) is counts
