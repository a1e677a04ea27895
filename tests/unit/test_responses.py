"""What S3 answers and how it is classified."""

from __future__ import annotations

import pytest

from s3_upload.errors import FailureKind
from s3_upload.http import Response
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    HEAD_OBJECT,
    LIST_PARTS,
    PUT_OBJECT,
    UPLOAD_PART,
)
from s3_upload.s3.responses import (
    KIND_OF_CODE,
    KIND_OF_STATUS,
    Failure,
    classify,
    completed_etag,
    upload_id,
)
from tests.unit.answers import OPERATIONS, bad, error_body, failure

CODES = {
    "server": ["InternalError", "XMinioServerNotInitialized"],
    "request-timeout": ["RequestTimeout"],
    "incomplete-body": ["IncompleteBody"],
    "digest": ["BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"],
    "conflict": ["ConditionalRequestConflict", "OperationAborted"],
    "throttle": [
        "BandwidthLimitExceeded", "Busy", "EC2ThrottledException", "KMS.ThrottlingException",
        "LimitExceededException", "PriorRequestNotComplete", "ProvisionedThroughputExceededException",
        "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "ServiceUnavailable",
        "SlowDown", "SlowDownRead", "SlowDownWrite", "ThrottledException", "Throttling",
        "ThrottlingException",
        "TooManyRequestsException", "TransactionInProgressException",
    ],
    "region": [
        "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect",
        "TemporaryRedirect",
    ],
    "clock": ["RequestExpired", "RequestTimeTooSkewed"],
    "expired-token": ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"],
    "credentials": [
        "AccountProblem", "InvalidAccessKeyId", "InvalidToken", "NotSignedUp", "SignatureDoesNotMatch",
    ],
    "access-denied": ["AccessDenied"],
    "no-such-bucket": ["InvalidBucketName", "NoSuchAccessPoint", "NoSuchBucket"],
    "store-full": ["QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"],
    "exists": ["PreconditionFailed"],
    "too-large": ["EntityTooLarge"],
    "no-such-upload": ["NoSuchUpload"],
    "invalid-part": ["InvalidPart"],
    "our-bug": ["EntityTooSmall", "InvalidPartOrder"],
    "unsupported": ["NotImplemented"],
}  # fmt: skip
KNOWN = [(code, kind) for kind, codes in CODES.items() for code in codes]

STATUSES = {
    301: "region", 302: "region", 307: "region", 400: "rejected", 401: "credentials", 403: "access-denied",
    404: "not-s3", 405: "not-s3", 407: "access-denied", 408: "request-timeout", 409: "rejected",
    411: "rejected", 412: "exists", 413: "too-large", 416: "rejected", 429: "throttle", 499: "server",
    500: "server", 501: "unsupported", 502: "server", 503: "throttle", 504: "server", 507: "store-full",
    509: "server", 520: "server", 599: "server",
}  # fmt: skip

FILE_CODES = [
    "InvalidArgument", "InvalidBucketState", "InvalidDigest", "InvalidRequest", "InvalidURI",
    "KeyTooLongError", "MalformedXML", "MetadataTooLarge",
]  # fmt: skip


# --- codes and statuses


@pytest.mark.parametrize(("code", "kind"), KNOWN)
def test_a_known_code_decides_whatever_the_status(code: str, kind: str) -> None:
    for status in (400, 403, 500, 503):
        found = bad(error_body(code), status)
        assert (found.kind.value, found.code, found.status) == (kind, code, status)


def test_the_table_above_has_all_codes_and_statuses() -> None:
    assert {code for code, _ in KNOWN} == set(KIND_OF_CODE)
    assert set(KIND_OF_STATUS) <= set(STATUSES)


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", error_body("NeverHeardOf")], ids=["", "html", "odd"]
)
def test_else_the_status_decides(status: int, kind: str, body: bytes) -> None:
    if kind == "not-s3" and body.startswith(b"<?xml"):
        kind = "rejected"
    assert bad(body, status).kind.value == kind


@pytest.mark.parametrize("status", [404, 405])
def test_what_speaks_s3_is_s3(status: int) -> None:
    assert bad(b"", status, x_amz_request_id="R").kind is FailureKind.REJECTED
    assert failure(HEAD_OBJECT, Response(status, {})).kind is FailureKind.REJECTED
    assert bad(b"<s3:Error>", status).kind is FailureKind.REJECTED
    assert bad(b'{"message": "no Route matched with those values"}', status).kind is FailureKind.NOT_S3


def test_an_access_key_of_another_kind_is_no_fault_of_the_object() -> None:
    message = "Credential access key has length 20, should be 32"
    assert bad(error_body("InvalidArgument", message)).kind is FailureKind.CREDENTIALS


