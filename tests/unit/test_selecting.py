"""`Filter`: files of patterns, sizes and times; what each leaves out, and what is wrong."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from s3_upload import ConfigError, Filter, Rule, SourceError, files_recursive, upload
from s3_upload.cli.main import main
from s3_upload.sources.mapping import Choice, Destination, Mapped
from s3_upload.sources.walk import Listings, sources_of
from tests.mapped import map_paths, walk_paths
from tests.platforms import needs_any_name

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`src`: files of as many bytes, and days old, as their names say."""
    monkeypatch.chdir(tmp_path)
    for name in ("f0", "f10", "sub/f1", "sub/f20", "sub/deep/f5"):
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        number = int(path.name[1:])
        path.write_bytes(bytes(number))
        os.utime(path, ns=(0, NOW_NS - number * 86_400 * 10**9))
    return tmp_path / "src"


def taken(filter: Filter, **how: Any) -> list[str]:
    selection = filter.selection(NOW_NS)
    return [source.key for source in map_paths(["src"], Destination("b"), selection, **how)]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (Filter(min_size=5), ["f10", "sub/deep/f5", "sub/f20"]),
        (Filter(max_size="10B"), ["f0", "f10", "sub/deep/f5", "sub/f1"]),
        (Filter(min_size="1", max_size=5), ["sub/deep/f5", "sub/f1"]),
        (Filter(max_size=0), ["f0"]),
        (Filter(newer_than="5d"), ["f0", "sub/deep/f5", "sub/f1"]),
        (Filter(older_than=timedelta(days=5)), ["f10", "sub/deep/f5", "sub/f20"]),
        (Filter(newer_than=NOW - timedelta(days=10), older_than="2026-02-28T12:00:00Z"),
         ["f10", "sub/deep/f5", "sub/f1"]),
        (Filter(min_size=1, newer_than="6d"), ["sub/deep/f5", "sub/f1"]),
        (Filter(min_size=1, exclude="f1*"), ["sub/deep/f5", "sub/f20"]),
    ],
)  # fmt: skip
def test_sizes_and_times_are_bounds_that_count_as_inside(filter: Filter, expected: list[str]) -> None:
    assert taken(filter) == expected


def test_of_a_link_it_is_what_it_leads_to_that_counts(tree: Path) -> None:
    (tree / "to20").symlink_to("sub/f20")
    (tree / "nowhere").symlink_to("gone")
    (tree / "linked").symlink_to("sub")
    os.mkfifo(tree / "pipe")
    found = list(files_recursive(tree, filter=Filter(min_size=20)))
    assert [source.key for source in found if not (source.problem or source.skip_reason)] == [
        "linked/f20", "sub/f20", "to20",
    ]  # fmt: skip
    assert [source.key for source in found if source.problem or source.skip_reason] == ["nowhere", "pipe"]
    not_followed = list(files_recursive(tree, filter=Filter(min_size=20), follow_symlinks=False))
    assert [source.key for source in not_followed] == ["linked", "nowhere", "pipe", "sub/f20", "to20"]


def test_files_that_are_given_are_measured_too() -> None:
    paths = ["src/f10", "src/sub/f20", "src/f0"]
    found = map_paths(paths, Destination("b"), Filter(min_size=11).selection())
    assert [source.key for source in found] == ["f20"]
    with pytest.raises(ConfigError, match="all of it is excluded"):
        map_paths(["src/f0"], Destination("b", "k"), Filter(min_size=1).selection())


def test_without_sizes_and_times_no_file_is_looked_at(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    stat = Path.stat

    def watching(path: Path, **how: Any) -> os.stat_result:
        looked.append(path.name)
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", watching)
    taken(Filter(exclude="x", ignore_file=".gitignore"))
    assert set(looked) <= {"src", "sub", "deep"}


# --- files of patterns ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("f1*\n", ["f0", "sub/deep/f5", "sub/f20"]),
        ("# note\n\nf1*\n!f10\n", ["f0", "f10", "sub/deep/f5", "sub/f20"]),
        ("/f1*\n", ["f0", "sub/deep/f5", "sub/f1", "sub/f20"]),
        ("sub/f*\n", ["f0", "f10", "sub/deep/f5"]),
        ("sub/**\n", ["f0", "f10"]),
        ("deep/\n", ["f0", "f10", "sub/f1", "sub/f20"]),
        ("f0/\n", ["f0", "f10", "sub/deep/f5", "sub/f1", "sub/f20"]),
        ("*\n!*/\n!f5\n", ["sub/deep/f5"]),
        ("sub\n!sub/f1\n", ["f0", "f10"]),  # nothing comes back from a directory that is left out
        ("\ufefff0\r\nf10\r\n", ["sub/deep/f5", "sub/f1", "sub/f20"]),
    ],
)
def test_a_file_of_patterns_is_read_as_git_reads_it(lines: str, expected: list[str]) -> None:
    Path("list").write_text(lines, encoding="utf-8", newline="")
    assert taken(Filter(exclude_from="list")) == expected
    Path("src/.s3ignore").write_text(lines + "\n/.s3ignore\n", encoding="utf-8", newline="")
    assert taken(Filter(ignore_file=".s3ignore")) == expected


