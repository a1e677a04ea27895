"""An object whose outcome is in doubt is settled by HeadObject, and counts as ours only if that is proven."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import controls_for, real_runtime, run_upload
from s3_upload.control.concurrency.window import AdaptiveWindow, Tuning
from s3_upload.control.retrying.retry import ASK_RETRIES
from s3_upload.errors import FailureKind, RunError
from s3_upload.request_fields import RequestFields
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.given import Controls
from tests.faults.actions import Action, Answer, Request, Reset, Rule, Torn, s3_error
from tests.faults.model import S3Model
from tests.faults.uploads import BUCKET, PART_BYTES, Reports, config, quick, run, sources, stored, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from tests.conftest import StartFaultServer, Tls

BODY = b"the body"
OTHER = b"OTHERONE"
SETTINGS = config(n_retries=1)
LOST = Rule(Reset(stored=True), method="PUT")
NOT_DONE = Rule(Reset(), method="PUT")
ONLY_NEW = RequestFields(if_none_match="*")
MODES: list[dict[str, Any]] = [{}, {"checksum": "off"}, {"checksum_algorithm": "SHA256"}]


@pytest.mark.parametrize("mode", MODES, ids=["CRC32", "ETag", "SHA256"])
@pytest.mark.parametrize("action", [Reset(stored=True), Torn(stored=True)], ids=["reset", "torn"])
def test_what_is_there_after_all_is_a_success(
    fault_server: StartFaultServer, action: Action, mode: dict[str, Any]
) -> None:
    server = fault_server([Rule(action, method="PUT")])
    reports = Reports()
    summary = upload(server, {"a": BODY, "empty": b""}, settings=SETTINGS, progress=reports, tls=mode)
    assert (summary.uploaded, summary.bytes, summary.attempts) == (2, len(BODY), 4)
    report = reports.of("a")
    assert [a.operation for a in report.attempt_reports] == ["PutObject", "PutObject", "HeadObject"]
    assert report.etag == f'"{hashlib.md5(BODY).hexdigest()}"'
    assert report.success_time_s >= report.attempt_reports[1].duration_s
    assert len(server.of("HEAD", "a")) == 1


@pytest.mark.parametrize(("mode", "refused"), [({}, 1), ({"checksum": "off"}, 0)], ids=["CRC32", "ETag"])
@pytest.mark.parametrize("lost", [Reset(), Answer(200)], ids=["reset", "unproven"])
def test_a_store_that_refuses_to_tell_checksums_is_asked_without(
    fault_server: StartFaultServer, lost: Action, mode: dict[str, Any], refused: int
) -> None:
    def script(request: Request) -> Action | None:
        if request.method == "PUT":
            return lost
        server.model.answer(server.of("PUT")[0])
        return Answer(400) if "x-amz-checksum-mode" in request.headers else None

    server = fault_server(script)
    assert upload(server, {"a": BODY}, settings=SETTINGS, tls=mode).uploaded == 1
    assert len(server.of("HEAD")) == 1 + refused


@pytest.mark.parametrize("mode", MODES, ids=["CRC32", "ETag", "SHA256"])
@pytest.mark.parametrize("there", [OTHER, BODY[:-1], BODY + b"."], ids=["same size", "shorter", "longer"])
def test_another_object_of_that_name_is_not_ours(
    fault_server: StartFaultServer, there: bytes, mode: dict[str, Any]
) -> None:
    server = fault_server()
    upload(server, {"a": there}, tls=mode)
    server.set_script([NOT_DONE])
    [report] = upload(server, {"a": BODY}, settings=SETTINGS, tls=mode).failed
    assert report.outcome == "reset"
    assert "HeadObject found an object that is not proven to be ours" in str(report.error)
    assert stored(server) == {"a": there}


@pytest.mark.parametrize(("age_s", "uploaded"), [(0, 1), (3600, 0)])
def test_the_same_bytes_that_were_there_before_are_not_ours(
    fault_server: StartFaultServer, age_s: int, uploaded: int
) -> None:
    """They may have other metadata."""
    found = {
        "ETag": f'"{hashlib.md5(BODY).hexdigest()}"',
        "Content-Length": str(len(BODY)),
        "Date": formatdate(2e9, usegmt=True),
        "Last-Modified": formatdate(2e9 - age_s, usegmt=True),
    }
    server = fault_server([NOT_DONE, Rule(Answer(200, found), method="HEAD")])
    assert upload(server, {"a": BODY}, settings=SETTINGS).uploaded == uploaded


@pytest.mark.parametrize(
    ("headers", "uploaded"),
    [
        ({"ETag": '"opaque"'}, 0),
        ({}, 0),
        ({"ETag": '"opaque"', "x-amz-checksum-crc32": b64encode(zlib.crc32(BODY).to_bytes(4)).decode()}, 1),
        ({"ETag": f'"{hashlib.md5(BODY).hexdigest()}"', "x-amz-checksum-crc32": "AAAAAA=="}, 0),
    ],
    ids=["opaque ETag", "nothing", "checksum", "another checksum"],
)
def test_what_proves_an_object(
    fault_server: StartFaultServer, headers: dict[str, str], uploaded: int
) -> None:
    found = Answer(200, {"Content-Length": str(len(BODY)), **headers})
    server = fault_server([LOST, Rule(found, method="HEAD")])
    assert upload(server, {"a": BODY}, settings=SETTINGS).uploaded == uploaded


@pytest.mark.parametrize(
    ("answer", "heads", "remark"),
    [
        (None, 1, ""),
        (Answer(403), 1, "; HeadObject could not tell"),
        (Answer(500), 1 + ASK_RETRIES, "; HeadObject could not tell"),
        (s3_error(403, "SignatureDoesNotMatch"), 1, "; HeadObject could not tell"),
    ],
    ids=["404", "403", "500", "wrong signature"],
)
def test_where_it_cannot_be_settled_the_object_fails_by_its_own_cause(
    fault_server: StartFaultServer, answer: Answer | None, heads: int, remark: str
) -> None:
    """And the run goes on: who may write need not be allowed to read."""
    server = fault_server([Rule(Reset(), method="PUT", key="a"), Rule(answer, method="HEAD")])
    summary = upload(server, {"a": BODY, "b": b"x"}, settings=SETTINGS)
    [report] = summary.failed
    assert report.error is not None
    assert (report.outcome, report.attempts, len(server.of("HEAD"))) == ("reset", 2, heads)
    assert report.error.message.endswith(remark or "reset by peer")
    assert (set(summary.causes) == {"reset"}) is (answer is None), "that it is not there is an answer"
    assert stored(server) == {"b": b"x"}


ASKED = RequestFields(
    content_type="text/plain",
    cache_control="no-cache",
    storage_class="GLACIER",
    server_side_encryption="AES256",
    object_lock_legal_hold_status="ON",
    metadata={"author": "Zoë"},
    tags={"team": "a b", "x": "y"},
)
LOSSES = {
    "nothing": None, "tags": "x-amz-tagging", "metadata": "x-amz-meta-author", "type": "content-type",
    "cache": "cache-control", "class": "x-amz-storage-class", "encryption": "x-amz-server-side-encryption",
    "lock": "x-amz-object-lock-legal-hold",
}  # fmt: skip


@pytest.mark.parametrize("lost", LOSSES)
@pytest.mark.parametrize("size", [len(BODY), PART_BYTES + 1], ids=["whole", "parts"])
def test_an_object_that_lost_something_it_was_asked_for_is_not_proven(
    fault_server: StartFaultServer, lost: str, size: int, tmp_path: Path
) -> None:
    """500 on every try, though the object was stored: but without its tags, say."""
    path = tmp_path / "a"
    path.write_bytes(bytes(size))

    def script(request: Request) -> Action | None:
        if "partNumber" in request.query:
            return None
        request.headers = {k: v for k, v in request.headers.items() if k != LOSSES[lost]}
        ends = request.method == "PUT" or (request.method == "POST" and "uploadId" in request.query)
        return Reset(stored=True) if ends else None

    server = fault_server(script)
    files = [ObjectSource.file(path, "a")]
    summary = upload(server, files, settings=SETTINGS, default_request=lambda _: ASKED)
    assert stored(server) == {"a": bytes(size)}
    assert summary.uploaded == (lost == "nothing")
    for report in summary.failed:
        said = f"not proven to be ours (its {LOSSES[lost]}"
        assert said in str(report.error)


@pytest.mark.parametrize("there", [None, BODY, OTHER], ids=["nothing", "the same", "another"])
@pytest.mark.parametrize("done", [True, False])
def test_a_condition_that_our_own_lost_attempt_broke(
    fault_server: StartFaultServer, there: bytes | None, done: bool
) -> None:
    """412 PreconditionFailed where an earlier attempt of ours was ambiguous."""
    server = fault_server()
    if there is not None:
        upload(server, {"a": there})
    heads = [{"Last-Modified": formatdate(1e9)}] if there == BODY else []

    def script(request: Request) -> Action | None:
        if request.method == "HEAD" and heads:  # it was there long before
            return Answer(200, {**server.model.answer(request).headers, **heads[0]})
        first = request.method == "PUT" and request.attempt == (2 if there is not None else 1)
        return Reset(stored=done) if first else None

    server.set_script(script)
    summary = upload(server, {"a": BODY}, settings=SETTINGS, default_request=lambda _: ONLY_NEW)
    assert stored(server) == {"a": BODY if there is None else there}
    assert summary.uploaded == (there is None)
    assert [report.outcome for report in summary.failed] == ([] if there is None else ["exists"])
    assert len(server.of("HEAD")) == (done if there is None else True)


def test_a_condition_that_was_broken_before_needs_no_question(fault_server: StartFaultServer) -> None:
    server = fault_server()
    upload(server, {"a": OTHER})
    [report] = upload(server, {"a": BODY}, default_request=lambda _: ONLY_NEW).failed
    assert (report.outcome, len(server.of("HEAD"))) == ("exists", 0)


@pytest.mark.parametrize("types", [("FULL_OBJECT", "COMPOSITE"), ("COMPOSITE",), ()], ids=str)
def test_an_object_in_parts_is_settled_by_what_the_store_keeps_of_it(
    fault_server: StartFaultServer, tmp_path: Path, types: tuple[str, ...]
) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(2 * PART_BYTES))
    lost = Rule(Reset(stored=True), method="POST", query={"uploadId": None})
    server = fault_server([lost], model=S3Model(checksum_types=types))
    assert upload(server, [ObjectSource.file(path, "big")], settings=SETTINGS).uploaded == 1
    other = Rule(Reset(), method="POST", query={"uploadId": None})
    server.set_script([other])
    path.write_bytes(bytes(2 * PART_BYTES - 1) + b"x")
    [report] = upload(server, [ObjectSource.file(path, "big")], settings=SETTINGS).failed
    assert "not proven to be ours" in str(report.error)
    assert server.model.uploads == {}


def test_over_tls(fault_server: StartFaultServer, tls: Tls) -> None:
    server = fault_server([LOST], tls=tls.server_context)
    contents = {str(n): b"%d" % n for n in range(20)}
    summary = upload(server, contents, settings=SETTINGS, tls={"verify": str(tls.ca_file)})
    assert summary.uploaded == 20


# --- a source that is another by now ---------------------------------------------------------------------


@pytest.mark.parametrize("code", ["BadDigest", "IncompleteBody"])
def test_a_body_that_arrived_otherwise_is_read_anew(
    fault_server: StartFaultServer, tmp_path: Path, code: str
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def script(request: Request) -> Action | None:
        if request.attempt > 1:
            return None
        path.write_bytes(b"the new version")
        return s3_error(400, code)

    server = fault_server(script)
    summary = upload(server, [ObjectSource.file(path, "f")], settings=SETTINGS)
    assert stored(server) == {"f": b"the new version"}
    assert (summary.bytes, len(server.requests)) == (15, 2)


@pytest.mark.parametrize("code", ["BadDigest", "IncompleteBody"])
@pytest.mark.parametrize("now", ["big", "gone"])
def test_and_may_be_big_or_gone_by_then(
    fault_server: StartFaultServer, tmp_path: Path, code: str, now: str
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def script(request: Request) -> Action | None:
        if request.number > 1:
            return None
        path.write_bytes(bytes(PART_BYTES + 1)) if now == "big" else path.unlink()
        return s3_error(400, code)

    server = fault_server(script)
    summary = upload(server, [ObjectSource.file(path, "f")], settings=SETTINGS)
    if now == "big":
        assert stored(server) == {"f": bytes(PART_BYTES + 1)}
        return
    [report] = summary.failed
    assert (report.outcome, stored(server)) == ("source", {})
    assert f"{path}: No such file" in str(report.error)


def test_incomplete_bodies_are_sent_again_twice_at_most(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda _: s3_error(400, "IncompleteBody"))
    [report] = upload(server, {"a": BODY}, settings=config(n_retries=8)).failed
    assert (report.outcome, len(server.requests)) == ("incomplete-body", 3)


# --- many at once ----------------------------------------------------------------------------------------


class Watched(AdaptiveWindow):
    """Notes its limit after each refusal."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, Tuning(start=limit))
        self.after: list[int] = []

    def observe(self, report: Any, *, now: float, in_flight: int) -> None:
        super().observe(report, now=now, in_flight=in_flight)
        if report.outcome == FailureKind.THROTTLE:
            self.after.append(self.limit)


