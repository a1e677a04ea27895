"""Multipart uploads: complete or aborted, never left behind."""

from __future__ import annotations

import asyncio
import itertools
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.config import MIB
from s3_upload.errors import FailureKind, RunError, summary_of
from s3_upload.observe.events import AttemptEnded, UploadCreated
from s3_upload.report import AttemptReport
from s3_upload.request_fields import RequestFields
from s3_upload.s3.operations import CREATE_MULTIPART_UPLOAD, PUT_OBJECT, UPLOAD_PART, Operation
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import Versions
from s3_upload.transfer.read_ahead import MAX_CREATES
from tests.faults.actions import Action, Delay, Garbage, Request, Reset, Rule, Stall, Torn, s3_error
from tests.faults.uploads import BIG, BUCKET, PART_BYTES, Reports, config, quiet, run, stored, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from s3_upload.config import UploadConfig
    from s3_upload.http import Response
    from s3_upload.http1.trace import Trace
    from s3_upload.report import UploadReport, UploadSummary
    from tests.conftest import StartFaultServer, Tls
    from tests.faults.server import FaultServer

CREATE, PART, COMPLETE, ABORT = {"uploads": None}, {"partNumber": "2"}, {"uploadId": None}, {"uploadId": None}
SNAG = s3_error(500, "InternalError")


def operations(attempts: tuple[AttemptReport, ...]) -> list[str]:
    return [f"{a.operation} {a.part_number}".removesuffix(" 0") for a in attempts]


def test_a_big_file_goes_in_parts(fault_server: StartFaultServer, big: Path) -> None:
    server = fault_server()
    reports = Reports()
    fields = RequestFields(content_type="a/b", metadata={"m": "v"})
    summary = upload(
        server, [ObjectSource.file(big, "big")], progress=reports, default_request=lambda _: fields
    )
    assert stored(server) == {"big": BIG}
    assert server.model.uploads == {}
    headers = server.model.objects[f"{BUCKET}/big"].headers
    assert (headers["content-type"], headers["x-amz-meta-m"]) == ("a/b", "v")
    report = reports.of("big")
    names = operations(report.attempt_reports)
    assert names[0] == "CreateMultipartUpload"
    assert sorted(names[1:-1]) == [f"UploadPart {n}" for n in range(1, 5)]
    assert names[-1] == "CompleteMultipartUpload"
    assert (report.attempts, report.bytes, summary.bytes) == (1, len(BIG), len(BIG))
    assert report.etag.strip('"') == server.model.objects[f"{BUCKET}/big"].etag


def test_few_are_begun_at_a_time(fault_server: StartFaultServer, tmp_path: Path) -> None:
    """Each would take a connection of its own; the parts of a few keep the link busy."""
    for number in range(3 * MAX_CREATES):
        with (tmp_path / f"{number}").open("wb") as file:
            file.truncate(PART_BYTES + 1)
    files = [ObjectSource.file(tmp_path / f"{number}", f"{number}") for number in range(3 * MAX_CREATES)]
    at_once = most = 0

    async def main(client: S3Client) -> UploadSummary:
        send = client.send

        async def counted(operation: Operation, trace: Trace) -> Response:
            nonlocal at_once, most
            if operation.name != CREATE_MULTIPART_UPLOAD:
                return await send(operation, trace)
            at_once += 1
            most = max(most, at_once)
            try:
                return await send(operation, trace)
            finally:
                at_once -= 1

        client.send = counted  # type: ignore[method-assign]
        return await s3_upload_files(client, BUCKET, files, config(max_in_flight=64))

    server = fault_server(lambda request: Delay(0.002) if request.method == "POST" else None)
    assert run(server, main).uploaded == len(stored(server)) == len(files)
    assert most == MAX_CREATES


