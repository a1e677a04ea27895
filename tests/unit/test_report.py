"""Reports, their fold and the errors they carry."""

from __future__ import annotations

import copy
import pickle

import msgspec
import pytest

from s3_upload.errors import (
    AttemptError,
    ConfigError,
    FailureKind,
    RunError,
    S3UploadError,
    SourceError,
    UploadError,
    UploadsFailed,
)
from s3_upload.report import (
    FAILED_BODY_BYTES,
    SKIPPED,
    SUCCESS,
    SUPERSEDED,
    AttemptReport,
    SummaryFold,
    UploadReport,
    UploadSummary,
)
from s3_upload.sources.source import ObjectSource


def attempt(
    outcome: str = SUCCESS,
    body_bytes: int = 100,
    *,
    sent_bytes: int | None = None,
    hedge: bool = False,
    hedged: bool = False,
) -> AttemptReport:
    return AttemptReport(
        operation="PutObject",
        started_s=1.0,
        ended_s=3.5,
        timeout_s=9.0,
        body_bytes=body_bytes,
        sent_bytes=body_bytes if sent_bytes is None else sent_bytes,
        outcome=outcome,
        hedge=hedge,
        hedged=hedged,
    )


def upload_error(key: str = "k") -> UploadError:
    return UploadError(
        "broke",
        key=key,
        kind=FailureKind.RESET,
        attempts=9,
        status=500,
        code="InternalError",
        request_id="R1",
    )


def uploaded(size: int = 100, *attempts: AttemptReport) -> UploadReport:
    tried = attempts or (attempt(body_bytes=size),)
    return UploadReport(
        seq=0, key="k", source="f", bytes=size, outcome=SUCCESS, attempts=len(tried), attempt_reports=tried
    )


def failed(key: str = "k", *attempts: AttemptReport) -> UploadReport:
    return UploadReport(
        seq=0,
        key=key,
        source="f",
        bytes=100,
        outcome="reset",
        attempts=len(attempts),
        attempt_reports=attempts,
        error=upload_error(key),
    )


def skipped() -> UploadReport:
    return UploadReport(seq=0, key="k", source="fifo", bytes=0, outcome=SKIPPED, reason="is a FIFO")


def fold(*reports: UploadReport, wall_time_s: float = 2.0) -> UploadSummary:
    summary = SummaryFold()
    for report in reports:
        summary.add(report)
    return summary.summary(wall_time_s)


# --- one attempt, one upload


def test_an_attempt() -> None:
    assert attempt().duration_s == 2.5
    assert [attempt(outcome).succeeded for outcome in (SUCCESS, "timeout", SUPERSEDED)] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("size", "seconds", "speed"),
    [(5_000_000, 2.0, 2.5), (1_000_000, 1.0, 1.0), (1, 1.0, 1e-6), (0, 1.0, 0.0), (100, 0.0, 0.0)],
)
def test_speed_is_in_millions_of_bytes_per_second(size: int, seconds: float, speed: float) -> None:
    report = UploadReport(
        seq=0, key="k", source="f", bytes=size, outcome=SUCCESS, success_time_s=seconds, total_time_s=99.0
    )
    assert report.MBps == speed


@pytest.mark.parametrize("outcome", [SUCCESS, SUPERSEDED, *FailureKind])
def test_an_attempt_says_the_kind_of_its_failure_and_its_name_in_json(outcome: str) -> None:
    kind = outcome if isinstance(outcome, FailureKind) else None
    line = msgspec.json.encode(attempt(outcome))
    assert f'"outcome":"{outcome}"'.encode() in line
    read_back = msgspec.json.decode(line, type=AttemptReport)
    assert attempt(outcome).kind is read_back.kind is kind
    assert attempt(outcome).outcome == read_back.outcome


