"""The table that the commands of the bench print line by line."""

from __future__ import annotations

from bench.table import Columns


def test_cells_stand_below_their_headings() -> None:
    columns = Columns((("row", -5), ("%", 6), ("", -1)))
    assert columns.head == "row         %"
    assert columns.line(["a-1", "97.5", "reached"]) == "a-1      97.5  reached"


def test_a_line_without_a_remark_ends_with_its_last_figure() -> None:
    assert Columns((("row", -3), ("%", 3), ("", -1))).line(["a", "1", ""]) == "a      1"
