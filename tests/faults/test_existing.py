"""`if_exists="skip"` and "fail": what exists is never overwritten, and its body is not sent in vain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import FailureKind, RunError
from s3_upload.observe.events import AttemptEnded, Event, ObjectBegun, events_for
from s3_upload.report import SKIPPED
from s3_upload.s3.operations import HEAD_OBJECT
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.progress import MAX_BACKLOG
from tests.faults.actions import Answer, Garbage, Request, Reset, Rule, Stall, s3_error
from tests.faults.uploads import PART_BYTES, Reports, config, quick_upload, stored, upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from s3_upload import UploadReport, UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

BIG = bytes(PART_BYTES + 1)
EXISTS = "the store has an object of that name"


def again(server: FaultServer, files: Any, if_exists: str = "skip", **arguments: Any) -> UploadSummary:
    server.requests.clear()
    return upload(server, files, settings=config(if_exists=if_exists), **arguments)


def methods(server: FaultServer) -> set[str]:
    return {request.method for request in server.requests}


def test_what_exists_is_skipped_and_no_body_is_sent(fault_server: StartFaultServer, tmp_path: Path) -> None:
    server = fault_server()
    there = {"small": b"first", "big": BIG, "stream": b"first"}
    upload(server, there)
    for name in ("small", "big"):
        (tmp_path / name).write_bytes(b"other" + there[name])
    read: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        read.append(b"")
        yield b"other"

    files = [ObjectSource.file(tmp_path / name, name) for name in ("small", "big")]
    files += [ObjectSource.stream(chunks(), "stream"), ObjectSource.data(b"new", "new")]
    reports = Reports()
    summary = again(server, files, progress=reports)
    assert stored(server) == there | {"new": b"new"}
    assert (summary.uploaded, len(summary.skipped), summary.failed) == (1, 3, ())
    assert [request.key for request in server.requests if request.method != "HEAD"] == ["new"]
    assert {reports.of(key).reason for key in there} == {EXISTS}
    assert read == []
    summary.raise_for_failures()


def test_a_store_that_refuses_to_tell_checksums_is_asked_whether_an_object_exists(
    fault_server: StartFaultServer,
) -> None:
    """And only so is it known there: it does not keep to If-None-Match."""

    def script(request: Request) -> Answer | None:
        headers = request.headers
        assert isinstance(headers, dict)
        headers.pop("if-none-match", None)
        return Answer(400) if "x-amz-checksum-mode" in request.headers else None

    server = fault_server(script)
    upload(server, {"a": b"first"})
    assert len(again(server, {"a": b"other"}).skipped) == 1
    assert stored(server) == {"a": b"first"}


def test_questions_follow_each_other_on_one_connection(fault_server: StartFaultServer) -> None:
    server = fault_server()
    there = {f"k{number}": b"first" for number in range(20)}
    upload(server, there)
    before = server.counts["connections"]
    summary = upload(server, there, settings=config(if_exists="skip", max_in_flight=1))
    assert len(summary.skipped) == len(there)
    assert server.counts["connections"] == before + 1


@pytest.mark.parametrize(
    "answer",
    [s3_error(403, "AccessDenied"), s3_error(503, "SlowDown"), Answer(200 + 104, {}), Reset(), Garbage()],
    ids=["denied", "throttled", "304", "reset", "garbage"],
)
def test_a_question_without_an_answer_leaves_it_to_the_upload_which_does_not_overwrite(
    fault_server: StartFaultServer, answer: Any
) -> None:
    server = fault_server()
    upload(server, {"there": b"first", "big": BIG})
    server.set_script([Rule(answer, method="HEAD")])
    reports = Reports()
    summary = again(server, {"there": b"second", "big": BIG[1:], "new": b"new"}, progress=reports)
    assert stored(server) == {"there": b"first", "big": BIG, "new": b"new"}
    assert (summary.uploaded, len(summary.skipped), summary.failed) == (1, 2, ())
    assert (reports.of("there").outcome, reports.of("there").reason) == (SKIPPED, EXISTS)
    assert reports.of("there").error is None


def test_many_that_exist_one_after_the_other_are_no_reason_to_stop(fault_server: StartFaultServer) -> None:
    server = fault_server()
    there = {f"{number:03}": b"first" for number in range(300)}
    upload(server, there)
    server.set_script([Rule(s3_error(403, "AccessDenied"), method="HEAD")])
    assert len(again(server, dict.fromkeys(there, b"second")).skipped) == 300
    server.set_script(None)
    assert len(again(server, dict.fromkeys(there, b"second")).skipped) == 300
    assert methods(server) == {"HEAD"}
    assert stored(server) == there


@pytest.mark.parametrize("if_exists", ["skip", "fail"])
def test_a_store_that_knows_no_precondition_is_asked_for_every_object(
    fault_server: StartFaultServer, if_exists: str
) -> None:
    def forget(request: Request) -> None:
        headers = request.headers
        assert isinstance(headers, dict)
        headers.pop("if-none-match", None)

    server = fault_server(forget)
    upload(server, {"there": b"first"})
    summary = again(server, {"there": b"second", "new": b"new"}, if_exists)
    assert stored(server) == {"there": b"first", "new": b"new"}
    failed = [str(report.error) for report in summary.failed]
    assert failed == ([f"there: {EXISTS}"] if if_exists == "fail" else [])


def test_to_fail_is_to_fail(fault_server: StartFaultServer) -> None:
    server = fault_server()
    upload(server, {"there": b"first"})
    reports = Reports()
    summary = again(server, {"there": b"second", "new": b"new"}, "fail", progress=reports)
    assert stored(server) == {"there": b"first", "new": b"new"}
    assert (summary.uploaded, len(summary.failed)) == (1, 1)
    assert reports.of("there").outcome == FailureKind.EXISTS
    assert [request.key for request in server.requests if request.method == "PUT"] == ["new"]


def test_an_async_iterable_is_asked_about_too(fault_server: StartFaultServer) -> None:
    server = fault_server()
    upload(server, {f"{number:02}": b"" for number in range(0, 60, 2)})

    async def files() -> AsyncIterator[ObjectSource]:
        for number in range(60):
            yield ObjectSource.data(b"x", f"{number:02}")

    summary = again(server, files())
    assert {report.key for report in summary.skipped} == {f"{number:02}" for number in range(0, 60, 2)}
    assert summary.uploaded == 30


class BoomError(Exception):
    """Of the caller's own iterable."""