def test_a_file_in_the_tree_counts_below_its_directory_and_the_nearest_decides(tree: Path) -> None:
    (tree / ".gitignore").write_text("f1*\n.gitignore\n")
    (tree / "sub" / ".gitignore").write_text("!f1\n/f20\n")
    (tree / "sub" / "deep" / "f20").write_bytes(b"")
    assert taken(Filter(ignore_file=".gitignore")) == ["f0", "sub/deep/f20", "sub/deep/f5", "sub/f1"]


def test_of_several_names_the_last_counts_most(tree: Path) -> None:
    (tree / ".gitignore").write_text("f*\n.*ignore\n")
    (tree / ".s3ignore").write_text("!f10\n")
    assert taken(Filter(ignore_file=[".gitignore", ".s3ignore"])) == ["f10"]
    (tree / "sub" / ".s3ignore").mkdir()
    with pytest.raises(ConfigError, match="all of it is excluded"):
        taken(Filter(ignore_file=[".s3ignore", ".gitignore"]))


def test_they_count_from_each_source_s_root_and_for_the_names_of_several() -> None:
    Path("list").write_text("/f0\ndeep/\nf20\n/sub/f1\n")
    selection = Filter(exclude_from=["list"]).selection()
    found = map_paths(["src", "src/sub", "src/f10", "src/sub/deep"], Destination("b"), selection)
    assert [source.key for source in found] == ["src/f10", "sub/f1", "f10"]


def test_an_excluded_directory_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    scandir = os.scandir

    def watching(path: str) -> Any:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", watching)
    Path("src/.gitignore").write_text("sub/\n")
    taken(Filter(ignore_file=".gitignore"))
    assert set(listed) == {"src"}


def test_a_line_that_is_no_pattern_is_refused_where_it_was_given_and_ignored_in_the_tree(tree: Path) -> None:
    Path("list").write_text("f0\n[z-a]\n")
    with pytest.raises(ConfigError, match=r"^exclude_from list: line 2: .*z-a"):
        Filter(exclude_from="list").selection()
    (tree / ".gitignore").write_text("f0\n[z-a]\nf10\n")
    assert "f0" not in taken(Filter(ignore_file=".gitignore"))
    assert "f10" not in taken(Filter(ignore_file=".gitignore"))


