"""Checksums as a server sees them, and stores that want none, keep none, or keep another."""

from __future__ import annotations

import base64
import hashlib
import random
import threading
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import FailureKind, RequestFields, RunError
from s3_upload.api import s3_upload_files
from s3_upload.clients.s3 import S3Client
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Action, Answer, Request, Rule, s3_error
from tests.faults.model import S3Model
from tests.faults.uploads import BUCKET, PART_BYTES, Reports, config, run, stored, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import StartFaultServer

BIG = random.Random(5).randbytes(2 * PART_BYTES + 77)
COMPLETE = {"uploadId": None}
ONE_AT_ONCE = config(max_in_flight=1, n_retries=2)
TYPES = {"full": ("FULL_OBJECT", "COMPOSITE"), "composite": ("COMPOSITE",), "none": ()}


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def crc32(body: bytes) -> str:
    return b64(zlib.crc32(body).to_bytes(4, "big"))


@pytest.fixture
def files(tmp_path: Path) -> list[ObjectSource]:
    """A small one, and one of three parts."""
    (tmp_path / "big").write_bytes(BIG)
    return [ObjectSource.data(b"small", "small"), ObjectSource.file(tmp_path / "big", "big")]


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256", "SHA1"])
def test_every_body_goes_with_its_checksum(
    fault_server: StartFaultServer, files: list[ObjectSource], algorithm: str, types: str
) -> None:
    """Over plain http too: the store keeps it. The model compares them with what it received."""
    server = fault_server(model=S3Model(checksum_types=TYPES[types]))
    summary = upload(server, files, tls={"checksum_algorithm": algorithm})
    assert summary.notes == ()
    assert stored(server) == {"small": b"small", "big": BIG}
    header = f"x-amz-checksum-{algorithm.lower()}"
    puts = server.of("PUT")
    assert len(puts) == 4
    assert all(header in request.headers for request in puts)
    [create, complete] = server.of("POST")
    assert create.headers["x-amz-checksum-algorithm"] == algorithm
    is_full = algorithm == "CRC32" and types == "full"
    assert (complete.headers.get(header) == crc32(BIG)) == is_full
    assert (complete.headers.get("x-amz-checksum-type") == "FULL_OBJECT") == is_full
    named = f"<Checksum{algorithm}>".encode() in complete.body
    assert named == bool(TYPES[types] and (algorithm == "CRC32" or "COMPOSITE" in TYPES[types]))


def test_none_where_none_is_wanted(fault_server: StartFaultServer, files: list[ObjectSource]) -> None:
    for mode in ("off", "when-required"):
        server = fault_server()
        upload(server, files, tls={"checksum": mode})
        assert not [
            name for r in server.requests for name in r.headers if "checksum" in name or "md5" in name
        ]


@pytest.mark.parametrize(("mode", "wanted"), [("when-required", True), ("off", False)])
def test_an_object_lock_requires_one(
    fault_server: StartFaultServer, files: list[ObjectSource], mode: str, wanted: bool
) -> None:
    server = fault_server()
    fields = RequestFields(object_lock_legal_hold_status="ON")
    upload(server, files, default_request=lambda _: fields, tls={"checksum": mode})
    digests = [b64(hashlib.md5(request.body).digest()) for request in server.of("PUT")]
    assert [request.headers.get("content-md5") for request in server.of("PUT")] == (
        digests if wanted else [None] * 4
    )


WANTS_MD5 = {
    "S3": s3_error(
        400,
        "InvalidRequest",
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock "
        "parameters",
    ),
    "S3, otherwise": s3_error(400, "InvalidRequest", "Content-MD5 HTTP header is required"),
    "MinIO": s3_error(400, "MissingContentMD5", "Missing required header for this request: Content-Md5."),
}


def with_retention(answer: Answer) -> Callable[[Request], Action | None]:
    """A bucket with a default retention: it takes no body without Content-MD5."""
    return lambda r: answer if r.method == "PUT" and "content-md5" not in r.headers else None


