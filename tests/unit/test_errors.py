"""The fate of every kind of failure, as the project's table of S3's answers has it."""

from __future__ import annotations

from s3_upload.errors import (
    AttemptError,
    ConfigError,
    FailureKind,
    Fate,
    Remedy,
    RunError,
    S3UploadError,
    SourceError,
    UploadError,
    UploadsFailed,
)

ODD, SHOWN = "evil\x1b[31m\n\udcff", "evil\\x1b[31m\\n\\xff"

FATES = {
    # refused, reset, EOF, broken pipe, our own timeout; an answer that is not HTTP
    "connect": "retry",
    "reset": "retry",
    "timeout": "retry",
    "malformed": "retry",
    # a success without a proof; 404, 405 in no words of S3's
    "unproven": "retry",
    "not-s3": "retry",
    # 500, 502, 504, 499, 509, 520
    "server": "retry",
    # 400 RequestTimeout, 408; 400 IncompleteBody; 400 BadDigest & co; 409
    "request-timeout": "retry",
    "bad-request": "retry",
    "incomplete-body": "retry",
    "digest": "retry",
    "conflict": "retry",
    # 503, 429, any code of the throttling list
    "throttle": "throttle",
    # put right once: 301 & co, to a region or to a place; RequestTimeTooSkewed; ExpiredToken
    "region": "correct",
    "moved": "correct",
    "clock": "correct",
    "expired-token": "correct",
    # 501, and 400 that names a checksum's header
    "unsupported": "correct",
    # the run's (401, too), but for a clock that makes signatures wrong
    "credentials": "correct",
    # 400 that asks for Content-MD5
    "needs-md5": "correct",
    # any other 4xx; 412; EntityTooLarge; the source's own failures
    "rejected": "file",
    "exists": "file",
    "too-large": "file",
    "no-such-upload": "file",
    "invalid-part": "file",
    "too-many-parts": "file",
    "our-bug": "file",
    "source": "file",
    "source-changed": "file",
    "same-key": "file",
    # no other object would fare better: 403, 407; 404 NoSuchBucket, 400 InvalidBucketName; 507
    "access-denied": "run",
    "no-such-bucket": "run",
    "store-full": "run",
    "host-unknown": "run",
    "certificate": "run",
    "tls-mismatch": "run",
    "proxy": "run",
    "client-closed": "run",
}


def test_every_kind_has_the_fate_of_the_table() -> None:
    assert {kind.value: kind.fate.value for kind in FailureKind} == FATES


def test_what_may_have_been_done_all_the_same() -> None:
    """No answer, or none that says what became of the request."""
    assert {kind.value for kind in FailureKind if kind.ambiguous} == {
        "reset", "timeout", "malformed", "server", "unproven",
    }  # fmt: skip
    assert all(kind.retried for kind in FailureKind if kind.ambiguous)


def test_a_remedy_that_is_no_other_start_is_bounded() -> None:
    for kind in FailureKind:
        assert (kind.times is None) == (kind.remedy in (Remedy.NONE, Remedy.ASK)), kind
        assert kind.stops_run == (kind.fate in (Fate.RUN, Fate.CORRECT))


def test_every_remedy_is_met() -> None:
    met = {kind.remedy for kind in FailureKind} | {kind.on_complete for kind in FailureKind}
    assert met == set(Remedy)


def test_every_fate_is_met() -> None:
    assert {kind.fate for kind in FailureKind} == set(Fate)


def test_kinds_are_found_by_the_name_they_have_in_reports() -> None:
    by_name = {kind.value: kind for kind in FailureKind}
    for name, kind in by_name.items():
        assert FailureKind(name) is kind  # type: ignore[call-arg]  # the call means a look-up by value


def test_all_exceptions_are_of_one_family() -> None:
    family = (ConfigError, SourceError, AttemptError, UploadError, RunError, UploadsFailed)
    assert all(issubclass(error, S3UploadError) for error in family)
    assert not issubclass(S3UploadError, ValueError | OSError)


def test_a_source_error_is_of_kind_source_unless_said_otherwise() -> None:
    assert SourceError("m").kind is FailureKind.SOURCE
    assert SourceError("m", FailureKind.SOURCE_CHANGED).kind is FailureKind.SOURCE_CHANGED


def test_uploads_failed_without_errors_is_still_a_sentence() -> None:
    assert str(UploadsFailed([])) == "0 object(s) were not uploaded"


def test_no_name_in_an_error_writes_to_the_terminal_or_keeps_it_from_being_printed() -> None:
    object_error = UploadError(f"{ODD}: gone", key=ODD, kind=FailureKind.SOURCE)
    assert str(object_error) == f"{SHOWN}: {SHOWN}: gone"
    assert str(UploadsFailed([object_error])) == f"1 object(s) were not uploaded: {object_error}"
    for error in (SourceError(ODD), ConfigError(ODD), RunError(ODD, FailureKind.CONNECT)):
        assert str(error) == SHOWN
    assert (object_error.key, object_error.message) == (ODD, f"{ODD}: gone")