def test_reports_print_as_one_readable_line() -> None:
    slow = msgspec.structs.replace(uploaded(2_500_000, attempt("reset"), attempt()), total_time_s=1.25)
    assert str(slow) == "uploaded f to k (2.5 MB in 1.250 s, 2 attempts)"
    assert str(uploaded()) == "uploaded f to k (100 B in 0.000 s)"
    assert str(failed()) == "failed f to k: broke after 9 attempts (request ID R1)"
    assert str(skipped()) == "skipped fifo: is a FIFO"
    assert str(attempt()) == "PutObject of 100 B: success after 2.500 s"
    refused = AttemptReport(
        operation="UploadPart", started_s=1.0, ended_s=1.25, timeout_s=9.0, body_bytes=5_000_000,
        outcome="throttle", part_number=3, status=503, code="SlowDown", hedge=True,
    )  # fmt: skip
    assert str(refused) == (
        "UploadPart of part 3 of 5.0 MB (a second copy): throttle (503 SlowDown) after 0.250 s"
    )


def test_a_summary_prints_as_one_readable_line() -> None:
    assert str(fold(uploaded(3_000_000))) == "uploaded 1 object, 3.0 MB in 2.00 s (1.50 MB/s)"
    assert str(fold(uploaded(0), uploaded(0), failed("x"), skipped())) == (
        "uploaded 2 objects, 0 B in 2.00 s (0 B/s); 1 failed, the first: x: broke after 9 attempts "
        "(request ID R1); 1 skipped"
    )


def test_a_name_that_is_no_text_can_be_printed_and_its_bytes_are_seen() -> None:
    odd = msgspec.structs.replace(uploaded(), source="d/\udcff\n", key="ä")
    assert str(odd) == "uploaded d/\\xff\\n to ä (100 B in 0.000 s)"
    assert "the first: \\xfe: broke" in str(fold(failed("\udcfe")))
    assert "the first: a\\x1b[31m: broke" in str(fold(failed("a\x1b[31m")))


