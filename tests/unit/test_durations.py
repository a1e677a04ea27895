"""`report.Durations`: quantiles of any number of durations, in bounded memory."""

from __future__ import annotations

import pytest

from s3_upload.report import MAX_DURATIONS, SummaryFold, UploadReport


def summary_of(count: int) -> tuple[float, float]:
    fold = SummaryFold()
    for number in range(count):
        report = UploadReport(
            seq=number, key="k", source="k", bytes=1, outcome="success", total_time_s=(number + 1) / count
        )
        fold.add(report)
    summary = fold.summary(1.0)
    return summary.median_s, summary.p99_s


def test_of_none_nothing_is_known() -> None:
    assert summary_of(0) == (0.0, 0.0)


def test_of_one_it_is_that() -> None:
    assert summary_of(1) == (1.0, 1.0)


@pytest.mark.parametrize("count", [100, MAX_DURATIONS - 1, MAX_DURATIONS, 3 * MAX_DURATIONS + 7, 50_000])
def test_of_many_a_sample_tells(count: int) -> None:
    median_s, p99_s = summary_of(count)
    assert median_s == pytest.approx(0.5, abs=0.02)
    assert p99_s == pytest.approx(0.99, abs=0.02)
