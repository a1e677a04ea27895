"""Settings as botocore reads them, beside ours: no difference without a reason, and the page says so."""

from __future__ import annotations

import botocore
import pytest

from tests.settings_matrix import BASE, CASES, PAGE, Case, page, readings, settings_in


@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_no_difference_is_without_a_reason(case: Case) -> None:
    """What differs without any setting (older versions of botocore send no checksums) is not its doing."""
    base = [dict(reading) for reading in readings(BASE)]
    told = [
        {name: text for name, text in reading.items() if base[0].get(name) == base[1].get(name)}
        for reading in readings(case)
    ]
    assert case.why or told[0] == told[1]


def test_the_page_is_what_both_read() -> None:
    """Another version of botocore may read some settings otherwise: there, that the rows are all there."""
    kept, now = PAGE.read_text(), page()
    assert settings_in(kept) == settings_in(now), "python -m tests.settings_matrix --write"
    assert kept == now or f"botocore {botocore.__version__};" not in kept
