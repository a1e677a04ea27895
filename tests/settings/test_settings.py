"""The page of settings, as it stands: `make test-settings` compares it with what both commands do."""

from __future__ import annotations

from tests.settings.cases import CASES, TUNING
from tests.settings.page import PAGE, rows


def test_the_page_has_every_setting() -> None:
    kept = PAGE.read_text()
    assert list(rows(kept)) == [case.what for case in CASES]
    assert all(f"| {' | '.join(row)} |" in kept for row in TUNING)


def test_no_row_differs_without_a_reason() -> None:
    assert [
        what for what, (their, our, why) in rows(PAGE.read_text()).items() if (their != our) != bool(why)
    ] == []
