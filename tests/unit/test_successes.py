"""What a success must carry, of each operation: no status alone proves one."""

from __future__ import annotations

import pytest

from s3_upload.errors import FailureKind
from s3_upload.http import Response
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    LIST_PARTS,
    PUT_OBJECT,
    UPLOAD_PART,
)
from s3_upload.s3.operations.complete_multipart_upload import completed_etag
from s3_upload.s3.operations.create_multipart_upload import upload_id
from s3_upload.s3.responses import classify
from tests.unit.answers import error_body, failure


@pytest.mark.parametrize("status", [200, 201, 204])
def test_an_abort_needs_no_more_than_its_status(status: int) -> None:
    assert classify(ABORT_MULTIPART_UPLOAD, Response(status, {})) is None


@pytest.mark.parametrize("operation", [PUT_OBJECT, UPLOAD_PART])
def test_the_usual_success_is_not_looked_at_closely(monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    monkeypatch.delattr("s3_upload.s3.responses._doubted")
    assert classify(operation, Response(200, {"etag": '"e"'})) is None


PAGE = b"<!DOCTYPE html><html></html>"
CRC = {"x-amz-checksum-crc32": "AAAAAA=="}
OF_PUT: list[tuple[Response, str]] = [
    (Response(200, {"etag": '"e"'}), ""),
    (Response(201, {"etag": '"e"'}), ""),
    (Response(200, {"etag": '"e"'}, b"<?xml version='1.0'?>\n<PutObjectResult xmlns='x'/>"), ""),
    (Response(200, {"etag": '"e"'}, b" \r\n"), ""),
    (Response(200, CRC), ""),
    (Response(200, {"x-amz-checksum-sha256": "x"}), ""),
    (Response(200, {}), "without an ETag"),
    (Response(204, {"etag": ""}), "without an ETag"),
    (Response(200, {"x-amz-checksum-type": "FULL_OBJECT"}), "without an ETag"),
    (Response(200, {"etag": '"e"'}, PAGE), "with a body that is not S3's"),
    (Response(200, {"etag": '"e"'}, b"<HTML>"), "with a body that is not S3's"),
    (Response(200, CRC, b"It works!"), "with a body that is not S3's"),
    (Response(200, {"etag": '"e"'}, b"{}"), "with a body that is not S3's"),
    (Response(200, {"etag": '"e"'}, early=True), "before all was sent"),
    (Response(200, {}, PAGE, early=True), "before all was sent"),
]


@pytest.mark.parametrize(("response", "lacks"), OF_PUT)
def test_a_put_needs_a_proof(response: Response, lacks: str) -> None:
    found = classify(PUT_OBJECT, response)
    assert (found is None) == (not lacks)
    if found is not None:
        assert (found.kind, found.message) == (FailureKind.UNPROVEN, f"PutObject: {response.status} {lacks}")


def test_what_kind_of_page_it_is_is_said() -> None:
    found = failure(
        PUT_OBJECT, Response(200, {"content-type": "text/html; charset=UTF-8\x1b" + "x" * 99}, PAGE)
    )
    assert found.message == f"PutObject: 200 without an ETag (text/html; charset=UTF-8 {'x' * 35})"


@pytest.mark.parametrize("operation", [PUT_OBJECT, UPLOAD_PART, CREATE_MULTIPART_UPLOAD, LIST_PARTS])
def test_a_success_with_an_error_in_it_is_that_error(operation: str) -> None:
    found = failure(operation, Response(200, {"etag": '"e"'}, error_body("SlowDown", "Late.")))
    assert (found.kind, found.code, found.message) == (FailureKind.THROTTLE, "SlowDown", "Late.")
    found = failure(operation, Response(200, {"etag": '"e"'}, error_body("Odd", "")))
    assert (found.kind, found.message) == (FailureKind.SERVER, f"{operation}: 200 with an error")


def test_a_list_of_parts_is_one() -> None:
    assert classify(LIST_PARTS, Response(200, {}, b"<n:ListPartsResult/>")) is None
    for body in (b"", PAGE, b"no parts"):
        assert failure(LIST_PARTS, Response(200, {}, body)).kind is FailureKind.UNPROVEN


# --- of a multipart upload


CREATED = b"<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>"
COMPLETED = b"<CompleteMultipartUploadResult><ETag>&quot;abc-2&quot;</ETag></CompleteMultipartUploadResult>"


def test_create_gives_an_upload_id() -> None:
    response = Response(200, {}, CREATED % b"2~a/b+c=&amp;d")
    assert classify(CREATE_MULTIPART_UPLOAD, response) is None
    assert upload_id(response) == "2~a/b+c=&d"


def test_a_long_upload_id_comes_back_whole() -> None:
    """Cut, it would name no upload; some stores' have several hundred characters."""
    assert upload_id(Response(200, {}, CREATED % (b"x" * 1_500))) == "x" * 1_500


def test_an_absurd_upload_id_is_none() -> None:
    response = Response(200, {}, CREATED % (b"x" * 50_000))
    assert failure(CREATE_MULTIPART_UPLOAD, response).kind is FailureKind.UNPROVEN


@pytest.mark.parametrize("body", [b"", CREATED % b"", CREATED % b" ", b"<UploadId>cut", b"\x00\xff"])
def test_create_without_an_upload_id_is_no_success(body: bytes) -> None:
    found = failure(CREATE_MULTIPART_UPLOAD, Response(200, {}, body))
    assert (found.kind, found.message) == (
        FailureKind.UNPROVEN,
        "CreateMultipartUpload: 200 without an upload ID",
    )


def test_a_part_needs_an_etag() -> None:
    assert classify(UPLOAD_PART, Response(200, {"etag": '"e"'})) is None
    found = failure(UPLOAD_PART, Response(200, {"x-amz-request-id": "R"}))
    assert (found.kind, found.message) == (FailureKind.UNPROVEN, "UploadPart: 200 without an ETag")
    assert found.request_id == "R"


@pytest.mark.parametrize("space", [b"", b" \n" * 10, b" " * 200_000], ids=["none", "some", "much"])
def test_complete_after_keep_alive_white_space(space: bytes) -> None:
    response = Response(200, {}, space + COMPLETED)
    assert classify(COMPLETE_MULTIPART_UPLOAD, response) is None
    assert completed_etag(response) == '"abc-2"'


def test_complete_with_the_etag_in_a_header_only() -> None:
    response = Response(200, {"etag": '"h"'}, b"")
    assert classify(COMPLETE_MULTIPART_UPLOAD, response) is None
    assert completed_etag(response) == '"h"'


@pytest.mark.parametrize(
    ("code", "kind"),
    [("InternalError", "server"), ("SlowDown", "throttle"), ("AccessDenied", "access-denied")],
)
def test_complete_with_200_and_an_error_is_that_error(code: str, kind: str) -> None:
    body = b"\n" * 30 + error_body(code, "Late.", "BODY")
    found = failure(COMPLETE_MULTIPART_UPLOAD, Response(200, {"etag": '"e"'}, body))
    assert (found.kind.value, found.code, found.status, found.message) == (kind, code, 200, "Late.")
    assert found.request_id == "BODY"


@pytest.mark.parametrize("headers", [{}, {"etag": '"e"'}], ids=["", "etag"])
@pytest.mark.parametrize("length", range(len("<Error"), len("<Error><Code>InternalError</Code"), 5))
def test_complete_with_a_truncated_error_is_no_success(headers: dict[str, str], length: int) -> None:
    body = b"<Error><Code>InternalError</Code>"[:length]
    assert failure(COMPLETE_MULTIPART_UPLOAD, Response(200, headers, body)).kind is FailureKind.SERVER


@pytest.mark.parametrize("length", range(0, COMPLETED.index(b"</ETag>") + len(b"</ETag"), 9))
def test_complete_truncated_before_its_etag_is_no_success(length: int) -> None:
    found = failure(COMPLETE_MULTIPART_UPLOAD, Response(200, {}, COMPLETED[:length]))
    assert (found.kind, found.code) == (FailureKind.UNPROVEN, "")