def test_where_a_file_of_patterns_cannot_be_read_nothing_of_its_directory_is_uploaded(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To root, who may read everything, the system is made to say no."""
    (tree / "sub" / ".gitignore").write_text("f1\n")
    read = Path.read_bytes

    def refusing(path: Path) -> bytes:
        if path.parent.name in refused:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    refused = {"sub"}
    found = list(files_recursive(tree, filter=Filter(ignore_file=".gitignore")))
    assert [source.key for source in found] == ["f0", "f10", "sub"]
    why = f"{tree}/sub/.gitignore: Permission denied: what it leaves out is not known"
    assert str(found[-1].problem) == why
    refused = {"src"}
    (tree / ".gitignore").touch()
    with pytest.raises(SourceError, match="what it leaves out is not known"):
        files_recursive(tree, filter=Filter(ignore_file=".gitignore"))


@needs_any_name
def test_names_are_compared_as_the_bytes_that_they_are(tree: Path) -> None:
    (tree / os.fsdecode(b"\xff.tmp")).touch()
    (tree / "ü.tmp").touch()
    Path("list").write_bytes(b"\xff*\n\xc3\xbc*\n")
    assert taken(Filter(exclude_from="list")) == ["f0", "f10", "sub/deep/f5", "sub/f1", "sub/f20"]


def test_the_look_ahead_takes_the_same(tree: Path) -> None:
    (tree / ".gitignore").write_text("f1*\n")
    selection = Filter(ignore_file=".gitignore", exclude="deep", max_size=15).selection()
    listings = Listings()
    ahead = list(sources_of(walk_paths(["src"], Destination("b"), selection, listings)))
    assert ahead == list(map_paths(["src"], Destination("b"), selection, listings))
    assert [source.key for source in ahead] == [".gitignore", "f0"]


@pytest.mark.parametrize("left_out", [Filter(exclude="*.tmp"), Filter(ignore_file=".gitignore")])
def test_a_key_may_have_as_many_levels_as_it_has_room_for(left_out: Filter) -> None:
    Path("src/.gitignore").write_text("*.tmp\n")
    choice = Choice(filters=left_out.selection())
    would_take = Mapped(("src",), Destination("b"), choice).would_take()
    assert would_take is not None
    assert would_take("a/" * 505 + "f")
    assert not would_take("a/" * 505 + "f.tmp")
    assert not would_take("a/" * 300 + "b.tmp/" + "a/" * 100 + "f")


# --- wrong uses, and who takes it -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_size": "10 parsecs"}, "min_size 10 parsecs is no size: give bytes, or a number and kB"),
        ({"max_size": -1}, "max_size -1: must not be negative"),
        ({"min_size": 2, "max_size": 1}, "min_size 2: is more than max_size 1"),
        ({"newer_than": "7"}, "newer_than 7 is no age and no date: give an age such as 36h"),
        ({"newer_than": "1d", "older_than": "1h2m", "min_size": 0}, ""),
        ({"newer_than": "1d", "older_than": "2d"}, "newer_than 1d, older_than 2d: no file can be both"),
        ({"ignore_file": "a/b"}, "ignore_file 'a/b': is no name of a file: give the name that such files"),
        ({"exclude_from": "gone"}, "exclude_from gone: No such file or directory"),
        ({"exclude": "[a"}, r"exclude '[a': is no pattern"),
        ({"exclude": "a", "rules": [Rule("b")]}, "exclude and include do not go together with rules"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    if not message:
        Filter(**arguments).selection()
        return
    with pytest.raises(ConfigError) as caught:
        Filter(**arguments).selection()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_size": 1.5}, "min_size: must be int, str or None, not float"),
        ({"newer_than": 7}, "newer_than: must be an age or a date as str, datetime or timedelta, or None"),
        ({"exclude_from": 3}, "exclude_from: must be a path or an iterable of paths, not int"),
        ({"exclude_from": ["a", 3]}, r"exclude_from\[1\]: must be str or os.PathLike, not int"),
        ({"ignore_file": 3}, "ignore_file: must be a name or an iterable of names, not int"),
        ({"rules": 3}, "rules: must be an iterable of Rule, not int"),
        ({"rules": ["a"]}, "an item of rules: must be Rule, not str"),
    ],
)
def test_a_wrong_class_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Filter(**arguments)


def test_a_filter_can_be_used_more_than_once_whatever_it_was_made_of() -> None:
    made = Filter(exclude=(name for name in ["f1*"]), exclude_from=iter(()), ignore_file=iter([".x"]))
    assert taken(made) == taken(made) == ["f0", "sub/deep/f5", "sub/f20"]
    assert Filter().selection() is None


def test_the_calls_and_the_command_take_it(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = upload("src", "s3://bkt", filter=Filter(min_size=21), endpoint_url="http://127.0.0.1:1")
    assert nothing.notes == ("nothing to upload in src: all of it is excluded",)
    with pytest.raises(ConfigError, match="filter: give them to Filter"):
        upload("src", "s3://bkt", filter=Filter(), exclude="a")
    Path("list").write_text("f10\n")
    words = ["--exclude-from", "list", "--ignore-file", ".s3ignore", "--min-size", "1", "--max-size", "5kB"]
    assert main(["src", "s3://bkt", "--dryrun", *words, "--newer-than", "@0", "--min-age", "1s"]) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == [
        f"(dryrun) upload: src/{name} to s3://bkt/{name}" for name in ("sub/deep/f5", "sub/f1", "sub/f20")
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--min-size x", "--min-size x is no size: give bytes, or a number and kB, MB, GB, KiB, MiB or GiB"),
        ("--max-age 7", "--newer-than 7 is no age and no date: give an age such as 36h, 7d or 1d12h, or a "
         "date such as 2026-01-31 or 2026-01-31T12:00:00Z"),
        ("--exclude-from gone", "--exclude-from gone: No such file or directory"),
        ("--ignore-file a/b", "--ignore-file 'a/b': is no name of a file: give the name that such files have "
         "in the tree; --exclude-from takes a path"),
        ("--min-size 2 --max-size 1", "--min-size 2: is more than --max-size 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_flag_is_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["src", "s3://bkt", "--dryrun", *words.split()]) == 2
    assert capsys.readouterr().err == f"s3-upload: error: {message}\n"
