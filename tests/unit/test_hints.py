"""How phrases about a refusal become one line."""

from __future__ import annotations

import pytest

from s3_upload.s3.hints import joined


@pytest.mark.parametrize(
    ("phrases", "line"),
    [
        (
            ("403 AccessDenied: Not you.", "it takes a permission"),
            "403 AccessDenied: Not you; it takes a permission",
        ),
        (("Not you.", ""), "Not you."),
        (("one.", "", "two.", "three."), "one; two; three."),
        ((), ""),
    ],
)
def test_no_full_stop_stands_before_another_phrase(phrases: tuple[str, ...], line: str) -> None:
    assert joined(*phrases) == line