def test_a_summary_keeps_no_more_bodies_of_failed_objects_than_its_bound() -> None:
    body = bytes(FAILED_BODY_BYTES // 2)
    sources = [ObjectSource.data(body, str(number)) for number in range(3)] + [ObjectSource.file("f", "k")]
    summary = fold(*(msgspec.structs.replace(failed(), object=source) for source in sources))
    assert [report.object for report in summary.failed] == [*sources[:2], None, sources[3]]


# --- the fold


def test_nothing() -> None:
    summary = fold(wall_time_s=0.0)
    assert (summary.sources, summary.uploaded, summary.attempts, summary.bytes, summary.wasted_bytes) == (
        0,
    ) * 5
    assert (summary.goodput_MBps, summary.hedges, summary.budget_wait_s) == (0.0, 0, 0.0)
    summary.raise_for_failures()


def test_every_source_is_counted_once() -> None:
    bad, odd = failed("bad", attempt("reset")), skipped()
    summary = fold(uploaded(10), bad, odd, uploaded(20), wall_time_s=3e-6)
    assert (summary.sources, summary.uploaded) == (4, 2)
    assert (summary.failed, summary.skipped) == ((bad,), (odd,))
    assert summary.sources == summary.uploaded + len(summary.failed) + len(summary.skipped)
    assert summary.bytes == 30
    assert summary.attempts == 3
    assert summary.goodput_MBps == pytest.approx(10.0)


def test_what_an_earlier_run_had_sent_of_an_object_is_no_speed_of_this_one() -> None:
    whole = msgspec.structs.replace(uploaded(100_000_000), success_time_s=2.0)
    report = msgspec.structs.replace(whole, resumed_bytes=90_000_000)
    assert (whole.MBps, report.MBps) == (50.0, 5.0)
    summary = fold(report, wall_time_s=4.0)
    assert (summary.bytes, summary.resumed_bytes, summary.goodput_MBps) == (100_000_000, 90_000_000, 2.5)


def test_wasted_is_what_all_attempts_sent_that_did_not_succeed() -> None:
    summary = fold(
        uploaded(100, attempt("timeout"), attempt("throttle"), attempt()),
        failed("bad", attempt("reset", 7), attempt(SUPERSEDED, 5)),
        uploaded(100),
    )
    assert summary.wasted_bytes == 100 + 100 + 7 + 5
    assert summary.bytes == 200
    assert summary.attempts == 3 + 2 + 1


def test_what_never_left_was_not_wasted() -> None:
    refused, broken = attempt("connect", sent_bytes=0), attempt("reset", sent_bytes=40)
    assert fold(uploaded(100, refused, broken, attempt())).wasted_bytes == 40


def test_hedges_are_the_second_copies_and_the_copy_that_lost_was_sent_in_vain() -> None:
    summary = fold(
        uploaded(100, attempt(SUPERSEDED, hedged=True), attempt(hedge=True)),
        uploaded(100, attempt(hedged=True), attempt(SUPERSEDED, hedge=True)),
        uploaded(100, attempt("reset"), attempt()),
        failed("bad", attempt("timeout", 7, hedged=True), attempt("timeout", 7, hedge=True)),
        uploaded(100),
    )
    assert summary.hedges == 3
    assert summary.wasted_bytes == 100 + 100 + 100 + 14
    assert summary.bytes == 400


def test_what_retries_waited_for_the_budget_is_handed_on() -> None:
    assert SummaryFold().summary(9.0, 2.5).budget_wait_s == 2.5


def test_a_summary_is_a_snapshot() -> None:
    summary = SummaryFold()
    summary.add(failed("a"))
    before = summary.summary(1.0)
    summary.add(failed("b"))
    assert len(before.failed) == 1
    assert len(summary.summary(1.0).failed) == 2


# --- failures


def test_raise_for_failures_names_the_number_and_the_first() -> None:
    summary = fold(failed("a"), uploaded(), failed("b"), skipped())
    with pytest.raises(UploadsFailed) as caught:
        summary.raise_for_failures()
    assert [error.key for error in caught.value.errors] == ["a", "b"]
    assert str(caught.value) == ("2 object(s) were not uploaded: a: broke after 9 attempts (request ID R1)")


def test_skipped_sources_are_no_failures() -> None:
    fold(uploaded(), skipped()).raise_for_failures()


ERRORS = [
    S3UploadError("m"),
    ConfigError("m"),
    SourceError("m", FailureKind.SOURCE_CHANGED),
    AttemptError(FailureKind.TIMEOUT, "m"),
    RunError("m", FailureKind.NO_SUCH_BUCKET),
    upload_error(),
    UploadsFailed([upload_error("a"), upload_error("b")]),
]


def facts(error: BaseException | None) -> object:
    """All that can be seen of an error; errors inside are errors too."""
    inner = {
        name: [facts(e) for e in value] if name == "errors" else value for name, value in vars(error).items()
    }
    return type(error), str(error), inner


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_survive_pickling_and_copying(error: S3UploadError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert facts(twin) == facts(error)


def test_a_summary_survives_pickling() -> None:
    summary = fold(uploaded(), failed("a", attempt("reset")), skipped())
    twin = pickle.loads(pickle.dumps(summary))
    assert msgspec.structs.replace(twin, failed=()) == msgspec.structs.replace(summary, failed=())
    assert facts(twin.failed[0].error) == facts(summary.failed[0].error)


@pytest.mark.parametrize(
    ("attempts", "request_id", "text"),
    [
        (0, "", "k: m"),
        (1, "", "k: m"),
        (2, "", "k: m after 2 attempts"),
        (1, "R", "k: m (request ID R)"),
        (3, "R", "k: m after 3 attempts (request ID R)"),
    ],
)
def test_an_upload_error_says_what_and_how_often(attempts: int, request_id: str, text: str) -> None:
    error = UploadError("m", key="k", kind=FailureKind.SERVER, attempts=attempts, request_id=request_id)
    assert str(error) == text