def test_a_hundred_throttles_at_once_leave_the_window_alone_and_fail_no_file(
    fault_server: StartFaultServer,
) -> None:
    server = fault_server(lambda request: s3_error(503, "SlowDown") if request.number <= 100 else None)
    window = Watched(100)

    async def main(client: S3Client) -> None:
        settings = config(max_in_flight=100)
        controls = quick(controls_for(settings), settings)
        summary = await run_upload(
            client,
            BUCKET,
            sources({str(n): b"x" for n in range(200)}),
            config=settings,
            controls=Controls(controls.timeout, controls.retry, window, rates=controls.rates),
            runtime=real_runtime(settings),
        )
        assert summary.uploaded == 200

    run(server, main)
    assert window.after == [100] * 100


@pytest.mark.parametrize("key", ["a", "b"])
def test_a_run_that_stops_asks_nothing(fault_server: StartFaultServer, key: str) -> None:
    wrong: dict[str, Callable[[Request], Action | None]] = {
        "a": lambda request: Reset() if request.key == "a" else s3_error(403, "InvalidToken"),
        "b": lambda request: s3_error(403, "InvalidToken"),
    }
    server = fault_server(wrong[key])
    with pytest.raises(RunError, match="InvalidToken"):
        upload(server, {"a": BODY, "b": BODY}, settings=SETTINGS)
    assert server.of("HEAD") == []


def test_reset_at_the_same_time_is_one_question_each(fault_server: StartFaultServer) -> None:
    server = fault_server([LOST])
    assert upload(server, {str(n): b"%d" % n for n in range(30)}, settings=SETTINGS).uploaded == 30
    assert len(server.of("HEAD")) == 30
