"""A success needs a proof: what answers 200 and is no S3 has stored nothing, and no object counts as uploaded
that the store cannot show."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import FailureKind, RunError
from s3_upload.cli.main import main
from s3_upload.control.retrying.refusals import MAX_IN_A_ROW, STRAY_RETRIES
from s3_upload.observe.events import AttemptEnded, Event, events_for
from s3_upload.s3.checksum import OFF_LOOP_BYTES
from s3_upload.s3.proof import etag_of
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer import inquiry
from tests.faults.actions import Answer, Early, Request, Reset, Rule, foreign
from tests.faults.model import S3Model
from tests.faults.uploads import BUCKET, PART_BYTES, Reports, config, stored
from tests.faults.uploads import quick_upload as upload

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload.http import Buffer
    from tests.conftest import StartFaultServer

MANY = {f"{n:03}": b"x%d" % n for n in range(100)}
ONE_AT_ONCE = config(max_in_flight=1)
UNSIGNED: dict[str, Any] = {"credentials": None, "sign": False}
PAGE = "<!DOCTYPE html>\n<html><head><title>Console</title></head><body></body></html>"
NO_PROOF = {
    "a page": foreign(200, PAGE),
    "a page with an ETag": foreign(200, PAGE, ETag='"5d41402abc4b2a76b9719d911017c592"'),
    "nothing": foreign(200, ""),
    "201": foreign(201, ""),
    "204": Answer(204, of_s3=False),
    "JSON": foreign(200, '{"ok": true}', ETag='"5d41402abc4b2a76b9719d911017c592"'),
    "an <Error>": Answer(200, {"ETag": '"e"'}, b"<Error><Code>Odd</Code><Message>Why.</Message></Error>"),
}  # fmt: skip


# --- no S3 at all ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NO_PROOF if name != "an <Error>"])
@pytest.mark.parametrize("at_once", [1, 8, 64])
@pytest.mark.parametrize("signing", [{}, UNSIGNED], ids=["signed", "unsigned"])
def test_what_answers_200_to_everything_and_is_no_store_stops_the_run(
    fault_server: StartFaultServer, name: str, at_once: int, signing: dict[str, Any]
) -> None:
    """A store's console, say: also to HEAD."""
    server = fault_server(lambda _: NO_PROOF[name])
    reports = Reports()
    with pytest.raises(RunError) as caught:
        upload(server, MANY, settings=config(max_in_flight=at_once), progress=reports, tls=signing)
    message = str(caught.value)
    assert caught.value.kind is FailureKind.UNPROVEN
    assert f"PutObject: {NO_PROOF[name].status} with" in message
    assert "this does not look like an S3 endpoint: check its URL, the port too (a console has" in message
    assert "\n" not in message
    assert reports == []
    assert len(server.of("PUT")) <= MAX_IN_A_ROW * (1 + STRAY_RETRIES) + at_once


def test_the_line_says_what_was_seen(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda _: NO_PROOF["a page"])
    with pytest.raises(RunError) as caught:
        upload(server, {"a": b"x"})
    assert str(caught.value) == (
        f"{server.url}: bucket 'bucket': PutObject: 200 without an ETag (text/html); HeadObject does not "
        "find it (its size differs); this does not look like an S3 endpoint: check its URL, the port too "
        "(a console has another)"
    )


def test_an_empty_object_is_not_proven_by_an_empty_answer(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda _: foreign(200, ""))
    with pytest.raises(RunError, match="shows neither a checksum of it nor an MD5"):
        upload(server, {"a": b""})