@pytest.mark.parametrize("code", FILE_CODES)
def test_what_is_wrong_with_one_object_fails_that_object(code: str) -> None:
    assert bad(error_body(code)).kind is FailureKind.REJECTED


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_error_is_an_error_for_every_operation(operation: str) -> None:
    found = failure(operation, Response(503, {"etag": '"e"'}, error_body("SlowDown")))
    assert found.kind is FailureKind.THROTTLE


PART_NUMBERS = [
    ("InvalidArgument", "Part number must be an integer between 1 and 1000, inclusive"),
    ("InvalidRequest", "The partNumber 1001 exceeds the limit"),
    ("InvalidPartNumber", ""),
    ("TooManyParts", "Why."),
]


@pytest.mark.parametrize(("code", "message"), PART_NUMBERS)
def test_a_part_that_is_refused_for_its_number_is_one_too_many(code: str, message: str) -> None:
    body = error_body(code, message)
    assert failure(UPLOAD_PART, Response(400, {}, body)).kind is FailureKind.TOO_MANY_PARTS
    assert failure(PUT_OBJECT, Response(400, {}, body)).kind is FailureKind.REJECTED
    assert failure(UPLOAD_PART, Response(500, {}, body)).kind is FailureKind.SERVER


def test_all_is_handed_on() -> None:
    assert bad(error_body("NoSuchBucket", "It is gone.", "BODY"), 404) == Failure(
        kind=FailureKind.NO_SUCH_BUCKET,
        status=404,
        code="NoSuchBucket",
        message="It is gone.",
        request_id="BODY",
    )
    headers = {"x_amz_request_id": "HEADER", "retry_after": "7"}
    found = bad(error_body("SlowDown", request_id="BODY"), 503, **headers)
    assert (found.request_id, found.retry_after_s) == ("HEADER", 7.0)


# --- what a success must carry


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


# --- plain HTTP to a port that speaks TLS

TLS_PORTS = {
    "Go": b"Client sent an HTTP request to an HTTPS server.\n",
    "nginx": b"<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n"
    b"<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n</body>\r\n</html>\r\n",
    "Apache": b"<p>Your browser sent a request that this server could not understand.<br />\n"
    b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />\n",
}


@pytest.mark.parametrize("server", TLS_PORTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_plain_http_to_a_tls_port(operation: str, server: str) -> None:
    found = failure(operation, Response(400, {}, TLS_PORTS[server]))
    assert found == Failure(
        kind=FailureKind.TLS_MISMATCH,
        status=400,
        message="this port speaks TLS; use https:// in the endpoint URL",
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, TLS_PORTS["Go"]),
        (400, error_body("InvalidArgument", TLS_PORTS["Go"].decode())),
        (400, b"Client sent"),
    ],
    ids=["500", "S3 quotes it", "other"],
)
def test_what_only_looks_like_a_tls_port(status: int, body: bytes) -> None:
    assert bad(body, status).kind is not FailureKind.TLS_MISMATCH


# --- and that of a multipart upload


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


# --- Retry-After