@pytest.mark.parametrize("name", WANTS_MD5)
@pytest.mark.parametrize("mode", ["when-required", "auto"])
def test_a_default_retention_gets_content_md5_once_for_all(
    fault_server: StartFaultServer, files: list[ObjectSource], name: str, mode: str
) -> None:
    server = fault_server(with_retention(WANTS_MD5[name]), model=S3Model(checksum_types=()))
    more = [ObjectSource.data(b"%d" % number, str(number)) for number in range(20)]
    reports = Reports()

    async def main(client: S3Client) -> None:
        summary = await s3_upload_files(client, BUCKET, [*files, *more], ONE_AT_ONCE, reports)
        assert (summary.uploaded, summary.attempts) == (22, 22)
        assert summary.notes == (
            "the store wants a checksum of every body: Content-MD5 goes with each from now on",
        )
        again = await s3_upload_files(client, BUCKET, [ObjectSource.data(b"x", "later")], ONE_AT_ONCE)
        assert (again.uploaded, again.notes) == (1, ())

    run(server, main, checksum=mode)
    taken = [request for request in server.of("PUT") if request.status == 200]
    assert len(server.of("PUT")) == len(taken) + 1
    assert all(request.headers["content-md5"] == b64(hashlib.md5(request.body).digest()) for request in taken)


def test_many_that_lack_it_at_once_share_the_correction(fault_server: StartFaultServer) -> None:
    server = fault_server(with_retention(WANTS_MD5["S3"]))
    bodies = {str(number): b"%d" % number for number in range(100)}
    summary = upload(server, bodies, settings=config(max_in_flight=8), tls={"checksum": "when-required"})
    assert (summary.uploaded, summary.attempts, len(summary.notes)) == (100, 100, 1)
    assert len(server.requests) <= 108


