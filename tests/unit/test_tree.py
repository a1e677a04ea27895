"""`tree.Listings`: two walks over one tree list each directory once."""

from __future__ import annotations

import contextlib
import os
import tempfile
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3_upload.sources.linked import Linked
from s3_upload.sources.mapping import Destination
from s3_upload.sources.selecting import Filter, Selection
from s3_upload.sources.walk import Listing, Listings, PlainFiles, Way, sources_of, walk_tree
from tests.mapped import map_paths, walk_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORIES = ("", "a", "a/deep", "b", "c")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for directory in DIRECTORIES:
        (tmp_path / directory).mkdir(exist_ok=True)
        for name in ("1", "2", "ü", "z.jpg"):
            (tmp_path / directory / name).touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "again").symlink_to("a/deep")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The directories that are listed from now on."""
    found: list[str] = []
    scandir = os.scandir

    def counting(path: str) -> Any:
        found.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    return found


def keys(entries: Iterator[Any]) -> list[str]:
    return [source.key for source in sources_of(entries)]


def test_files_that_are_nothing_but_that_come_many_at_once(tree: Path) -> None:
    first, *_ = walk_tree(str(tree / "a"), "k")
    assert first == PlainFiles(f"{tree}/a/", "k/", ["1", "2"])


@pytest.mark.parametrize("filters", [None, Filter(exclude="*.jpg").selection()])
def test_two_walks_find_the_same_and_list_each_directory_once(
    tree: Path, listed: list[str], filters: Selection | None
) -> None:
    alone = keys(walk_tree(str(tree), "k", filters))
    assert len(alone) > len(DIRECTORIES)
    del listed[:]
    listings = Listings()
    first = keys(walk_tree(str(tree), "k", filters, Way(Linked(), listings=listings)))
    assert keys(walk_tree(str(tree), "k", filters, Way(Linked(), listings=listings))) == first == alone
    assert len(listed) == len(DIRECTORIES) + 1  # and the link


def test_they_may_go_side_by_side(tree: Path, listed: list[str]) -> None:
    listings = Listings()
    walks = [sources_of(walk_tree(str(tree), "k", None, Way(Linked(), listings=listings))) for _ in range(2)]
    for one, other in zip_longest(*walks):
        assert one.key == other.key
    assert len(listed) == len(DIRECTORIES) + 1


def test_what_both_have_is_forgotten(tree: Path, listed: list[str]) -> None:
    listings = Listings()
    for _ in range(3):
        keys(walk_tree(str(tree), "k", None, Way(Linked(), listings=listings)))
    assert len(listed) == 2 * (len(DIRECTORIES) + 1)


def test_what_both_list_at_once_is_forgotten_too() -> None:
    listings, made = Listings(), 0

    def make() -> Listing:
        nonlocal made
        made += 1
        return Listing(["1"], frozenset())

    listings.get("d", lambda: listings.get("d", make) and make())
    assert made == 2
    listings.get("d", make)
    assert made == 3


def test_only_so_many_names_are_kept(tree: Path, listed: list[str]) -> None:
    listings = Listings(max_names=7)  # one directory of four, and not a second
    for _ in range(2):
        for name in "bc":
            list(walk_tree(str(tree / name), "k", None, Way(Linked(), listings=listings)))
    of_c = [path for path in listed if path.endswith("/c")]
    assert (len(listed), len(of_c)) == (3, 2)


def test_a_walk_that_counts_shares_with_the_upload_s(tree: Path, listed: list[str]) -> None:
    listings = Listings()
    paths, destination = [str(tree / "a"), str(tree / "b")], Destination("bkt", "p")
    uploaded = [source.key for source in map_paths(paths, destination, None, listings)]
    so_far = len(listed)
    assert keys(walk_paths(paths, destination, None, listings)) == uploaded
    assert len(listed) == so_far + len(paths)  # which only asks whether they can be listed


@given(
    st.lists(
        st.lists(st.text("a-.0~!ü\ud7ff\uffff\U0001f600", min_size=1, max_size=3), min_size=1, max_size=3),
        max_size=30,
    )
)
@example([["a.txt"], ["a", "x"], ["a"], ["a-"], ["a0"], ["a!"], ["\uffff"], ["\U0001f600", "x"]])
def test_keys_come_in_the_order_in_which_s3_lists_them(paths: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        for path in paths:
            target = Path(root, *path)
            if {".", ".."} & set(path):
                continue
            with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
        found = keys(walk_tree(root, "p"))
    assert found == sorted(found, key=str.encode)


def test_a_link_to_a_directory_stands_where_the_directory_would(tmp_path: Path) -> None:
    for name in ("a.txt", "b/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a").symlink_to("b")
    assert keys(walk_tree(str(tmp_path), "")) == ["a.txt", "a/x", "b/x"]
    assert keys(walk_tree(str(tmp_path), "", None, Way(Linked(), follows=False))) == ["a", "a.txt", "b/x"]
