"""What goes wrong once is tried again; what goes wrong for good fails its object and no other."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.control.retrying.retry import ASK_RETRIES
from s3_upload.errors import FailureKind, UploadsFailed
from s3_upload.request_fields import RequestFields
from tests.faults.actions import Action, Answer, Early, Garbage, Reset, Rule, Serve, Stall, Torn, s3_error
from tests.faults.uploads import Reports, config, quick_upload, stored, upload

if TYPE_CHECKING:
    from s3_upload.sources.source import ObjectSource
    from tests.conftest import StartFaultServer, Tls

CONTENTS = {f"good-{n}": b"%d" % n for n in range(5)} | {"bad": random.Random(1).randbytes(300_000)}

TRANSIENT: dict[str, tuple[Action, str]] = {
    "500": (s3_error(500, "InternalError"), "server"),
    "502": (Answer(502, body=b"<html>Bad Gateway</html>"), "server"),
    "504": (Answer(504), "server"),
    "400 RequestTimeout": (s3_error(400, "RequestTimeout", close=True), "request-timeout"),
    "400 IncompleteBody": (s3_error(400, "IncompleteBody"), "incomplete-body"),
    "400 BadDigest": (s3_error(400, "BadDigest"), "digest"),
    "409": (s3_error(409, "OperationAborted"), "conflict"),
    "503": (s3_error(503, "SlowDown"), "throttle"),
    "429": (Answer(429), "throttle"),
    "early 500": (Early(s3_error(500, "InternalError")), "server"),
    "reset before the body": (Reset(after_body_bytes=0), "reset"),
    "reset mid-body": (Reset(after_body_bytes=100_000), "reset"),
    "reset before the answer": (Reset(), "reset"),
    "reset after it was stored": (Reset(stored=True), "reset"),
    "torn": (Torn(), "reset"),
    "torn after it was stored": (Torn(stored=True), "reset"),
    "no answer": (Torn(b""), "reset"),
    "garbage": (Garbage(), "malformed"),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_what_fails_once_is_tried_again_and_on_a_new_connection_if_the_old_one_is_in_doubt(
    fault_server: StartFaultServer, name: str
) -> None:
    action, outcome = TRANSIENT[name]
    server = fault_server([Rule(action, key="bad", attempt=1)])
    reports = Reports()
    summary = upload(server, CONTENTS, progress=reports)
    assert stored(server) == CONTENTS
    assert (summary.sources, summary.uploaded, summary.failed) == (6, 6, ())
    assert summary.attempts == 7
    first, _ = server.of("PUT", "bad")
    assert first.body_bytes <= summary.wasted_bytes <= 300_000
    report = reports.of("bad")
    assert (report.outcome, report.attempts) == ("success", 2)
    kinds = [attempt.outcome for attempt in report.attempt_reports]
    # An early answer races with the reset that follows it.
    assert kinds == [outcome, "success"] or (name == "early 500" and kinds == ["reset", "success"])
    assert [attempt.retries for attempt in report.attempt_reports] == [0, 1]
    whole_answer = outcome in {"server", "throttle", "conflict"} and kinds[0] == outcome
    assert report.attempt_reports[1].new_connection or whole_answer


def test_the_store_says_when_to_come_back(fault_server: StartFaultServer) -> None:
    slow_down = s3_error(503, "SlowDown", headers={"Retry-After": "1"})
    server = fault_server([Rule(slow_down, key="bad", attempt=1)])
    assert upload(server, CONTENTS).uploaded == 6
    refused, served = server.of("PUT", "bad")
    assert served.started_s - refused.answered_s >= 0.99


@pytest.mark.parametrize("stored_all_the_same", [False, True])
@pytest.mark.parametrize("after", [None, 0, 100_000], ids=["answer", "headers", "mid-body"])
def test_a_store_that_stops_answering_is_left_when_the_time_is_up(
    fault_server: StartFaultServer, after: int | None, stored_all_the_same: bool
) -> None:
    stall = Stall(after, stored=stored_all_the_same and after is None)
    server = fault_server([Rule(stall, key="bad", attempt=1)], receive_buffer_bytes=4096)
    reports = Reports()

    def stalls(_operation: str, body_bytes: int, retries: int) -> bool:
        return body_bytes == len(CONTENTS["bad"]) and retries == 0

    quick_upload(server, CONTENTS, stalls=stalls, progress=reports)
    assert stored(server) == CONTENTS
    first, *_ = reports.of("bad").attempt_reports
    assert (first.outcome, first.status) == ("timeout", 0)
    assert first.timeout_s <= first.ended_s - first.request_s


def test_a_store_that_accepts_and_never_reads(fault_server: StartFaultServer) -> None:
    server = fault_server(on_connect={1: Stall(), 2: Stall()}.get)
    contents = {"0": b"first", "1": b"first"} | CONTENTS

    def stalls(_operation: str, body_bytes: int, retries: int) -> bool:
        return body_bytes == len(b"first") and retries == 0

    summary = quick_upload(server, contents, settings=config(max_in_flight=2), stalls=stalls)
    assert stored(server) == contents
    assert summary.attempts == len(contents) + 2


def test_an_idle_connection_that_the_store_closes_costs_no_object(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda request: Serve(close=request.number % 3 == 0))
    contents = {str(n): b"x" for n in range(100)}
    summary = upload(server, contents)
    assert stored(server) == contents
    assert summary.attempts == 100


@pytest.mark.parametrize(
    ("action", "kind", "status", "code"),
    [
        (s3_error(500, "InternalError", "We hit a snag"), FailureKind.SERVER, 500, "InternalError"),
        (s3_error(503, "SlowDown", "We hit a snag"), FailureKind.THROTTLE, 503, "SlowDown"),
        (Reset(), FailureKind.RESET, 0, ""),
    ],
    ids=["500", "503", "reset"],
)
def test_retries_that_run_out_fail_the_object_and_the_others_go_on(
    fault_server: StartFaultServer, action: Action, kind: FailureKind, status: int, code: str
) -> None:
    server = fault_server({"bad": action})
    summary = upload(server, CONTENTS, settings=config(n_retries=2))
    assert sorted(stored(server)) == [f"good-{n}" for n in range(5)]
    assert (summary.sources, summary.uploaded, summary.attempts) == (6, 5, 8)
    [report] = summary.failed
    error = report.error
    assert error is not None
    assert (report.key, report.outcome, report.attempts) == ("bad", kind.value, 3)
    assert (error.key, error.kind, error.attempts) == ("bad", kind, 3)
    assert (error.status, error.code) == (status, code)
    assert len(server.of("PUT", "bad")) == 3
    asked = 0 if kind is FailureKind.THROTTLE else 1 + ASK_RETRIES  # it may be there all the same
    heads = len(server.of("HEAD", "bad"))
    assert heads in (
        asked,
        asked + (kind is FailureKind.RESET),
    )  # on a used connection, free
    assert len(report.attempt_reports) == 3 + heads
    assert str(error).startswith("bad: ")
    assert "after 3 attempts" in str(error)
    if status:
        assert error.request_id == "FAULTSERVER"
        assert "We hit a snag" in str(error)
    with pytest.raises(UploadsFailed, match="1 object"):
        summary.raise_for_failures()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (s3_error(400, "InvalidArgument"), FailureKind.REJECTED),
        (s3_error(400, "EntityTooLarge"), FailureKind.TOO_LARGE),
        (s3_error(412, "PreconditionFailed"), FailureKind.EXISTS),
        (Answer(418), FailureKind.REJECTED),
    ],
)
def test_what_would_fail_again_is_not_tried_again(
    fault_server: StartFaultServer, answer: Answer, kind: FailureKind
) -> None:
    server = fault_server({"bad": answer})
    [report] = upload(server, CONTENTS).failed
    assert report.error is not None
    assert (report.error.kind, report.attempts, report.error.status) == (kind, 1, answer.status)
    assert len(server.of("PUT", "bad")) == 1


def test_no_retries_means_one_attempt(fault_server: StartFaultServer) -> None:
    server = fault_server({"bad": Reset()})
    [report] = upload(server, CONTENTS, settings=config(n_retries=0)).failed
    assert (report.attempts, len(server.of("PUT", "bad"))) == (1, 1)


def test_fields_that_cannot_be_sent_fail_their_object_and_leak_no_connection(
    fault_server: StartFaultServer,
) -> None:
    contents = {f"{n}-{kind}": b"x" for n in range(50) for kind in ("bad", "good")}
    server = fault_server()

    def fields(source: ObjectSource) -> RequestFields:
        value = "a\r\nx-evil: 1" if source.key.endswith("bad") else "fine"
        return RequestFields(metadata={"m": value})

    summary = upload(server, contents, settings=config(max_in_flight=2), default_request=fields)
    assert sorted(stored(server)) == sorted(key for key in contents if key.endswith("good"))
    assert len(summary.failed) == 50
    error = summary.failed[0].error
    assert error is not None
    assert error.kind is FailureKind.REJECTED
    assert "metadata 'm'" in error.message
    assert "evil" not in str(error)
    assert server.counts["connections"] <= 2


@pytest.mark.parametrize("key", ["", "a\ud800b"], ids=["empty", "no Unicode"])
def test_a_key_that_s3_does_not_know_fails_its_object(fault_server: StartFaultServer, key: str) -> None:
    server = fault_server()
    summary = upload(server, {key: b"x", "good": b"y"})
    assert stored(server) == {"good": b"y"}
    [report] = summary.failed
    assert report.key == key
    assert report.outcome == FailureKind.REJECTED


def over_tls(tls: Tls) -> dict[str, Any]:
    return {"verify": str(tls.ca_file)}


def test_retries_over_tls(fault_server: StartFaultServer, tls: Tls) -> None:
    plan: list[Action] = [Reset(), Torn(), s3_error(500, "InternalError")]
    server = fault_server(
        [Rule(action, key="bad", attempt=n + 1) for n, action in enumerate(plan)], tls=tls.server_context
    )
    contents = CONTENTS | {"big": random.Random(2).randbytes(4_000_000)}
    summary = upload(server, contents, tls=over_tls(tls))
    assert stored(server) == contents
    assert summary.attempts == 7 + len(plan)
    assert all("x-amz-checksum-crc32" in r.headers for r in server.of("PUT"))
    # TLS handshakes are dear: connections are kept.
    assert server.counts["connections"] <= 7 + len(plan)