def test_the_loop_does_not_stand_still_while_big_bodies_are_hashed_for_it(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, md5 = fault_server(with_retention(WANTS_MD5["S3"]), model=S3Model(checksum_types=())), hashlib.md5
    hashed: list[int] = []

    def noted(data: Any = b"", **options: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            hashed.append(len(data))
        return md5(data, **options)

    monkeypatch.setattr(hashlib, "md5", noted)
    bodies = {"big": BIG, "small": b"small"}
    assert upload(server, bodies, settings=ONE_AT_ONCE, tls={"checksum": "when-required"}).uploaded == 2
    assert stored(server) == bodies
    assert max(hashed) < PART_BYTES


def test_who_wants_no_checksum_ever_is_told_why_it_stops(fault_server: StartFaultServer) -> None:
    server = fault_server(with_retention(WANTS_MD5["S3"]))
    with pytest.raises(
        RunError, match=r"Content-MD5 OR .*; checksum = 'off' \(--checksum\) forbids that"
    ) as caught:
        upload(server, {"a": b"a", "b": b"b"}, settings=ONE_AT_ONCE, tls={"checksum": "off"})
    assert caught.value.kind is FailureKind.NEEDS_MD5
    assert len(server.requests) == 1


def test_a_store_that_is_never_content_with_it_stops_the_run(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda _: WANTS_MD5["S3"])
    with pytest.raises(RunError, match="Content-MD5 OR x-amz-checksum"):
        upload(server, {"a": b"a", "b": b"b"}, settings=ONE_AT_ONCE, tls={"checksum": "when-required"})
    assert len(server.requests) == 2


# --- an answer with another checksum ------------------------------------------------------------------


def test_an_object_that_the_store_holds_otherwise_is_sent_again(fault_server: StartFaultServer) -> None:
    other = Answer(200, {"ETag": '"e"', "x-amz-checksum-crc32": crc32(b"other")})
    server = fault_server([Rule(other, nth=1)])
    reports = Reports()
    assert upload(server, {"a": b"body"}, progress=reports).uploaded == 1
    assert [attempt.outcome for attempt in reports.of("a").attempt_reports] == ["digest", "success"]


@pytest.mark.parametrize("query", [{}, {"partNumber": "2"}, {"uploads": None}])
def test_and_fails_if_it_stays_so(
    fault_server: StartFaultServer, files: list[ObjectSource], query: dict[str, Any]
) -> None:
    """Of a whole object, of a part, and of an object in parts (where Complete has no "uploads")."""
    wrong = crc32(b"other")

    def script(request: Request) -> Action | None:
        if query == {"uploads": None}:
            is_it = request.method == "POST" and "uploadId" in request.query
            body = f"<R><ETag>e</ETag><ChecksumCRC32>{wrong}</ChecksumCRC32></R>".encode()
            return Answer(200, {}, body) if is_it else None
        is_it = request.method == "PUT" and query.items() <= dict(request.query).items()
        return Answer(200, {"ETag": '"e"', "x-amz-checksum-crc32": wrong}) if is_it else None

    server = fault_server(script)
    summary = upload(server, files[1:] if query else files[:1], settings=ONE_AT_ONCE)
    [report] = summary.failed
    assert report.outcome == FailureKind.DIGEST
    assert f"its CRC32 is {wrong!r}" in str(report.error)
    assert server.model.uploads == {}


# --- stores that do not take them ---------------------------------------------------------------------

REFUSALS = {
    "501": s3_error(501, "NotImplemented", "A header you provided implies functionality not implemented"),
    "501 without a body": Answer(501),
    "400": s3_error(400, "InvalidArgument", "Unsupported header 'x-amz-checksum-crc32' received"),
    "400 of the announcement": s3_error(
        400, "InvalidRequest", "Unsupported header 'x-amz-checksum-algorithm' received for this API call."
    ),
}


def refuses(answer: Answer, *headers: str) -> Callable[[Request], Action | None]:
    return lambda request: answer if any(name in request.headers for name in headers) else None


@pytest.mark.parametrize("name", REFUSALS)
def test_a_store_that_takes_none_gets_none_and_it_is_said_once(
    fault_server: StartFaultServer, files: list[ObjectSource], name: str
) -> None:
    server = fault_server(refuses(REFUSALS[name], "x-amz-checksum-crc32", "x-amz-checksum-algorithm"))
    reports = Reports()
    more = [ObjectSource.data(b"%d" % number, str(number)) for number in range(20)]
    summary = upload(server, [*files, *more], settings=ONE_AT_ONCE, progress=reports)
    assert summary.uploaded == 22
    assert summary.notes == ("the store does not support checksums: they are left out from now on",)
    refused = [request for request in server.requests if request.status != 200]
    assert len(refused) == 1
    assert reports.of("small").attempts == 1
    assert [a.outcome for a in reports.of("small").attempt_reports] == ["unsupported", "success"]


def test_a_store_that_knows_no_types_still_gets_checksums(
    fault_server: StartFaultServer, files: list[ObjectSource]
) -> None:
    answer = s3_error(400, "InvalidArgument", "Unsupported header 'x-amz-checksum-type' received")
    server = fault_server(
        refuses(answer, "x-amz-checksum-type"), model=S3Model(checksum_types=("COMPOSITE",))
    )
    summary = upload(server, files)
    assert summary.uploaded == 2
    assert summary.notes == ("the store knows no types of checksums: none is named from now on",)
    assert all("x-amz-checksum-crc32" in request.headers for request in server.of("PUT"))


def test_many_that_are_refused_at_once_share_the_correction(fault_server: StartFaultServer) -> None:
    server = fault_server(refuses(REFUSALS["501"], "x-amz-checksum-crc32"))
    bodies = {str(number): b"%d" % number for number in range(100)}
    summary = upload(server, bodies)
    assert (summary.uploaded, summary.attempts, len(summary.notes)) == (100, 100, 1)


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_what_is_not_about_checksums_stops_the_run_in_the_end(
    fault_server: StartFaultServer, mode: str
) -> None:
    server = fault_server(lambda _: REFUSALS["501"])
    with pytest.raises(RunError, match="501 NotImplemented") as caught:
        upload(server, {"a": b"a"}, tls={"checksum": mode})
    assert caught.value.kind is FailureKind.UNSUPPORTED
    assert len(server.requests) == (2 if mode == "auto" else 1)


def test_a_condition_stays_though_the_store_does_not_know_it(fault_server: StartFaultServer) -> None:
    answer = s3_error(501, "NotImplemented", "Header If-None-Match is not implemented")
    server = fault_server(lambda _: answer)
    with pytest.raises(RunError, match="If-None-Match is not implemented"):
        upload(server, {"a": b"a"}, default_request=lambda _: RequestFields(if_none_match="*"))
    assert [request.headers.get("if-none-match") for request in server.requests] == ["*"]


def test_nothing_is_left_in_the_model(fault_server: StartFaultServer, files: list[ObjectSource]) -> None:
    """A store that refuses the checksum of a whole object in parts gets its parts back."""
    digest = s3_error(400, "BadDigest", "The CRC32 you specified did not match")
    server = fault_server([Rule(digest, method="POST", query=COMPLETE)])
    summary = upload(server, files[1:], settings=ONE_AT_ONCE)
    assert [report.outcome for report in summary.failed] == [FailureKind.DIGEST]
    assert server.model.uploads == {}
    assert server.model.bodies(BUCKET) == {}
