"""The file of a journal: what is looked up in it, in whatever order it is asked for."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from s3_upload.observe.journal_file import JournalFile, Lookup
from s3_upload.observe.journal_rows import DONE, ObjectRow, State

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
