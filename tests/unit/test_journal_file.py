"""The file of a journal: what is looked up in it, in whatever order it is asked for."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from s3_upload.observe.journal_content import Lookup
from s3_upload.observe.journal_file import JournalFile
from s3_upload.observe.journal_rows import DONE, ObjectRow, PartRow, State, UploadRow

if TYPE_CHECKING:
    from pathlib import Path

KEYS = sorted(
    {f"p/{n:04}" for n in range(0, 3000, 3)} | {"a", "p", "p/é", "p/\ue000", "p/\U0001f600", "z" * 1024}
)
ABSENT = [f"p/{n:04}" for n in range(1, 3000, 3)] + ["", "b", "p/", "p/\uffff", "z", "\U0010ffff"]


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal")
    with closing(JournalFile(path)) as file:
        file.write([ObjectRow(key, f"/src/{key}", number, 7, DONE, "e") for number, key in enumerate(KEYS)])
    return path


@pytest.mark.parametrize("order", ["of keys", "the reverse", "any"])
def test_what_is_looked_up_is_what_was_written(path: str, order: str) -> None:
    asked = sorted([*KEYS, *ABSENT], key=str.encode, reverse=order == "the reverse")
    if order == "any":
        random.Random(1).shuffle(asked)
    said = {key: (f"/src/{key}", number, 7, DONE, "e") for number, key in enumerate(KEYS)}
    with closing(JournalFile(path)) as file:
        lookup = Lookup(file)
        assert [lookup.state_of(key) for key in asked] == [said.get(key) for key in asked]


def test_a_walk_in_order_needs_few_queries(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(JournalFile(path)) as file:
        queries, states_from = [], file.states_from

        def counted(key: str, count: int) -> dict[str, State]:
            queries.append(count)
            return states_from(key, count)

        monkeypatch.setattr(file, "states_from", counted)
        lookup = Lookup(file)
        for key in KEYS:
            assert lookup.state_of(key) is not None
    assert len(queries) <= 12, "1, 2, 4, 8, … objects at a time"


@pytest.mark.parametrize("at_once", [True, False], ids=["in one transaction", "in two"])
def test_parts_are_those_of_the_version_that_was_told_last(tmp_path: Path, at_once: bool) -> None:
    first, second = (UploadRow("u", "k", 5, 9, mtime_ns, 4) for mtime_ns in (1, 2))
    before: list[UploadRow | PartRow] = [first, PartRow("u", 1, 5, "a"), PartRow("u", 2, 4, "b")]
    part = PartRow("u", 1, 5, "c")
    with closing(JournalFile(str(tmp_path / "journal"))) as file:
        if at_once:
            file.write([], [*before, second, part])
        else:
            file.write([], before)
            file.write([], [second, part])
        assert file.known_uploads("k").uploads == ((second, {1: part}),)


def test_of_the_same_version_what_is_known_stays(tmp_path: Path) -> None:
    """Who goes on with an upload tells of no part that the journal has."""
    upload, part = UploadRow("u", "k", 5, 9, 1, 4), PartRow("u", 1, 5, "a")
    with closing(JournalFile(str(tmp_path / "journal"))) as file:
        file.write([], [upload, part])
        file.write([], [upload, PartRow("u", 2, 4, "b")])
        assert file.parts("u").keys() == {1, 2}