@pytest.mark.parametrize("memory", [4 * PART_BYTES, 40 * PART_BYTES], ids=["to be read", "to be sent"])
def test_a_file_is_completed_before_the_parts_of_others_that_wait(
    fault_server: StartFaultServer, tmp_path: Path, memory: int
) -> None:
    """While there were parts to send, nothing was completed: of 2 GB in four files all could be lost by the
    end of the run."""
    files = []
    for name in ("a", "b", "c"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(8 * PART_BYTES)
        files.append(ObjectSource.file(tmp_path / name, name))
    server = fault_server()
    settings = config(max_in_flight=2, max_in_flight_bytes=memory)
    assert upload(server, files, settings=settings).uploaded == len(files)
    methods = [r.method for r in server.requests if r.method == "PUT" or "uploadId" in r.query]
    first, second, _ = (index for index, method in enumerate(methods) if method == "POST")
    assert methods[:first].count("PUT") < 2 * 8
    assert methods[:second].count("PUT") < 3 * 8


def test_parts_over_tls_carry_their_checksums(fault_server: StartFaultServer, tls: Tls, big: Path) -> None:
    server = fault_server(tls=tls.server_context)
    upload(server, [ObjectSource.file(big, "big")], tls={"verify": str(tls.ca_file)})
    assert stored(server) == {"big": BIG}
    [create, complete] = server.of("POST")
    assert create.headers["x-amz-checksum-algorithm"] == "CRC32"
    parts = server.of("PUT")
    assert all(part.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD" for part in parts)
    for part in parts:
        assert f"<ChecksumCRC32>{part.headers['x-amz-checksum-crc32']}</" in complete.body.decode()


@pytest.mark.parametrize(
    "action", [SNAG, Reset(), Reset(2 * MIB), Torn(stored=True), Garbage()], ids=lambda a: type(a).__name__
)
@pytest.mark.parametrize("step", ["create", "part", "complete"])
def test_each_step_is_tried_again_alone(
    fault_server: StartFaultServer, big: Path, step: str, action: Action
) -> None:
    rules = {
        "create": Rule(action, method="POST", query=CREATE, attempt=1),
        "part": Rule(action, query=PART, attempt=1),
        "complete": Rule(action, method="POST", query=COMPLETE, nth=1),
    }
    server = fault_server([rules[step]])
    reports = Reports()
    summary = upload(server, [ObjectSource.file(big, "big")], progress=reports)
    assert stored(server) == {"big": BIG}
    assert summary.uploaded == 1
    # On a connection that was used before, a reset before any answer costs no try.
    free = step == "part" and isinstance(action, Reset)
    assert reports.of("big").attempts in ((1, 2) if free else (2,))
    parts = [r.part_number for r in server.of("PUT")]
    assert sorted(parts) == [1, 2, 2, 3, 4] if step == "part" else [1, 2, 3, 4]
    # A lost answer to Create leaves an upload nobody knows of: a lifecycle rule's business.
    left = 1 if (step, type(action)) == ("create", Torn) else 0
    assert len(server.model.uploads) == left


def test_complete_may_fail_with_a_200(fault_server: StartFaultServer, big: Path) -> None:
    body = b"<?xml version='1.0'?>\n   <Error><Code>InternalError</Code><Message>Snag</Message></Error>"
    from tests.faults.actions import Answer

    server = fault_server([Rule(Answer(200, {}, body), method="POST", query=COMPLETE, nth=1)])
    reports = Reports()
    assert upload(server, [ObjectSource.file(big, "big")], progress=reports).uploaded == 1
    assert stored(server) == {"big": BIG}
    assert reports.of("big").attempts == 2


def test_a_part_that_stalls_is_sent_again(fault_server: StartFaultServer, big: Path) -> None:
    server = fault_server([Rule(Stall(1 * MIB), query=PART, attempt=1)], receive_buffer_bytes=4096)
    settings = config(min_timeout=1.0, expected_upload_speed=1000.0)
    upload(server, [ObjectSource.file(big, "big")], settings=settings)
    assert stored(server) == {"big": BIG}


@pytest.mark.parametrize("step", ["part", "complete"])
def test_what_is_given_up_is_aborted_and_the_others_go_on(
    fault_server: StartFaultServer, big: Path, step: str
) -> None:
    rules = {
        "part": Rule(SNAG, method="PUT", key="bad", query=PART),
        "complete": Rule(SNAG, method="POST", key="bad", query=COMPLETE),
    }
    server = fault_server([rules[step]])
    files = [ObjectSource.file(big, key) for key in ("bad", "good")] + [ObjectSource.data(b"x", "small")]
    summary = upload(server, files, settings=config(n_retries=1))
    assert stored(server) == {"good": BIG, "small": b"x"}
    assert server.model.uploads == {}
    [report] = summary.failed
    assert report.error is not None
    assert (report.key, report.error.kind, report.error.code) == ("bad", FailureKind.SERVER, "InternalError")
    asked = ["HeadObject"] if step == "complete" else []
    ends = [*asked, "AbortMultipartUpload", "ListParts"]
    assert operations(report.attempt_reports)[-len(ends) :] == ends
    assert len(server.of("DELETE", "bad")) == 1


def test_creation_that_is_refused_needs_no_abort(fault_server: StartFaultServer, big: Path) -> None:
    server = fault_server([Rule(s3_error(400, "InvalidArgument"), method="POST")])
    summary = upload(server, [ObjectSource.file(big, "bad"), ObjectSource.data(b"x", "good")])
    [report] = summary.failed
    assert operations(report.attempt_reports) == ["CreateMultipartUpload"]
    assert server.of("DELETE") == []
    assert stored(server) == {"good": b"x"}


VERSIONS = {
    "shorter": BIG[:-1],
    "longer": BIG + b"x",
    "touched": bytes(len(BIG)),
    "size and mtime put back": bytes(len(BIG)),
    "replaced": bytes(len(BIG)),
    "small": b"small",
}


def changes(big: Path, how: str, times: int) -> Callable[[Any], None]:
    """A script that has the file change while its first part, or its first last one, is on its way."""
    left, first = times, big.stat()

    def script(request: Any) -> None:
        nonlocal left
        if request.part_number == 1 and left:
            left -= 1
            if how == "gone":
                big.unlink()
                return
            path = big.with_name("other") if how == "replaced" else big
            with path.open("r+b" if path.exists() else "wb") as file:
                file.write(VERSIONS[how])
                file.truncate()
            mtime_ns = first.st_mtime_ns if how in ("size and mtime put back", "replaced") else left
            os.utime(path, ns=(first.st_atime_ns, mtime_ns))
            path.replace(big)

    return script


# So small that the last parts are read after the first was sent.
LITTLE_MEMORY = config(max_in_flight=1, max_in_flight_bytes=16 * MIB, multipart_threshold=10 * MIB)


@pytest.mark.parametrize("settings", [LITTLE_MEMORY, config()], ids=["later parts", "before Complete"])
@pytest.mark.parametrize("how", VERSIONS)
def test_a_file_that_changes_between_its_parts_is_sent_as_the_new_version(
    fault_server: StartFaultServer, big: Path, how: str, settings: UploadConfig
) -> None:
    server = fault_server(changes(big, how, 1))
    reports = Reports()
    upload(server, [ObjectSource.file(big, "big")], settings=settings, progress=reports)
    assert stored(server) == {"big": VERSIONS[how]}
    assert server.model.uploads == {}
    report = reports.of("big")
    assert (report.bytes, report.attempts) == (len(VERSIONS[how]), 1)
    names = operations(report.attempt_reports)
    assert names.count("CompleteMultipartUpload") == (0 if how == "small" else 1)
    assert names.count("AbortMultipartUpload") == 1


def bytes_sent(report: UploadReport) -> int:
    bodies = (UPLOAD_PART, PUT_OBJECT)
    return sum(a.body_bytes for a in report.attempt_reports if a.succeeded and a.operation in bodies)


@pytest.mark.parametrize("how", ["longer", "small", "gone"])
def test_what_was_sent_of_a_version_that_is_given_up_is_told_as_sent_in_vain(
    fault_server: StartFaultServer, big: Path, how: str
) -> None:
    def script(request: Request) -> None:
        if request.method == "PUT" and len(server.of("PUT")) == 3:
            change(replace(request, query={"partNumber": "1"}))

    reports, change = Reports(), changes(big, how, 1)
    server = fault_server(script)
    summary = upload(server, [ObjectSource.file(big, "big")], settings=LITTLE_MEMORY, progress=reports)
    report = reports.of("big")
    assert summary.bytes == len(VERSIONS.get(how, b""))
    assert summary.wasted_bytes >= report.dropped_bytes == bytes_sent(report) - summary.bytes > PART_BYTES
    again = "files that changed while they were sent were sent again, as they are now"
    assert summary.notes == (() if how == "gone" else (again,))


def test_parts_that_the_store_lost_were_sent_in_vain(fault_server: StartFaultServer, big: Path) -> None:
    def loses_a_part(request: Request) -> None:
        if request.method == "POST" and "uploadId" in request.query and not lost:
            [unfinished] = server.model.uploads.values()
            lost.append(unfinished.parts.pop(2))

    lost: list[object] = []
    server = fault_server(loses_a_part)
    reports = Reports()
    upload(server, [ObjectSource.file(big, "big")], progress=reports)
    assert stored(server) == {"big": BIG}
    assert reports.of("big").dropped_bytes == PART_BYTES


@pytest.mark.parametrize("how", ["gone", "touched"])
def test_a_file_that_goes_on_changing_is_not_mixed(
    fault_server: StartFaultServer, big: Path, how: str
) -> None:
    server = fault_server(changes(big, how, 1 if how == "gone" else 2))
    summary = upload(server, [ObjectSource.file(big, "bad")], settings=LITTLE_MEMORY)
    [report] = summary.failed
    kind = FailureKind.SOURCE if how == "gone" else FailureKind.SOURCE_CHANGED
    assert report.error is not None
    assert report.error.kind is kind
    assert str(big) in str(report.error)
    assert stored(server) == {}
    assert server.model.uploads == {}
    assert len(server.of("DELETE")) == (1 if how == "gone" else 2)


class MadeUp:
    """A file system that numbers a file anew at each look and tells another ctime."""

    def __init__(self) -> None:
        self._looks = itertools.count(1)

    def __call__(self, fd: int) -> os.stat_result:
        info, look = os.fstat(fd), next(self._looks)
        return os.stat_result((info.st_mode, look, *info[2:]), {"st_ctime_ns": look, **_exact(info)})


def _exact(info: os.stat_result) -> dict[str, int]:
    return {"st_mtime_ns": info.st_mtime_ns, "st_atime_ns": info.st_atime_ns}


def test_a_big_file_of_a_file_system_that_makes_up_inodes_and_times_is_uploaded(
    fault_server: StartFaultServer, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3_upload.transfer.run.Versions", partial(Versions, stat=MadeUp()))
    server = fault_server()
    assert upload(server, [ObjectSource.file(big, "big")], settings=LITTLE_MEMORY).uploaded == 1
    assert stored(server) == {"big": BIG}


def test_a_file_whose_times_mean_nothing_is_uploaded_where_only_its_size_is_to_count(
    fault_server: StartFaultServer, big: Path
) -> None:
    """It is touched while each of its parts is on its way."""
    server = fault_server(lambda request: os.utime(big) if request.part_number else None)
    settings = replace(LITTLE_MEMORY, source_check="size")
    assert upload(server, [ObjectSource.file(big, "big")], settings=settings).uploaded == 1
    assert stored(server) == {"big": BIG}


# --- the run stops in the middle of it ---------------------------------------------------------------


CULPRITS = 30
"""One refusal after successes is its object's; so many in a row stop the run."""


def stop_script(how: str) -> Callable[[Request], Action | None]:
    def script(request: Request) -> Action | None:
        if how == "run error" and request.key.startswith("culprit"):
            return s3_error(403, "SignatureDoesNotMatch")
        return Stall() if request.method == "PUT" and request.part_number == 2 else None

    return script


@pytest.mark.parametrize("how", ["run error", "cancelled", "progress", "source"])
def test_a_run_that_stops_aborts_what_it_began(fault_server: StartFaultServer, big: Path, how: str) -> None:
    server: FaultServer = fault_server(stop_script(how))

    def under_way() -> bool:
        return len([r for r in server.requests if r.part_number == 2 and r.complete]) == 2

    async def files() -> Any:
        for key in ("one", "two"):
            yield ObjectSource.file(big, key)
        await asyncio.to_thread(server.wait_until, under_way)
        if how == "source":
            raise KeyError(how)
        yield ObjectSource.data(b"x", "culprit")
        for number in range(CULPRITS if how == "run error" else 0):
            yield ObjectSource.data(b"x", f"culprit {number}")

    def progress(report: Any) -> None:
        if how == "progress":
            raise KeyError(how)

    async def main(client: S3Client) -> None:
        task = asyncio.ensure_future(s3_upload_files(client, BUCKET, files(), config(grace_s=0.2), progress))
        if how == "cancelled":
            await asyncio.to_thread(server.wait_until, lambda: under_way() and "culprit" in stored(server))
            task.cancel()
        expected = {"run error": RunError, "cancelled": asyncio.CancelledError}.get(how, KeyError)
        with pytest.raises(expected):
            await task
        await quiet()

    run(server, main)
    assert server.model.uploads == {}
    assert sorted(r.key for r in server.of("DELETE")) == ["one", "two"]


@pytest.mark.parametrize("kind", [AttemptEnded, UploadCreated])
def test_a_listener_that_raises_when_an_upload_is_begun_leaves_none(
    fault_server: StartFaultServer, big: Path, kind: type
) -> None:
    server = fault_server()

    def listener(event: object) -> None:
        if type(event) is kind:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        upload(server, [ObjectSource.file(big, "big")], events=listener)
    assert server.model.uploads == {}
    assert [r.key for r in server.of("DELETE")] == ["big"]


def test_what_a_run_that_stops_may_not_abort_it_says_is_left(
    fault_server: StartFaultServer, big: Path
) -> None:
    """To abort is a permission of its own; and keys that have expired cannot abort anything."""
    refused = s3_error(403, "AccessDenied")
    server = fault_server([Rule(Stall(), query=PART), Rule(refused, method="DELETE")])

    async def main(client: S3Client) -> None:
        task = asyncio.ensure_future(
            s3_upload_files(client, BUCKET, [ObjectSource.file(big, "big")], config(grace_s=0.0))
        )
        await asyncio.to_thread(server.wait_until, lambda: any(r.part_number == 2 for r in server.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as stopped:
            await task
        assert summary_of(stopped.value).notes == (
            "could not abort the multipart upload of big: parts may be left there",
        )

    run(server, main)
    assert len(server.of("DELETE")) == 1


def test_the_last_goodbye_is_bounded(
    fault_server: StartFaultServer, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3_upload.transfer.abort.ABORT_GRACE_S", 0.2)
    server = fault_server([Rule(Stall(), query=PART), Rule(Stall(), method="DELETE")])

    async def main(client: S3Client) -> None:
        files = [ObjectSource.file(big, "big")]
        task = asyncio.ensure_future(s3_upload_files(client, BUCKET, files, config(grace_s=0.2)))
        await asyncio.to_thread(server.wait_until, lambda: any(r.part_number == 2 for r in server.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await quiet()

    run(server, main)
    assert len(server.of("DELETE")) == 1
