"""The conformance suite through the one store that is always there, and the table it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stores.servers import rclone
from tests.stores.suite import CHECKS, run_check
from tests.stores.table import BEGIN, END, KNOWN, Column, table, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.store import Store


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with rclone(tmp_path_factory.mktemp("stores")) as store:
        yield store


@pytest.mark.parametrize("check", CHECKS)
def test_the_embedded_store_does_what_is_known_of_it(embedded: Store, check: str) -> None:
    difference = run_check(check, embedded)
    assert bool(difference) == (check in KNOWN["rclone"]), difference


def test_what_is_known_is_about_checks_that_exist() -> None:
    assert {check for checks in KNOWN.values() for check in checks} <= set(CHECKS)


def test_the_table_notes_each_difference() -> None:
    columns = [Column("MinIO", "1", {"a": "", "keys with `//`": "x"}), Column("new", "2", {"a": "y"})]
    columns[1].differences["keys with `//`"] = ""
    text = table(columns)
    assert "| a | yes | no (1) |" in text
    assert "| keys with `//` | no (2) | yes |" in text
    assert "1. new, a: **unexpected** (seen: y)" in text
    assert "2. MinIO, keys with `//`: refuses" in text


def test_only_what_is_between_the_markers_is_written(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(document, "new\n")
    assert document.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    document.write_text("no markers")
    with pytest.raises(ValueError, match="has no"):
        write(document, "new\n")