@pytest.mark.parametrize("error", [BoomError, asyncio.CancelledError])
def test_what_the_callers_iterable_raises_ends_the_run(
    fault_server: StartFaultServer, error: type[BaseException]
) -> None:
    server = fault_server()

    async def files() -> AsyncIterator[ObjectSource]:
        yield ObjectSource.data(b"x", "a")
        raise error

    with pytest.raises(BoomError if error is BoomError else RuntimeError):
        again(server, files())

    def plain() -> Iterator[ObjectSource]:
        yield ObjectSource.data(b"x", "b")
        raise BoomError

    with pytest.raises(BoomError):
        again(server, plain())


def test_a_run_that_stops_leaves_no_question_behind(fault_server: StartFaultServer) -> None:
    """`upload` checks that no task is left."""
    server = fault_server([Rule(s3_error(404, "NoSuchBucket"), method="PUT")])
    with pytest.raises(RunError, match="no such bucket"):
        again(server, {f"{number}": b"x" for number in range(2_000)})


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (s3_error(503, "SlowDown"), "503"),
        (s3_error(500, "InternalError"), "500"),
        (Reset(), "reset"),
        (Stall(), "timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_question_in_trouble_is_asked_again_and_counted(
    fault_server: StartFaultServer, trouble: Any, cause: str
) -> None:
    server = fault_server()
    upload(server, {"there": BIG})
    server.requests.clear()
    server.set_script([Rule(trouble, method="HEAD", attempt=1)])
    reports, events = Reports(), list[Event]()

    def stalls(operation: str, _body_bytes: int, retries: int) -> bool:
        return isinstance(trouble, Stall) and operation == HEAD_OBJECT and retries == 0

    settings = config(if_exists="skip")
    files = {"there": BIG[1:], "new": b"new", "big": BIG}
    summary = quick_upload(
        server, files, settings=settings, stalls=stalls, progress=reports, events=events_for(events.append)
    )
    assert stored(server) == {"there": BIG, "new": b"new", "big": BIG}
    assert [request.method for request in server.requests if request.key == "there"] == ["HEAD", "HEAD"]
    assert (summary.causes, summary.attempts) == ({cause: 3}, 2)
    for key, then in (("there", []), ("new", ["PutObject"])):
        attempts = reports.of(key).attempt_reports
        assert [attempt.operation for attempt in attempts] == ["HeadObject", "HeadObject", *then]
        assert [attempt.succeeded for attempt in attempts] == [False, True, *(True for _ in then)]
        assert reports.of(key).attempts == len(then)
    assert 0.0 < reports.of("big").success_time_s <= reports.of("big").total_time_s
    told = [event.report.operation for event in events if isinstance(event, AttemptEnded)]
    assert told.count("HeadObject") == 6
    assert sorted(event.key for event in events if isinstance(event, ObjectBegun)) == ["big", "new"]


def test_that_an_object_is_missing_is_no_failure(fault_server: StartFaultServer) -> None:
    reports = Reports()
    summary = again(fault_server(), {"new": b"new"}, progress=reports)
    assert summary.causes == {}
    assert all(attempt.succeeded for attempt in reports.of("new").attempt_reports)


def test_what_was_only_asked_about_is_kept_without_its_attempts(fault_server: StartFaultServer) -> None:
    """There may be a million of them."""
    server = fault_server()
    upload(server, {"there": b"first"})
    [skipped] = again(server, {"there": b"second"}).skipped
    assert (skipped.reason, skipped.attempt_reports) == (EXISTS, ())


def test_two_of_one_key_are_not_asked_about_at_a_time(fault_server: StartFaultServer) -> None:
    files = [ObjectSource.data(text, "one") for text in (b"first", b"second")]
    summary = again(fault_server(), files)
    assert (summary.uploaded, [report.outcome for report in summary.failed]) == (1, ["same-key"])


def test_reports_that_wait_for_a_slow_callable_keep_no_question_waiting_for_ever(
    fault_server: StartFaultServer,
) -> None:
    """The backlog became full by reports of what is not read, and empty again: nobody looked at the line."""
    skipped = [
        ObjectSource(key=f"s{n}", path=f"/s{n}", skip_reason="is a socket") for n in range(MAX_BACKLOG)
    ]
    files = skipped + [ObjectSource.data(b"x", "a") for _ in range(20)]
    files += [ObjectSource.data(b"y", f"b{n}") for n in range(3)]
    seen: list[str] = []

    async def progress(report: UploadReport) -> None:
        seen.append(report.key)
        for _ in range(20):
            await asyncio.sleep(0)

    server = fault_server()
    summary = upload(server, files, settings=config(if_exists="skip"), progress=progress)
    assert (summary.uploaded, len(summary.skipped), len(summary.failed)) == (4, MAX_BACKLOG, 19)
    assert len(seen) == len(files)
    assert stored(server) == {"a": b"x", "b0": b"y", "b1": b"y", "b2": b"y"}
