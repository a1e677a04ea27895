"""`screen.ending`: what is said when a run is over, to the letter."""

from __future__ import annotations

import re
from typing import Any

import pytest

from s3_upload.config import UploadConfig
from s3_upload.errors import FailureKind, UploadError
from s3_upload.observe.limits import ANSWERS, CPU, LINK, NAMES, READING
from s3_upload.report import UploadReport, UploadSummary
from s3_upload.screen.ending import MAX_GROUPS, REMEDIES, cause_of, ending, failures, limited
from s3_upload.screen.words import LIMITS

CONFIG = UploadConfig()


def failed(source: str, why: str, kind: FailureKind = FailureKind.SOURCE) -> UploadReport:
    error = UploadError(why, key=f"k/{source}", kind=kind, attempts=1)
    return UploadReport(seq=0, key=f"k/{source}", source=source, bytes=0, outcome=kind.value, error=error)


def summary(**more: Any) -> UploadSummary:
    values: dict[str, Any] = {
        "sources": 1, "uploaded": 1, "bytes": 10, "wall_time_s": 1.0, "attempts": 1, "wasted_bytes": 0,
        "hedges": 0, "budget_wait_s": 0.0, "failed": (), "skipped": (),
    }  # fmt: skip
    return UploadSummary(**(values | more))


def test_of_a_run_in_which_all_went_well_there_is_nothing_to_say() -> None:
    assert ending(summary(), CONFIG) == []
    quick = summary(uploaded=10_000, median_s=0.01, p99_s=0.1, limits={CPU: 0.9}, wall_time_s=4.9)
    assert ending(quick, CONFIG) == []


def test_a_single_failure_has_been_told() -> None:
    assert failures((failed("a", "a: the link leads to nothing"),)) == []


def test_failures_are_grouped_by_cause_the_most_frequent_first_with_a_remedy() -> None:
    reports = [failed("old/x", "old/x: Permission denied")]
    reports += [failed(f"many/dang{n}", f"many/dang{n}: the link leads to nothing") for n in range(1_234)]
    denied = "answered 403 AccessDenied: no"
    reports += [failed(f"d{n}", f"k/d{n}: {denied}", FailureKind.ACCESS_DENIED) for n in range(2)]
    assert failures(tuple(reports)) == [
        "1,234 failed: the link leads to nothing: many/dang0 and 1,233 more"
        " (mend or remove the links, or --exclude them)",
        f"2 failed: {denied}: d0 and 1 more (the account needs s3:PutObject for these keys)",
        "1 failed: Permission denied: old/x (whoever runs this must be allowed to read them)",
    ]


def test_no_more_groups_are_told_than_somebody_reads() -> None:
    reports = [failed(f"f{n}", f"cause {n % (MAX_GROUPS + 2)}") for n in range(3 * (MAX_GROUPS + 2))]
    lines = failures(tuple(reports))
    assert len(lines) == MAX_GROUPS + 1
    assert lines[-1] == "6 failed for other reasons"


def test_a_cause_names_no_object_wherever_it_is_named() -> None:
    assert cause_of(failed("a/b", "a/b: changed while it was read")) == "changed while it was read"
    assert cause_of(failed("a/b", "cannot open a/b: no such file")) == "cannot open …: no such file"
    assert cause_of(failed("a", "a changed while it was read by 'a' (a)")) == (
        "… changed while it was read by '…' (…)"
    )
    skipped = UploadReport(seq=0, key="k", source="s", bytes=0, outcome="timeout")
    assert cause_of(skipped) == "timeout"


def test_a_name_within_a_word_stays() -> None:
    assert cause_of(failed("a", "k/a: a bad a/b of a, say")) == "… bad a/b of …, say"


def test_to_group_failures_no_expression_is_compiled_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a million that would take minutes, in which nothing is said."""
    compiled: list[str] = []

    def compiles(pattern: str, by: str, text: str) -> str:
        compiled.append(pattern)
        return text

    reports = [failed(f"d/{n}", f"d/{n}: Permission denied of d/{n}") for n in range(1_000)]
    with monkeypatch.context() as patched:
        patched.setattr(re, "sub", compiles)
        lines = failures(tuple(reports))
    assert compiled == []
    assert lines[0].startswith("1,000 failed: Permission denied of …: d/0 and 999 more")


@pytest.mark.parametrize("kind", REMEDIES)
def test_kinds_of_failures_have_remedies(kind: FailureKind) -> None:
    lines = failures((failed("a", "no", kind), failed("b", "no", kind)))
    assert lines == [f"2 failed: no: a and 1 more ({REMEDIES[kind]})"]


def test_what_has_no_remedy_has_none() -> None:
    lines = failures((failed("a", "no", FailureKind.REJECTED), failed("b", "no", FailureKind.REJECTED)))
    assert lines == ["2 failed: no: a and 1 more"]


def test_failed_attempts_are_told_by_cause() -> None:
    found = summary(attempts=900, causes={"503 SlowDown": 812, "timeout": 1})
    assert ending(found, CONFIG) == ["failed attempts: 503 SlowDown 812 times, timeout once"]


def test_of_many_objects_it_is_told_how_long_one_took() -> None:
    found = summary(uploaded=100, wall_time_s=5.0, median_s=0.0123, p99_s=12.3)
    assert ending(found, CONFIG) == ["an object took 12 ms (median), 99 % of them 12 s at most"]
    assert ending(summary(uploaded=99, wall_time_s=5.0, median_s=0.01, p99_s=1.0), CONFIG) == []


@pytest.mark.parametrize("name", NAMES)
def test_whatever_limited_has_words(name: str) -> None:
    assert limited({name: 1.0}, CONFIG).startswith(f"limited by {LIMITS[name]} 100 %")


def test_what_limited_is_told_in_shares_as_far_as_they_matter() -> None:
    assert (
        limited({LINK: 0.824, READING: 0.113, CPU: 0.04}, CONFIG)
        == "limited by the link 82 %, reading files 11 %"
    )
    assert ending(summary(wall_time_s=5.0, limits={LINK: 1.0}), CONFIG) == ["limited by the link 100 %"]


def test_advice_is_given_where_there_is_some() -> None:
    config = UploadConfig(reader_threads=4, max_in_flight=32)
    assert limited({READING: 0.61}, config) == "limited by reading files 61 %: try --reader-threads 8"
    assert limited({ANSWERS: 0.61}, config) == (
        "limited by the store's answers 61 %: --max-in-flight 32 holds it back"
    )
    assert limited({READING: 0.49, LINK: 0.4}, config) == "limited by reading files 49 %, the link 40 %"
    assert limited({READING: 0.9}, UploadConfig(reader_threads=64)) == "limited by reading files 90 %"
