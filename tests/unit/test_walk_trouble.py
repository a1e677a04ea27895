"""What becomes of trouble in a tree: each is defined, told, and stops nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s3_upload import FailureKind, ObjectSource, files_recursive
from s3_upload.cli.main import main
from s3_upload.sources.mapping import Destination
from tests.mapped import map_paths


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "m/1", "m/2", "z"):
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "src"


def told(found: list[ObjectSource]) -> list[tuple[str, str]]:
    return [(source.key, str(source.problem or source.skip_reason)) for source in found]


@pytest.mark.parametrize(
    ("instead", "expected"),
    [
        ("nothing", [("m", "src/m: No such file or directory")]),
        ("file", [("m", "")]),
        ("link", [("m/key", "")]),
        ("directory", [("m/new", "")]),
        ("fifo", [("m", "is a FIFO")]),
    ],
)
def test_a_directory_that_is_replaced_during_the_walk_is_what_it_is_then(
    tree: Path, instead: str, expected: list[tuple[str, str]]
) -> None:
    walk = map_paths(["src"], Destination("b"))
    assert next(walk).key == "a"
    (tree / "m").rename(tree.parent / "before")
    if instead == "file":
        (tree / "m").touch()
    elif instead == "link":
        (tree.parent / "there").mkdir()
        (tree.parent / "there" / "key").touch()
        (tree / "m").symlink_to("../there")
    elif instead == "directory":
        (tree / "m").mkdir()
        (tree / "m" / "new").touch()
    elif instead == "fifo":
        os.mkfifo(tree / "m")
    assert told(list(walk)) == [*expected, ("z", "")]


def test_links_that_come_in_the_place_of_directories_are_not_followed_where_none_are(tree: Path) -> None:
    walk = map_paths(["src"], Destination("b"), follow_symlinks=False)
    assert next(walk).key == "a"
    (tree / "m").rename(tree.parent / "before")
    (tree / "m").symlink_to("../before")
    assert told(list(walk)) == [("m", "is a link, and links are not followed"), ("z", "")]


def test_a_directory_that_vanishes_while_its_files_are_told_stops_nothing(tree: Path) -> None:
    walk = map_paths(["src"], Destination("b"))
    assert [next(walk).key, next(walk).key] == ["a", "m/1"]
    for name in ("1", "2"):
        (tree / "m" / name).unlink()
    (tree / "m").rmdir()
    assert told(list(walk)) == [("m/2", ""), ("z", "")]  # whose reader tells that it is gone


def test_a_key_longer_than_1024_bytes_fails_before_it_is_sent(tree: Path) -> None:
    fits, long = "p" * 1_022, "p" * 1_023
    assert told(list(map_paths(["src"], Destination("b", fits)))) == [
        (f"{fits}/a", ""),
        *(
            (f"{fits}/m/{n}", f"src/m/{n}: its key has 1,026 bytes, and S3 takes 1,024: shorten it")
            for n in "12"
        ),
        (f"{fits}/z", ""),
    ]
    found = list(map_paths(["src/a"], Destination("b", f"{long}/")))
    assert told(found) == [(f"{long}/a", "src/a: its key has 1,025 bytes, and S3 takes 1,024: shorten it")]
    assert found[0].problem is not None
    assert found[0].problem.kind is FailureKind.REJECTED
    assert told(list(map_paths(["src/a"], Destination("b", "k" * 1_024)))) == [("k" * 1_024, "")]
    assert told(list(map_paths(["src/a"], Destination("b", "ü" * 513))))[0][1].startswith(
        "src/a: its key has 1,026"
    )


def test_directories_so_deep_that_keys_get_too_long_fail_by_bytes_and_not_by_characters(tree: Path) -> None:
    deep = tree / "d"
    for _ in range(4):
        deep = deep / ("ü" * 120)
        deep.mkdir(parents=True)
    for name in ("short", "n" * 100, "ü" * 30):
        (deep / name).touch()
    found = list(files_recursive("src", "p"))
    failed = [source for source in found if source.problem is not None]
    assert [source.path.rpartition("/")[2] for source in failed] == ["n" * 100, "ü" * 30]
    lengths = [len(source.key.encode()) for source in found if source.problem is None]
    assert max(lengths) <= 1_024 < min(len(source.key.encode()) for source in failed)


def test_a_dry_run_tells_which_keys_are_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["src/a", f"s3://bkt/{'k' * 1_025}", "--dryrun"]) == 1
    assert capsys.readouterr().err == (
        "(dryrun) failed: src/a: its key has 1,025 bytes, and S3 takes 1,024: shorten it\n"
    )