def test_the_command_uploads_nothing_to_a_console(
    fault_server: StartFaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in MANY:
        (tmp_path / key).write_bytes(b"x")
    server = fault_server(lambda _: NO_PROOF["a page"])
    words = [str(tmp_path), f"s3://{BUCKET}", "--endpoint-url", server.url, "--no-sign-request"]
    assert main(words) == 3
    out, err = capsys.readouterr()
    assert "does not look like an S3 endpoint" in err.splitlines()[-1]
    assert "100 uploaded" not in out + err


@pytest.mark.parametrize("big", ["file", "stream"])
def test_a_console_is_no_store_for_big_objects_either(
    fault_server: StartFaultServer, tmp_path: Path, big: str
) -> None:
    (tmp_path / "big").write_bytes(bytes(2 * PART_BYTES))

    async def chunks() -> Any:
        for _ in range(20):
            yield bytes(PART_BYTES // 10)

    source = {
        "file": ObjectSource.file(tmp_path / "big", "big"),
        "stream": ObjectSource.stream(chunks(), "big"),
    }[big]
    server = fault_server(lambda _: NO_PROOF["a page"])
    with pytest.raises(RunError, match=r"CreateMultipartUpload: 200 without an upload ID \(text/html\)"):
        upload(server, [source])
    assert len(server.requests) == 1 + STRAY_RETRIES


# --- stores that are spare with proofs --------------------------------------------------------------


class Spare(S3Model):
    """A store whose answers to a PutObject and to HeadObject lack some headers, or have a body."""

    def __init__(self, lacks: tuple[str, ...], *, body: bytes = b"", hides: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.lacks, self.body, self.hides = lacks, body, hides

    def answer(self, request: Request) -> Answer:
        answer = super().answer(request)
        lacks = {"PUT": self.lacks, "HEAD": self.hides}.get(request.method, ())
        headers = {name: value for name, value in answer.headers.items() if name not in lacks}
        return replace(answer, headers=headers, body=self.body if request.method == "PUT" else answer.body)


ETAG, CRC = "ETag", "x-amz-checksum-crc32"
STORES: dict[str, tuple[S3Model, int]] = {
    "no ETag, but the checksum": (Spare((ETAG,)), 0),
    "an ETag, no checksum": (Spare((CRC,)), 0),
    "a body in XML": (Spare((), body=b"<?xml version='1.0'?><PutObjectResult/>"), 0),
    "white space": (Spare((), body=b" \n"), 0),
    "neither": (Spare((ETAG, CRC)), 1),
    "neither, and HeadObject shows the ETag alone": (Spare((ETAG, CRC), hides=(CRC,)), 1),
    "neither, and HeadObject shows the checksum alone": (Spare((ETAG, CRC), hides=(ETAG,)), 1),
    "a body in words": (Spare((), body=b"ok"), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", STORES)
def test_a_store_that_is_spare_with_proofs_is_asked_for_them(
    fault_server: StartFaultServer, name: str
) -> None:
    model, heads = STORES[name]
    model.objects.clear()
    server = fault_server(model=model)
    reports = Reports()
    summary = upload(server, MANY, settings=config(n_retries=0), progress=reports)
    assert (summary.uploaded, summary.attempts, len(summary.notes)) == (100, 100, bool(heads))
    assert stored(server) == MANY
    assert (len(server.of("PUT")), len(server.of("HEAD"))) == (100, 100 * heads)
    if heads and ETAG not in getattr(model, "hides", ()):
        assert all(report.etag for report in reports)


def etags(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Filled with the threads in which the MD5 of a body is computed."""
    threads = list[str]()

    def computed(body: Buffer) -> str:
        threads.append(threading.current_thread().name)
        return etag_of(body)

    monkeypatch.setattr(inquiry, "etag_of", computed)
    return threads


def test_where_the_store_shows_a_checksum_no_md5_is_computed(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = etags(monkeypatch)
    assert upload(fault_server(model=Spare((ETAG, CRC))), {"a": b"x"}).uploaded == 1
    assert threads == []


@pytest.mark.parametrize(
    ("model", "rules"),
    [(Spare((ETAG, CRC), hides=(CRC,)), []), (S3Model(), [Rule(Reset(stored=True), method="PUT")])],
    ids=["asked in the slot", "asked before it is given up"],
)
def test_the_md5_of_a_big_body_is_computed_off_the_loop(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch, model: S3Model, rules: list[Rule]
) -> None:
    threads, body = etags(monkeypatch), bytes(OFF_LOOP_BYTES)
    settings = config(n_retries=0)
    assert upload(fault_server(rules, model=model), {"a": body}, settings=settings).uploaded == 1
    assert threads == ["s3-upload-reader"]


def test_what_the_store_cannot_show_is_not_uploaded(fault_server: StartFaultServer) -> None:
    server = fault_server(model=Spare((ETAG, CRC), hides=(ETAG, CRC)))
    with pytest.raises(RunError, match="shows neither a checksum of it nor an MD5"):
        upload(server, {"a": b"x"}, settings=config(n_retries=0))


def test_a_question_that_fails_itself_is_no_answer(fault_server: StartFaultServer) -> None:
    """The object goes again, and is asked about again."""
    server = fault_server([Rule(Answer(500), method="HEAD", nth=1)], model=Spare((ETAG, CRC)))
    assert upload(server, {"a": b"x"}, settings=ONE_AT_ONCE).uploaded == 1
    assert (len(server.of("PUT")), len(server.of("HEAD"))) == (2, 2)


@pytest.mark.parametrize("nth", [None, 1], ids=["answered", "its connection had been closed"])
def test_each_question_is_in_the_objects_report_and_in_an_event(
    fault_server: StartFaultServer, nth: int | None
) -> None:
    rules = [Rule(Reset(), method="HEAD", nth=nth)] if nth else []
    server = fault_server(rules, model=Spare((ETAG, CRC)))
    reports, events = Reports(), list[Event]()
    upload(server, {"a": b"x"}, settings=ONE_AT_ONCE, progress=reports, events=events_for(events.append))
    told = [event.report for event in events if isinstance(event, AttemptEnded)]
    assert (
        [report.operation for report in told].count("HeadObject") == len(server.of("HEAD")) == (nth or 0) + 1
    )
    assert told == list(reports.of("a").attempt_reports)


# --- in the middle of a run -------------------------------------------------------------------------


@pytest.mark.parametrize("name", NO_PROOF)
@pytest.mark.parametrize("at_once", [1, 8])
def test_a_captive_portal_for_a_while_in_the_middle_of_a_run_costs_no_object(
    fault_server: StartFaultServer, name: str, at_once: int
) -> None:
    server = fault_server(lambda request: NO_PROOF[name] if 30 <= request.number < 60 else None)
    summary = upload(server, MANY, settings=config(max_in_flight=at_once, n_retries=40))
    assert (summary.uploaded, summary.failed) == (100, ())
    assert stored(server) == MANY


@pytest.mark.parametrize("name", [name for name in NO_PROOF if name != "an <Error>"])
def test_a_captive_portal_that_stays_uploads_nothing_more_and_stops_the_run(
    fault_server: StartFaultServer, name: str
) -> None:
    server = fault_server(lambda request: NO_PROOF[name] if request.number > 30 else None)
    reports = Reports()
    with pytest.raises(
        RunError, match=f"look like an S3 endpoint.*; {MAX_IN_A_ROW} objects in a row were ref"
    ):
        upload(server, MANY, settings=config(max_in_flight=1, n_retries=1), progress=reports)
    assert sorted(report.key for report in reports if report.succeeded) == sorted(stored(server))
    failed = [report for report in reports if not report.succeeded]
    assert {report.outcome for report in failed} <= {"unproven"}
    assert len(failed) < MAX_IN_A_ROW


@pytest.mark.parametrize("signing", [{}, UNSIGNED], ids=["signed", "unsigned"])
def test_a_success_before_the_whole_body_was_sent_is_none(
    fault_server: StartFaultServer, signing: dict[str, Any]
) -> None:
    liar = Early(Answer(200, {"ETag": '"5d41402abc4b2a76b9719d911017c592"'}))
    server = fault_server([Rule(liar, method="PUT", key="a", attempt=1)], receive_buffer_bytes=4096)
    contents = {"first": b"x", "a": bytes(PART_BYTES), "b": b"x"}
    reports = Reports()
    summary = upload(server, contents, settings=ONE_AT_ONCE, progress=reports, tls=signing)
    assert summary.uploaded == 3
    assert stored(server) == contents
    assert reports.of("a").attempt_reports[0].outcome in ("unproven", "reset")


REQUESTS = {
    "Create": Rule(None, method="POST", query={"uploads": None}, nth=1),
    "part": Rule(None, method="PUT", query={"partNumber": "2"}, nth=1),
    "Complete": Rule(None, method="POST", query={"uploadId": None}, nth=1),
}


@pytest.mark.parametrize("what", REQUESTS)
@pytest.mark.parametrize("name", [name for name in NO_PROOF if name != "an <Error>"])
def test_a_big_object_needs_a_proof_of_each_step(
    fault_server: StartFaultServer, tmp_path: Path, what: str, name: str
) -> None:
    server = fault_server([replace(REQUESTS[what], action=NO_PROOF[name])])
    (tmp_path / "big").write_bytes(bytes(2 * PART_BYTES))
    files = [ObjectSource.data(b"x", "small"), ObjectSource.file(tmp_path / "big", "big")]
    assert upload(server, files, settings=ONE_AT_ONCE).uploaded == 2
    assert stored(server) == {"small": b"x", "big": bytes(2 * PART_BYTES)}
    assert server.model.uploads == {}


def test_a_complete_without_a_proof_is_asked_about_before_it_goes_again(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    class Silent(S3Model):
        def answer(self, request: Request) -> Answer:
            answer = super().answer(request)
            return Answer(200) if request.method == "POST" and "uploadId" in request.query else answer

    server = fault_server(model=Silent())
    (tmp_path / "big").write_bytes(bytes(2 * PART_BYTES))
    assert upload(server, [ObjectSource.file(tmp_path / "big", "big")], settings=ONE_AT_ONCE).uploaded == 1
    assert [request.method for request in server.requests] == ["POST", "PUT", "PUT", "POST", "HEAD"]


def test_a_page_is_no_list_of_no_parts(fault_server: StartFaultServer, tmp_path: Path) -> None:
    """Nothing is left of an aborted upload only where ListParts says so."""
    page = Rule(NO_PROOF["a page"], method="GET", nth=1)
    denied = Rule(Answer(400), method="PUT", query={"partNumber": None})
    server = fault_server([page, denied])
    (tmp_path / "big").write_bytes(bytes(2 * PART_BYTES))
    summary = upload(server, [ObjectSource.file(tmp_path / "big", "big")], settings=ONE_AT_ONCE)
    assert len(summary.failed) == 1
    assert len(server.of("GET")) == 2