DATES = ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:29:30 GMT")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "120"}, 120.0),
        ({"x_amz_retry_after": "1500"}, 1.5),
        ({"x_amz_retry_after": "250", "retry_after": "9"}, 0.25),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after": "999999999"}, 999_999_999.0),
        ({"retry_after": DATES[1], "date": DATES[0]}, 90.0),
        ({"retry_after": DATES[0], "date": DATES[0]}, 0.0),
        ({"retry_after": DATES[0], "date": DATES[1]}, 0.0),
        ({"retry_after": DATES[1]}, None),
        ({"retry_after": DATES[1], "date": "soon"}, None),
        ({"retry_after": "soon", "date": DATES[0]}, None),
        ({"retry_after": "tomorrow, 07:28:00 GMT", "date": DATES[0]}, None),
        ({"x_amz_retry_after": DATES[1], "date": DATES[0]}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "-0.5"}, None),
        ({"retry_after": "."}, None),
        ({"retry_after": ".5"}, None),
        ({"retry_after": "1.5.2"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "1_000"}, None),
        ({"retry_after": "1e9"}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "٣"}, None),
        ({"retry_after": "²"}, None),
        ({"retry_after": "9" * 5_000}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert bad(error_body("SlowDown"), 503, **headers).retry_after_s == pytest.approx(seconds)


def test_retry_after_counts_on_a_late_error_too() -> None:
    response = Response(200, {"retry-after": "3"}, error_body("SlowDown"))
    assert failure(COMPLETE_MULTIPART_UPLOAD, response).retry_after_s == 3.0


# --- what a correction needs


def region_body(region: str) -> bytes:
    head = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>M</Message>"
    return f"{head}<Region>{region}</Region></Error>".encode()


@pytest.mark.parametrize(
    ("body", "header", "region"),
    [
        (b"", None, ""),
        (b"", "eu-west-1", "eu-west-1"),
        (region_body("eu-west-1"), None, "eu-west-1"),
        (region_body("eu-west-1"), "us-east-2", "eu-west-1"),
        (region_body(" eu-west-1\n"), None, "eu-west-1"),
        (region_body(""), "us-east-2", "us-east-2"),
        (region_body("a b"), "us-east-2", "us-east-2"),
        (region_body("fr-par_1.x"), None, "fr-par_1.x"),
        (region_body("evil.example/x"), None, ""),
        (region_body("evil.example#"), None, ""),
        (region_body("a@b:80"), None, ""),
        (region_body("a&#13;&#10;x-evil: 1"), None, ""),
        (region_body("\u0661"), None, ""),
        (region_body("x" * 65), None, ""),
        (region_body("x" * 1_000_000), None, ""),
        (b"<Region>cut", None, ""),
        (b"", "eu-west-1\x00", ""),
        (b"", "", ""),
    ],
)
def test_the_region_that_an_answer_names(body: bytes, header: str | None, region: str) -> None:
    headers = {} if header is None else {"x_amz_bucket_region": header}
    assert bad(body, 301, **headers).region == region


@pytest.mark.parametrize(
    ("header", "date_s"),
    [
        ("Sun, 06 Nov 2022 08:49:37 GMT", 1_667_724_577.0),
        ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199.0),
        ("Thu, 29 Feb 2023 23:59:59 GMT", None),
        ("Sun, 06 Nov 2022 08:49:61 GMT", None),
        ("Sun, 06 Nov 2022 24:00:00 GMT", None),
        ("Sun, 00 Nov 2022 08:49:37 GMT", None),
        ("Sun, 06 Nix 2022 08:49:37 GMT", None),
        ("Sun, 06 Nov 2022 08:49:37 CET", None),
        ("Sun, 06 Nov 2022 08:49:37 +0100", None),
        ("Sunday, 06-Nov-22 08:49:37 GMT", None),
        ("Sun Nov  6 08:49:37 2022", None),
        ("Sun, 06 Nov 9999 08:49:37 GMT", 253_397_494_177.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("Sun, \u0660\u0666 Nov 2022 08:49:37 GMT", None),
        ("Sun, 06 Nov 2022 08:49:37 GMT" * 10_000, None),
        ("", None),
        ("0", None),
        ("nan", None),
    ],
)
def test_the_time_that_an_answer_tells(header: str, date_s: float | None) -> None:
    assert bad(b"", 403, date=header).date_s == date_s


def test_a_late_error_names_both_too() -> None:
    headers = {"date": "Sun, 06 Nov 2022 08:49:37 GMT", "x-amz-bucket-region": "eu-west-1"}
    found = failure(COMPLETE_MULTIPART_UPLOAD, Response(200, headers, error_body("RequestTimeTooSkewed")))
    assert (found.region, found.date_s) == ("eu-west-1", 1_667_724_577.0)


CHECKSUM_WORDS = {
    "Unsupported header 'x-amz-sdk-checksum-algorithm' received for this API call.": True,
    "x-amz-checksum-crc32 is not supported": True,
    "Unexpected trailer": True,
    "Value for x-amz-checksum-crc32 header is invalid.": False,
    "The upload was created using a crc32 checksum. The complete request must include it": False,
    "Unsupported storage class": False,
    "": False,
}


@pytest.mark.parametrize("message", CHECKSUM_WORDS)
@pytest.mark.parametrize("operation", [PUT_OBJECT, CREATE_MULTIPART_UPLOAD, UPLOAD_PART])
def test_words_that_refuse_a_checksum(message: str, operation: str) -> None:
    body = error_body("InvalidArgument", message)
    failure = classify(operation, Response(400, {}, body))
    assert failure is not None
    assert (failure.kind is FailureKind.UNSUPPORTED) == CHECKSUM_WORDS[message]


def test_what_needs_no_checksum_is_not_put_right_by_leaving_it_out() -> None:
    words = next(iter(CHECKSUM_WORDS))
    for status, body in ((501, b""), (400, error_body("InvalidArgument", words))):
        failure = classify(ABORT_MULTIPART_UPLOAD, Response(status, {}, body))
        assert failure is not None
        assert failure.kind is FailureKind.REJECTED


def test_the_header_that_is_not_implemented_is_named() -> None:
    body = b"<Error><Code>NotImplemented</Code><Message>No.</Message><Header>If-None-Match</Header></Error>"
    failure = classify(PUT_OBJECT, Response(501, {}, body))
    assert failure is not None
    assert failure.message == "No. (If-None-Match)"
